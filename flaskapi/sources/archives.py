"""ZIP and tar archives, recognized by their first bytes. Each member is an item, in the archive's
order.
"""

import gzip
import zlib
from collections.abc import Iterator
from typing import IO, Literal

from flaskapi.errors import (
    FlaskapiError,
    InvalidRequestError,
    MissingImageError,
    UnsupportedImageError,
)
from flaskapi.sources import Allowance, Item, Readable
from flaskapi.sources.tables import read_table, table_kind
from flaskapi.sources.tarred import BLOCK_BYTES, is_header, read_tar
from flaskapi.sources.zipped import WHOLE, Piece, read_zip

Kind = Literal["zip", "tar", "gzip", "other"]
FORMAT_NAMES = "ZIP, tar or tar.gz"
_OTHERS = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "Zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}


def kind_of(head: bytes) -> Kind | None:
    """Recognize an archive by its first `BLOCK_BYTES`: None is no archive, "other" a format that is
    not read.

    >>> kind_of(b"PK\\3\\4 and more"), kind_of(b"\\x89PNG")
    ('zip', None)
    """
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(tuple(_OTHERS)):
        return "other"
    return "tar" if is_header(head[:BLOCK_BYTES]) else None


def read_file(
    file: IO[bytes], name: str, allowance: Allowance, piece: Piece = WHOLE
) -> Iterator[Item]:
    """Read a file that can be rewound: the members of an archive, the pictures in a file of pixels,
    or a single image.

    Args:
        file: its content.
        name: what it is called in errors.
        allowance: how much may be read.
        piece: of a ZIP, only this piece; what is wrong with the whole is said with the first.

    Raises:
        FlaskapiError: it is an archive of which no member can be read; if it breaks off later, the
            last item has the error.
    """
    head = file.read(BLOCK_BYTES)
    file.seek(0)
    kind = kind_of(head)
    if kind == "zip":
        yield from _to_its_end(read_zip(file, allowance, piece), name, tells=piece.number == 0)
    else:
        yield from _read_forwards(file, kind, head, name, allowance)


def read_stream(
    stream: Readable, name: str, allowance: Allowance, spool: IO[bytes]
) -> Iterator[Item]:
    """Read items from a pipe. Only a ZIP is needed whole before its first member; it is written to
    `spool`.
    """
    head = stream.read(BLOCK_BYTES)
    source, kind = _Rejoined(head, stream), kind_of(head)
    if kind == "zip":
        while block := source.read(1 << 20):
            spool.write(block)
        spool.seek(0)
        yield from read_file(spool, name, allowance)
    else:
        yield from _read_forwards(source, kind, head, name, allowance)


def _read_forwards(
    source: Readable, kind: Kind | None, head: bytes, name: str, allowance: Allowance
) -> Iterator[Item]:
    if kind is None and (table := table_kind(head)):
        yield from read_table(source, table, name, allowance)
        return
    if kind is None:
        content = source.read(allowance.image_bytes + 1)
        yield Item(
            name, content if len(content) <= allowance.image_bytes else allowance.too_large()
        )
        return
    if kind == "other":
        form = next(form for signature, form in _OTHERS.items() if head.startswith(signature))
        raise UnsupportedImageError(
            f"'{name}' is compressed with {form}, which is not supported; send {FORMAT_NAMES}."
        )
    stream: Readable = source
    if kind == "gzip":
        unzipped = gzip.GzipFile(fileobj=source, mode="rb")  # type: ignore[call-overload]  # it only reads forwards
        head = _try_to_read(unzipped)
        stream = _Rejoined(head, unzipped)
        if table := table_kind(head):
            yield from _to_its_end(read_table(stream, table, name, allowance), name)
            return
    yield from _to_its_end(read_tar(stream, allowance), name)


def _try_to_read(stream: Readable) -> bytes:
    """The first bytes of what is unzipped. There are none if it is damaged; the error then comes
    from the next read.
    """
    try:
        return stream.read(BLOCK_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def _to_its_end(members: Iterator[Item], name: str, *, tells: bool = True) -> Iterator[Item]:
    """Yield the members of an archive. If it breaks off, the members before stay, and the last item
    has the error in the archive's name, if this `tells`.
    """
    empty = True
    try:
        for member in members:
            empty = False
            yield _without_archives(member)
    except (FlaskapiError, OSError, EOFError, zlib.error) as error:
        if not tells:
            return
        if not isinstance(error, FlaskapiError):  # what gzip and zlib say of damaged data
            error = InvalidRequestError(
                f"The archive '{name}' is damaged or truncated: {str(error).rstrip('.')}."
            )
        if empty:
            raise error from None
        yield Item(name, error)
        return
    if empty and tells:
        raise MissingImageError(f"The archive '{name}' contains no image.")


def _without_archives(member: Item) -> Item:
    if isinstance(member.content, bytes) and kind_of(member.content[:BLOCK_BYTES]) is not None:
        return Item(
            member.name,
            UnsupportedImageError("This is an archive within an archive, which is not supported."),
        )
    return member


class _Rejoined:
    """A stream whose first bytes were already read."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int, /) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head + self._rest.read(size - len(head)) if len(head) < size else head
