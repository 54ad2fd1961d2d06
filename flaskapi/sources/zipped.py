"""ZIP archives (PKWARE's APPNOTE 6.3), member by member.

Python's `zipfile` is not used: it keeps an object for each member, and the directory of a small
file can name millions. Here the directory is read in blocks, so memory does not grow with the
archive. A member takes a tenth of the time.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from flaskapi.errors import (
    FlaskapiError,
    InvalidImageError,
    InvalidRequestError,
    UnsupportedImageError,
)
from flaskapi.sources import Allowance, Item, check_name, is_clutter

_END, _END_64, _LOCATOR_64 = (
    struct.Struct("<4s4H2LH"),
    struct.Struct("<4sQ2H2L4Q"),
    struct.Struct("<4sLQL"),
)
_ENTRY, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_LONGEST_ENTRY = _ENTRY.size + 3 * 0xFFFF  # name, extra field and comment
_LONGEST_COMMENT = 0xFFFF
_BLOCK = 1 << 18
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _UTF8 = 0x1, 0x800
_LINK = 0o120000
_IN_EXTRA = 0xFFFFFFFF  # what stands in a field of 32 bits whose value is in the extra field


class _Directory(NamedTuple):
    """Where the list of members is, and the distance of its origin from the file's start."""

    start: int
    bytes: int
    shift: int


class _Entry(NamedTuple):
    name: str
    flags: int
    method: int
    crc: int
    packed_bytes: int
    bytes: int
    mode: int
    offset: int


class Piece(NamedTuple):
    """One of several pieces into which a file is cut, counted from 0."""

    number: int
    of: int


WHOLE = Piece(0, 1)


