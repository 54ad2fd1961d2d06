"""The parts of a form, in memory, as bytes. Werkzeug would decode a part without a file name as
text, but it may be a picture.
"""

import io
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol
from urllib.parse import unquote_plus

from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from flaskapi.digits.formats import IMAGE_HEAD_BYTES, is_image

HEAD_BYTES = 1 << 10
_BLOCK_BYTES = 1 << 16
_FIRST_LINE = re.compile(rb"\s*--([^\r\n]{1,200}?)[^\S\r\n]*\r?\n[!-9;-~]+:")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


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


def is_image_part(headers: Headers) -> bool:
    """Does a part declare an image type, with or without a file name?"""
    return headers.get("content-type", "").lower().startswith("image/")


def read_parts(
    body: _Readable, boundary: str, *, most_parts: int, most_field_bytes: int
) -> list[FormPart]:
    """Read a multipart form; a form that cannot be read has no parts.

    A text has at most `most_field_bytes`, except a data: URL.

    Raises:
        RequestEntityTooLarge: there are more parts, or a text is longer.
    """
    head = b""
    if not boundary:
        head = body.read(_BLOCK_BYTES)
        boundary = find_boundary(head[:HEAD_BYTES])
        if not boundary:
            return []
    decoder = MultipartDecoder(
        boundary.encode("latin-1", "replace"), most_field_bytes, max_parts=most_parts
    )
    parts = list[FormPart]()
    try:
        for event, content in _contents(decoder, body, head, most_field_bytes):
            parts.append(_make_part(event, content))
    except ValueError:  # the decoder's error for an invalid form
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


def _contents(
    decoder: MultipartDecoder, body: _Readable, head: bytes, most_field_bytes: int
) -> Iterator[tuple[Field | File, bytes]]:
    part: Field | File | None = None
    content = io.BytesIO()
    while True:
        event = decoder.next_event()
        if isinstance(event, NeedData):
            block, head = head or body.read(_BLOCK_BYTES), b""
            decoder.receive_data(block or None)
        elif isinstance(event, Field | File):
            part, content = event, io.BytesIO()
        elif isinstance(event, Data):
            content.write(event.data)
            if isinstance(part, Field) and content.tell() > most_field_bytes:
                _allow(part, content)
            if not event.more_data and part is not None:
                yield part, content.getvalue()
        elif isinstance(event, Epilogue):
            return


def _allow(part: Field, content: io.BytesIO) -> None:
    """Accept a long text if it is a picture: the limit of the request applies to it."""
    head = content.getbuffer()[:IMAGE_HEAD_BYTES].tobytes()
    if not (is_image_part(part.headers) or is_image(head) or head.startswith(b"data:")):
        raise RequestEntityTooLarge()


def _make_part(event: Field | File, content: bytes) -> FormPart:
    kind: Kind = "text"
    if isinstance(event, File):
        return FormPart("file", event.name or "", event.filename, content)
    if is_image_part(event.headers) or is_image(content[:IMAGE_HEAD_BYTES]):
        kind = "picture"
    return FormPart(kind, event.name or "", "", content)
