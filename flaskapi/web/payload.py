"""Read the image of a request, in any supported form."""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Request, current_app
from werkzeug.http import quote_header_value

from flaskapi.contract.queries import NOTHING, Query
from flaskapi.digits.formats import IMAGE_HEAD_BYTES, is_image
from flaskapi.digits.pages import count_pages
from flaskapi.errors import InvalidRequestError, MissingImageError, UnsupportedImageError
from flaskapi.sources.archives import kind_of
from flaskapi.sources.tables import table_kind
from flaskapi.sources.tarred import BLOCK_BYTES
from flaskapi.web.advice import advise
from flaskapi.web.encoded import decode_text, decode_value
from flaskapi.web.forms import HEAD_BYTES, FormPart, find_boundary, read_pairs, read_parts
from flaskapi.web.unpack import unpack_request, with_body

_MANY = "Send many images, or an archive of them, to POST /predict/batch."
_PAIRS = "application/x-www-form-urlencoded"
_UNSAID = ("application/octet-stream", "", "application/pdf", "application/x-pdf")
# JSON, forms and data: URLs begin with these; no supported image or archive does.
_ODD_BEGINNINGS = (b"{", b"[", b"-", b"d", b"D", b" ", b"\n", b"\r", b"\t")


class Upload(NamedTuple):
    """An image file as it was sent; `name` is for messages, `filename` the sender's, if any."""

    name: str
    data: bytes
    filename: str = ""


def read_query(request: Request, known: Query = NOTHING) -> dict[str, str]:
    """Read the query of a request.

    Args:
        request: the request.
        known: the fields that there can be, as `contract/queries.py` has them.

    Raises:
        InvalidRequestError: another parameter, or another value; the text names it.
    """
    if not request.query_string:
        return {}
    for name, value in request.args.items(multi=True):
        if name not in known:
            raise InvalidRequestError(
                f"The query parameter {name!r} is unknown; this route takes "
                f"{' or '.join(map(repr, known)) or 'none'}."
            )
        if len(request.args.getlist(name)) > 1:
            raise InvalidRequestError(f"The query parameter {name!r} is given more than once.")
        field = known[name]
        if not re.fullmatch(field.form, value, re.ASCII):
            raise InvalidRequestError(
                f"The query's {name!r} is {value!r}; it must be {field.words}."
            )
    return request.args.to_dict()


def read_image(request: Request) -> Upload:
    """Read the one image of a request.

    Raises:
        MissingImageError: there is none, or it is empty.
        InvalidRequestError: malformed JSON or multipart, or several images.
        UnsupportedImageError: an archive, or a body whose type cannot be an image.
        TooLargeError: the unpacked body exceeds the limit.
    """
    if request.content_encoding:
        request = unpack_request(request)
    if request.mimetype == "multipart/form-data":
        upload = _read_form(request)
    elif request.is_json:
        upload = _read_json(read_document(request))
    elif request.mimetype.startswith("image/") or request.mimetype in _UNSAID:
        upload = Upload("the body", request.get_data(cache=False))
        if upload.data[:1] in _ODD_BEGINNINGS:
            upload = _read_untyped(request, upload.data) or upload
    elif request.mimetype.startswith("text/") or request.mimetype == _PAIRS:
        upload = _read_text(request)
    else:
        raise UnsupportedImageError(_not_an_image(request))
    if not upload.data:
        raise MissingImageError(
            f"{upload.name[:1].upper()}{upload.name[1:]} is empty. {advise().image}"
        )
    if kind_of(upload.data[:BLOCK_BYTES]) is not None:
        raise UnsupportedImageError(f"This is an archive; this route reads one image. {_MANY}")
    if table := table_kind(upload.data[:BLOCK_BYTES]):
        raise UnsupportedImageError(
            f"This is a file of pixels ({table.upper()}); this route reads one image. {_MANY}"
        )
    return upload


def tell_pages(image: bytes) -> dict[str, int]:
    """The members of an answer for a file with several pages, of which the first was read."""
    pages = count_pages(image, max_pixels=current_app.config["MAX_IMAGE_PIXELS"])
    return {"page": 1, "pages": pages} if pages > 1 else {}


def _not_an_image(request: Request) -> str:
    return f"{request.mimetype}, the type of the request, is not an image. {advise().image} {_MANY}"


def _read_form(request: Request) -> Upload:
    settings = current_app.config
    parts = read_parts(
        request.stream,
        request.mimetype_params.get("boundary", ""),
        most_parts=settings["MAX_FORM_PARTS"],
        most_field_bytes=settings["MAX_FORM_FIELD_BYTES"],
    )
    files = [part for part in parts if part.kind == "file" and part.name == "file"]
    if not files:
        return _read_other_part(parts)
    if len(files) > 1:
        raise InvalidRequestError(
            f"The field 'file' was sent {len(files)} times; this route reads one image. {_MANY}"
        )
    if not files[0].filename:
        raise MissingImageError(f"No file was chosen in the field 'file'. {advise().image}")
    return Upload(f"the file '{files[0].filename}'", files[0].content, files[0].filename)


