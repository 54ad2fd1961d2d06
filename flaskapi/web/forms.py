"""The parts of a form, in memory, as bytes. Werkzeug would decode a part without a file name as
text, but it may be a picture.
"""

import io
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol
from urllib.parse import unquote_plus

from multipart import MultipartError, MultipartSegment, PushMultipartParser
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from flaskapi.digits.formats import IMAGE_HEAD_BYTES, is_image

HEAD_BYTES = 1 << 10
_BLOCK_BYTES = 1 << 16
_FIRST_LINE = re.compile(rb"\s*--([^\r\n]{1,200}?)[^\S\r\n]*\r?\n[!-9;-~]+:")


class _Readable(Protocol):
    def read(self) -> bytes: ...


Kind = Literal["file", "picture", "text"]


class FormPart(NamedTuple):
    """One part of a form. A part without a file name is a picture if it has an image's type or
    first bytes; a part without a name has an empty one.
    """

    kind: Kind
    name: str
    filename: str
    content: bytes


def find_boundary(head: bytes) -> str:
    """Find the boundary of a multipart body in its first line; empty if there is none."""
    match = _FIRST_LINE.match(head)
    return match[1].decode("latin-1") if match else ""


def is_image_type(content_type: str) -> bool:
    """Is this the media type of an image?"""
    return content_type.lower().startswith("image/")


def read_parts(
    body: _Readable, boundary: str, *, most_parts: int, most_field_bytes: int
) -> list[FormPart]:
    """Read a multipart form; a form that cannot be read has no parts.

    A text has at most `most_field_bytes`, except a data: URL.

    Raises:
        RequestEntityTooLarge: there are more parts, or a text is longer.
    """
    content = body.read()
    boundary = boundary or find_boundary(content[:HEAD_BYTES])
    if not boundary:
        return []
    parts = list[FormPart]()
    try:
        for part, value in _contents(content, boundary, most_parts, most_field_bytes):
            parts.append(_make_part(part, value))
    except ValueError:  # the parsers' error for an invalid form
        return []
    return parts


def read_pairs(body: bytes, *, most_parts: int, most_field_bytes: int) -> list[FormPart]:
    """Read a form of names and values (`application/x-www-form-urlencoded`).

    A value of more than `most_field_bytes` stays percent-encoded: the base64 decoder handles the
    few percent signs in it, and decoding a whole large body takes far more memory.

    Raises:
        RequestEntityTooLarge: there are more parts.
    """
    pairs = body.split(b"&", most_parts)
    if len(pairs) > most_parts:
        raise RequestEntityTooLarge()
    parts = list[FormPart]()
    for pair in pairs:
        name, equals, value = pair.partition(b"=")
        if equals and len(name) <= HEAD_BYTES:
            if len(value) <= most_field_bytes:
                value = unquote_plus(value.decode("latin-1"), errors="replace").encode()
            parts.append(FormPart("text", unquote_plus(name.decode("latin-1")), "", value))
    return parts


class _Part(NamedTuple):
    """What a part says of itself."""

    name: str
    filename: str | None
    content_type: str

    def check_size(self, value: bytes | memoryview, most_field_bytes: int) -> None:
        """Let a long text pass where it is a picture: the request's own limit holds for it.

        Raises:
            RequestEntityTooLarge: it is none.
        """
        if self.filename is None and len(value) > most_field_bytes:
            head = bytes(value[:IMAGE_HEAD_BYTES])
            if not (self.is_image(head) or head.startswith(b"data:")):
                raise RequestEntityTooLarge()

    def is_image(self, head: bytes) -> bool:
        """Does it say that it is an image, or begin as one?"""
        return is_image_type(self.content_type) or is_image(head)


def _contents(
    content: bytes, boundary: str, most_parts: int, most_field_bytes: int
) -> Iterator[tuple[_Part, bytes]]:
    """Give the parts of a form, each with what is in it.

    `multipart` reads a form in an eighth of the time that Werkzeug takes (measured). What it is
    too strict for, as lines that end without CR, or names in Latin-1, Werkzeug may read.
    """
    try:
        return iter(list(_read_strictly(content, boundary, most_parts, most_field_bytes)))
    except MultipartError:
        return _read_leniently(content, boundary, most_parts, most_field_bytes)


def _read_strictly(
    content: bytes, boundary: str, most_parts: int, most_field_bytes: int
) -> Iterator[tuple[_Part, bytes]]:
    value, delimiter = b"", boundary.encode("latin-1", "replace")
    with PushMultipartParser(delimiter, max_segment_count=most_parts) as parser:
        for event in parser.parse(content):
            if isinstance(event, MultipartSegment):
                part = _Part(event.name or "", event.filename, event.content_type or "")
            elif event is not None:  # all of it at once, for the form was given at once
                value = event
                if value.startswith(b"--" + delimiter):  # as Werkzeug's client ends an empty part
                    raise MultipartError("A part has no line end of its own.")
                part.check_size(value, most_field_bytes)
            else:
                yield part, value
                value = b""


def _read_leniently(
    content: bytes, boundary: str, most_parts: int, most_field_bytes: int
) -> Iterator[tuple[_Part, bytes]]:
    decoder = MultipartDecoder(
        boundary.encode("latin-1", "replace"), most_field_bytes, max_parts=most_parts
    )
    blocks = (content[at : at + _BLOCK_BYTES] for at in range(0, len(content), _BLOCK_BYTES))
    value = io.BytesIO()
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, NeedData):
            decoder.receive_data(next(blocks, None))
        elif isinstance(event, Field | File):
            filename = event.filename if isinstance(event, File) else None
            kind = event.headers.get("content-type", "")
            part, value = _Part(event.name or "", filename, kind), io.BytesIO()
        elif isinstance(event, Data):
            value.write(event.data)
            part.check_size(value.getbuffer(), most_field_bytes)
            if not event.more_data:
                yield part, value.getvalue()


def _make_part(part: _Part, value: bytes) -> FormPart:
    if part.filename is not None:
        return FormPart("file", part.name, part.filename, value)
    kind: Kind = "picture" if part.is_image(value[:IMAGE_HEAD_BYTES]) else "text"
    return FormPart(kind, part.name, "", value)