def read_zip(file: IO[bytes], allowance: Allowance, piece: Piece = WHOLE) -> Iterator[Item]:
    """Read a ZIP archive in the order of its directory, without folders and clutter.

    Args:
        file: can be rewound.
        allowance: how much may be unpacked.
        piece: read only the members that begin in this piece of the file, and always the first
            member with the first piece. Each member is in one piece.

    Raises:
        InvalidRequestError: it is damaged or cut off, or its members overlap, as in a ZIP bomb.
        TooLargeError: its unpacked size is larger than the allowance.
    """
    directory = _find_directory(file)
    packed, place = 0, 0
    for entry in _read_directory(file, directory):
        if entry.name.endswith("/") or is_clutter(entry.name):
            continue
        # It may be beyond what seek takes.
        is_outside = (
            entry.offset + _LOCAL.size + entry.packed_bytes > directory.start - directory.shift
        )
        packed += 0 if is_outside else entry.packed_bytes + _LOCAL.size
        if packed > directory.start:
            raise InvalidRequestError("Members of the archive overlap.")
        number = (
            min(entry.offset * piece.of // max(directory.start, 1), piece.of - 1) if place else 0
        )
        place += 1
        if number != piece.number:
            continue
        if is_outside:
            yield Item(
                entry.name,
                InvalidImageError(
                    "The archive is damaged here: the directory names another member."
                ),
            )
            continue
        content = _read_member(file, entry, directory.shift, allowance)
        allowance.take(len(content) if isinstance(content, bytes) else 0)
        yield Item(entry.name, content)


def _find_directory(file: IO[bytes]) -> _Directory:
    size = file.seek(0, 2)
    tail_start = max(0, size - _LONGEST_COMMENT - _END.size - _LOCATOR_64.size - _END_64.size)
    file.seek(tail_start)
    tail = file.read()
    at = _find_end(tail)
    _, disk, *_, length, offset, _ = _END.unpack_from(tail, at)
    start = tail_start + at - length
    locator, record = at - _LOCATOR_64.size, at - _LOCATOR_64.size - _END_64.size
    if (
        record >= 0
        and tail[locator : locator + 4] == b"PK\6\7"
        and tail[record : record + 4] == b"PK\6\6"
    ):
        *_, length, offset = _END_64.unpack_from(tail, record)
        start = tail_start + record - length
    if disk not in (0, 0xFFFF) or start < 0 or offset > start:
        raise InvalidRequestError(
            "The archive is damaged, or one part of several: its directory is not in its place."
        )
    return _Directory(start, length, start - offset)


def _find_end(tail: bytes) -> int:
    """Find the last record of its kind whose comment ends with the file. A comment may contain
    others.
    """
    at = len(tail)
    while (at := tail.rfind(b"PK\5\6", 0, at)) >= 0:
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[-1] == len(
            tail
        ):
            return at
    raise InvalidRequestError(
        "The archive is truncated, or data follows it: a ZIP has its directory at its end, and "
        "this one has none."
    )


def _read_directory(file: IO[bytes], directory: _Directory) -> Iterator[_Entry]:
    """Read the entries one by one. Between two entries, the caller may move the file's position."""
    buffer, at, position, left = b"", 0, directory.start, directory.bytes
    while True:
        if left and len(buffer) - at < _LONGEST_ENTRY:
            file.seek(position)
            block = file.read(min(left, _BLOCK))
            if not block:
                raise InvalidRequestError("The archive is damaged: its directory is truncated.")
            buffer, at, position, left = (
                buffer[at:] + block,
                0,
                position + len(block),
                left - len(block),
            )
        if at == len(buffer):
            return
        if len(buffer) - at < _ENTRY.size or buffer[at : at + 4] != b"PK\1\2":
            raise InvalidRequestError("The archive is damaged: its directory cannot be read.")
        entry, at = _parse_entry(buffer, at)
        yield entry


def _parse_entry(buffer: bytes, at: int) -> tuple[_Entry, int]:
    fields = _ENTRY.unpack_from(buffer, at)
    (
        _,
        _,
        _,
        flags,
        method,
        _,
        _,
        crc,
        packed,
        unpacked,
        name_length,
        extra_length,
        comment_length,
        _,
        _,
        attributes,
        offset,
    ) = fields
    name_end = at + _ENTRY.size + name_length
    end = name_end + extra_length + comment_length
    if end > len(buffer):
        raise InvalidRequestError("The archive is damaged: its directory is truncated.")
    if _IN_EXTRA in (unpacked, packed, offset):
        unpacked, packed, offset = _sizes_64(
            buffer[name_end : name_end + extra_length], unpacked, packed, offset
        )
    name = _decode_name(buffer[at + _ENTRY.size : name_end], flags)
    return _Entry(name, flags, method, crc, packed, unpacked, attributes >> 16, offset), end


def _sizes_64(extra: bytes, *values: int) -> tuple[int, ...]:
    """Take the values that need 64 bits from the extra field. It has them in this order, and no
    others.
    """
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if tag == 1:
            whole = min(length, len(extra) - at) // 8 * 8
            numbers = struct.iter_unpack("<Q", extra[at : at + whole])
            return tuple(
                next(numbers, (value,))[0] if value == _IN_EXTRA else value for value in values
            )
        at += length
    return values


def _decode_name(name: bytes, flags: int) -> str:
    """Decode a name. Names are in code page 437 unless marked as UTF-8, but many programs write
    UTF-8 without the mark.
    """
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("utf-8", "replace") if flags & _UTF8 else name.decode("cp437")


def _read_member(
    file: IO[bytes], entry: _Entry, shift: int, allowance: Allowance
) -> bytes | FlaskapiError:
    """Read one member, never more than its limit, whatever its header claims."""
    if error := check_name(entry.name):
        return error
    if entry.mode & 0o170000 == _LINK:
        return UnsupportedImageError("This is a link, not an image.")
    if entry.flags & _ENCRYPTED:
        return UnsupportedImageError("This is encrypted; send it without a password.")
    if entry.method not in (_STORED, _DEFLATED):
        return UnsupportedImageError(
            f"The compression method {entry.method} is not supported; use deflate."
        )
    if entry.bytes > allowance.image_bytes:
        return allowance.too_large()
    if (
        entry.packed_bytes > entry.bytes + entry.bytes // 8 + 1024
    ):  # deflate adds five bytes to every 16 KB at most
        return InvalidImageError(
            "The archive is damaged here: the packed size exceeds the unpacked size."
        )
    packed = _read_packed(file, entry, shift)
    if packed is None:
        return InvalidImageError("The archive is damaged here: the directory names another member.")
    return _unpack(packed, entry)


def _read_packed(file: IO[bytes], entry: _Entry, shift: int) -> bytes | None:
    file.seek(shift + entry.offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
        return None
    *_, name_length, extra_length = _LOCAL.unpack(header)
    packed = file.read(name_length + extra_length + entry.packed_bytes)[
        name_length + extra_length :
    ]
    return packed if len(packed) == entry.packed_bytes else None


def _unpack(packed: bytes, entry: _Entry) -> bytes | FlaskapiError:
    content = packed
    if entry.method == _DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.bytes + 1)
        except zlib.error:
            return InvalidImageError("The archive is damaged here: this cannot be unpacked.")
    if len(content) != entry.bytes or zlib.crc32(content) != entry.crc:
        return InvalidImageError(
            "The archive is damaged here: size or checksum differs from the directory."
        )
    return content