def _read_other_part(parts: Sequence[FormPart]) -> Upload:
    """Read the one part that can be the image, in a form without a file in the field 'file'."""
    if not parts:
        raise InvalidRequestError(
            f"The multipart body has no readable part: it may be truncated, or its boundary wrong. "
            f"{advise().boundary} {advise().image}"
        )
    pictures = [
        part
        for part in parts
        if part.kind == "picture" or (part.kind == "file" and (part.filename or part.content))
    ]
    pictures = [part for part in pictures if part.name == "file"] or pictures
    if len(pictures) == 1:
        (part,) = pictures
        name = f"the file '{part.filename}'" if part.filename else f"the field '{part.name}'"
        return Upload(name, part.content, part.filename)
    if not pictures and (upload := _read_pair(parts)):
        return upload
    if any(part.name == "file" for part in parts):
        raise MissingImageError(
            f"The field 'file' was sent as text, not as a file; with curl, write file=@7.png. "
            f"{advise().image}"
        )
    raise MissingImageError(
        f"There is no field 'file'; the form has "
        f"{', '.join(repr(part.name) for part in parts)}. {advise().image}"
    )


def _read_pair(parts: Sequence[FormPart]) -> Upload | None:
    """Read the single text of a form that is an image in base64 or a data: URL, if there is one."""
    urls = [part for part in parts if part.content[:5].lower() == b"data:"]
    for part in urls if len(urls) == 1 else ():
        name = f"the field '{part.name}'"
        return Upload(name, decode_text(part.content.decode("latin-1"), f"The field '{part.name}'"))
    for part in parts:
        if part.name in ("file", "image") and part.kind == "text":
            data = _decode_image_text(part.content)
            if data:
                return Upload(f"the field '{part.name}'", data)
    return None


def _decode_image_text(text: bytes) -> bytes:
    """Decode base64 that is an image; empty where it is not."""
    try:
        data = decode_text(text.decode("latin-1"), "The text")
    except MissingImageError:
        return b""
    return data if is_image(data[:IMAGE_HEAD_BYTES]) else b""


def _read_untyped(request: Request, body: bytes) -> Upload | None:
    """Read a body without a meaningful type that begins like JSON, a form or a data: URL; None if
    it is none of them.
    """
    if body.startswith(b"--"):
        if boundary := find_boundary(body[:HEAD_BYTES]):
            kind = "multipart/form-data; boundary=" + quote_header_value(boundary)
            return _read_form(with_body(request, body, CONTENT_TYPE=kind))
        return None
    text = body.lstrip()
    if text[:5].lower() == b"data:":
        return Upload("the body", decode_text(text.decode("latin-1"), "The body"))
    if text[:1] in (b"{", b"["):
        return _read_json(parse_document(body))
    return None


def _read_text(request: Request) -> Upload:
    """Read a body with the type of text or of a form of pairs: curl's default, and browsers' for
    text.
    """
    body = request.get_data(cache=False)
    if upload := _read_untyped(request, body):
        return upload
    if request.mimetype != _PAIRS:
        if data := _decode_image_text(body):
            return Upload("the body", data)
        raise UnsupportedImageError(_not_an_image(request))
    fields = ""
    if not is_image(body[:IMAGE_HEAD_BYTES]):
        pairs = read_pairs(
            body,
            most_parts=current_app.config["MAX_FORM_PARTS"],
            most_field_bytes=current_app.config["MAX_FORM_FIELD_BYTES"],
        )
        if upload := _read_pair(pairs):
            return upload
        fields = ", ".join(repr(pair.name[:40]) for pair in pairs[:9])
    raise MissingImageError(
        f"The request contains no image: its type is {request.mimetype}"
        f"{f', with the fields {fields}' if fields else ''}. {advise().image}"
    )


def _read_json(document: Any) -> Upload:
    if isinstance(document, list) and document and isinstance(document[0], int | float | list):
        return Upload("the list", decode_value(document, "The list"))
    if not isinstance(document, dict) or "image" not in document:
        has = ", ".join(map(repr, list(document)[:9])) if isinstance(document, dict) else ""
        raise MissingImageError(
            f'The JSON has no "image"{f", but {has}" if has else ""}. {advise().image}'
        )
    return Upload('"image"', decode_value(document["image"], '"image"'))


def read_document(request: Request) -> Any:
    """Parse a JSON body.

    Raises:
        InvalidRequestError: the body is not JSON.
    """
    return parse_document(request.get_data(cache=False))


def parse_document(body: bytes) -> Any:
    """Parse JSON; see `read_document`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, or nested a thousand levels deep
        document = None
    if document is None:
        raise InvalidRequestError("The body is not valid JSON.")
    return document


def as_whole(value: Any) -> Any:
    """Give a number of JSON as an `int` where it is whole: to JSON Schema, 7.0 is the integer 7.

    >>> as_whole(7.0), as_whole(7.5), as_whole(None)
    (7, 7.5, None)
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value
