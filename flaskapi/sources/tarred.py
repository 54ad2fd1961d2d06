"""Tar archives (POSIX ustar and pax, GNU), read forwards only, so that they can come from a pipe.

Python's `tarfile` is not used: it keeps an object for each member, and reads headers of any claimed
size into memory.
"""

from collections.abc import Iterator
from typing import NamedTuple

from flaskapi.errors import FlaskapiError, InvalidRequestError, UnsupportedImageError
from flaskapi.sources import Allowance, Item, Readable, check_name, is_clutter

BLOCK_BYTES = 512
_CHUNK = 1 << 16
_LONGEST_HEADER = 1 << 16  # of a long name, or of all of a member's pax records
_MOST_HEADERS = 8  # that tell of one member; programs write one or two
_CHECKSUM = slice(148, 156)
_REGULAR, _FOLDER, _SPARSE, _GLOBAL, _LONG_LINK = b"0\0" + b"7", b"5", b"S", b"g", b"K"
_WHAT = {
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    _SPARSE: "a sparse file",
}


class _Header(NamedTuple):
    name: str
    kind: bytes
    bytes: int
    more_map: bool  # of a sparse file in GNU's old form, whose map goes on in further blocks


def is_header(block: bytes) -> bool:
    """Does an archive begin with this block? The checksum decides, since old archives have no
    signature.
    """
    return (
        len(block) == BLOCK_BYTES
        and block.strip(b"\0") != b""
        and _number(block[_CHECKSUM]) == _checksum(block)
    )


def read_tar(stream: Readable, allowance: Allowance) -> Iterator[Item]:
    """Read a tar archive, already unzipped, without folders and clutter.

    Raises:
        InvalidRequestError: it is damaged or cut off.
        TooLargeError: its unzipped size is larger than the allowance.
    """
    source, told, headers = _Source(stream, allowance), dict[str, str](), 0
    while block := source.read(BLOCK_BYTES):
        if not block.strip(b"\0"):
            return
        header = _parse(block)
        if header.kind in (b"L", b"x", b"X"):
            headers += 1
            if headers > _MOST_HEADERS:
                raise InvalidRequestError(
                    f"The archive is damaged: a member has more than {_MOST_HEADERS} extended "
                    f"headers."
                )
            told |= _read_told(source, header)
            continue
        size = _size_told(told, header)
        name, kind = told.get("path", header.name), _SPARSE if "sparse" in told else header.kind
        told, headers = {}, 0
        while header.more_map:
            header = header._replace(more_map=source.read(BLOCK_BYTES)[504:505] not in (b"", b"\0"))
        if (
            kind in (_GLOBAL, _LONG_LINK, _FOLDER)
            or (kind in _REGULAR and name.endswith("/"))
            or is_clutter(name)
        ):
            source.skip(size)
            continue
        error = _refuse(name, kind, size, allowance)
        yield Item(name, error or source.read_padded(size))
        if error:
            source.skip(size)
    raise InvalidRequestError("The archive is truncated, or not a tar archive: it has no end mark.")


def _refuse(name: str, kind: bytes, size: int, allowance: Allowance) -> FlaskapiError | None:
    if kind not in _REGULAR:
        return UnsupportedImageError(
            f"This is {_WHAT.get(kind, 'of an unsupported kind')}, not an image."
        )
    return check_name(name) or (allowance.too_large() if size > allowance.image_bytes else None)


class _Source:
    """The archive's bytes, counted."""

    def __init__(self, stream: Readable, allowance: Allowance) -> None:
        self._stream, self._allowance = stream, allowance

    def read(self, size: int) -> bytes:
        """Read exactly this many bytes; none if the archive ends before the first of them."""
        data = self._stream.read(size)
        self._allowance.take(len(data))
        if 0 < len(data) < size:
            raise InvalidRequestError("The archive is truncated.")
        return data

    def read_padded(self, size: int) -> bytes:
        """Read a member's content, which is padded to whole blocks."""
        padded = self.read(-(-size // BLOCK_BYTES) * BLOCK_BYTES)
        if len(padded) < size:
            raise InvalidRequestError("The archive is truncated.")
        return padded[:size]

    def skip(self, size: int) -> None:
        left = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        while left:
            left -= len(self.read(min(left, _CHUNK))) or self._cut_off()

    def _cut_off(self) -> int:
        raise InvalidRequestError("The archive is truncated.")


def _parse(block: bytes) -> _Header:
    size = _number(block[124:136])
    if _number(block[_CHECKSUM]) != _checksum(block) or size is None:
        raise InvalidRequestError("The archive is damaged: a member's header cannot be read.")
    name, kind = _text(block[:100]), block[156:157]
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    return _Header(name, kind, size, kind == _SPARSE and block[482:483] != b"\0")


def _checksum(block: bytes) -> int:
    """The sum of a header's bytes, with spaces in place of the checksum itself."""
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _number(field: bytes) -> int | None:
    """Parse a number in octal digits, or in GNU's form for large numbers: the first bit set, the
    rest binary. None is neither.
    """
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    return (
        int(digits or b"0", 8)
        if digits.isdigit() and not {*b"89"} & {*digits}
        else None
        if digits
        else 0
    )


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _read_told(source: _Source, header: _Header) -> dict[str, str]:
    """Read a block about the next member: a long name of GNU's, or pax records with path, size,
    sparse.
    """
    if header.bytes > _LONGEST_HEADER:
        raise InvalidRequestError(
            "The archive is damaged: the length of a member's name is impossible."
        )
    data = source.read_padded(header.bytes)
    if header.kind == b"L":
        return {"path": _text(data)}
    told, at, end = dict[str, str](), 0, len(data.rstrip(b"\0"))
    while at < end:
        key, value, at = _parse_record(data, at, end)
        if key in (b"path", b"size"):
            told[key.decode()] = value.decode("utf-8", "replace")
        elif key.startswith(b"GNU.sparse."):
            told["sparse"] = ""
    return told


def _parse_record(data: bytes, at: int, end: int) -> tuple[bytes, bytes, int]:
    """Parse one pax record, "LENGTH KEY=VALUE" and a line's end. Returns the key, the value, and
    where the next record begins.
    """
    space = data.find(b" ", at, at + 6)
    length = data[at : max(at, space)]
    after = at + int(length) if length.isdigit() else 0
    equals = data.find(b"=", space + 1, after)
    if not space + 1 < equals < after <= end or data[after - 1 : after] != b"\n":
        raise InvalidRequestError(
            "The archive is damaged: a member's extended header cannot be read."
        )
    return data[space + 1 : equals], data[equals + 1 : after - 1], after


def _size_told(told: dict[str, str], header: _Header) -> int:
    size = told.get("size")
    if size is None:
        return header.bytes
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise InvalidRequestError(
            "The archive is damaged: a member's extended header cannot be read."
        )
    return int(size)
