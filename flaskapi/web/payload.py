"""Read the image out of a request, in any of the three ways it may be sent."""

import base64
import binascii
import re
from typing import Any, NamedTuple

from flask import Request

from flaskapi.errors import InvalidRequestError, MissingImageError, UnsupportedImageError
from flaskapi.sources.archives import kind_of
from flaskapi.sources.tarred import BLOCK_BYTES

_WAYS = (
    "Send it as multipart/form-data in the field 'file' (curl -F file=@7.png), as the body with "
    "its own type "
    '(curl --data-binary @7.png -H \'Content-Type: image/png\'), or as JSON {"image": "<base64>"}.'
)
KEEP = ("true|false", "true or false")  # the query's `keep`, on every route that reads images
_MANY = "Many images, and archives of them, go to POST /predict/batch."


class Upload(NamedTuple):
    """An image file as it was sent; `name` is for messages, the sender chose it."""

    name: str
    data: bytes


def read_query(request: Request, **known: tuple[str, str]) -> dict[str, str]:
    """Read the query of a request.

    Args:
        request: whose query may have some fields, or none.
        known: of each field, a regular expression for its values, and the same in words.

    Raises:
        InvalidRequestError: another field, or another value; the text names it.
    """
    for name, value in request.args.items(multi=True):
        if name not in known:
            raise InvalidRequestError(
                f"The query's {name!r} is unknown; the query can have "
                f"{' or '.join(map(repr, known)) or 'nothing'}."
            )
        if len(request.args.getlist(name)) > 1:
            raise InvalidRequestError(f"The query has {name!r} more than once.")
        form, words = known[name]
        if not re.fullmatch(form, value, re.ASCII):
            raise InvalidRequestError(f"The query's {name!r} is {value!r}; it can be {words}.")
    return request.args.to_dict()


def read_image(request: Request) -> Upload:
    """Read the one image that a request carries.

    Raises:
        MissingImageError: there is none, or it is empty.
        InvalidRequestError: malformed JSON or multipart, or several images.
        UnsupportedImageError: an archive, or a body of a type that can be no image.
    """
    if request.mimetype == "multipart/form-data":
        upload = _read_form(request)
    elif request.is_json:
        upload = _read_json(request)
    elif request.mimetype.startswith("image/") or request.mimetype in (
        "application/octet-stream",
        "",
    ):
        upload = Upload("the body", request.get_data(cache=False))
    elif (
        request.mimetype == "application/x-www-form-urlencoded"
    ):  # what curl --data-binary says unless told otherwise
        raise MissingImageError(
            f"The request carries no image: its type is {request.mimetype}. {_WAYS}"
        )
    else:
        raise UnsupportedImageError(
            f"The request's type, {request.mimetype}, is not an image's. {_WAYS} {_MANY}"
        )
    if not upload.data:
        raise MissingImageError(f"{upload.name[:1].upper()}{upload.name[1:]} is empty. {_WAYS}")
    if kind_of(upload.data[:BLOCK_BYTES]) is not None:
        raise UnsupportedImageError(f"This is an archive, and one image is read here. {_MANY}")
    return upload


def _read_form(request: Request) -> Upload:
    files = request.files.getlist("file")
    if not files:
        if "file" in request.form:
            raise MissingImageError(
                f"The field 'file' came as text, not as a file; with curl, write file=@7.png. "
                f"{_WAYS}"
            )
        if not request.files and not request.form:
            raise InvalidRequestError(
                f"The multipart body has no readable part: is it cut off, or its boundary wrong? "
                f"{_WAYS}"
            )
        raise MissingImageError(
            f"There is no field 'file'; there are: "
            f"{', '.join(map(repr, [*request.files, *request.form]))}. {_WAYS}"
        )
    if len(files) > 1:
        raise InvalidRequestError(
            f"The field 'file' came {len(files)} times; one image is read here. {_MANY}"
        )
    if not files[0].filename:
        raise MissingImageError(f"No file was chosen in the field 'file'. {_WAYS}")
    return Upload(f"the file '{files[0].filename}'", files[0].read())


def _read_json(request: Request) -> Upload:
    document = read_document(request)
    if not isinstance(document, dict) or "image" not in document:
        raise MissingImageError('The JSON has no "image". ' + _WAYS)
    return Upload('"image"', decode_text(document["image"], '"image"'))


def read_document(request: Request) -> Any:
    """Parse a JSON body.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        document = request.get_json(silent=True, cache=False)
    except RecursionError:  # brackets within brackets, a thousand deep
        document = None
    if document is None:
        raise InvalidRequestError("The body is not valid JSON.")
    return document


def decode_text(text: Any, name: str) -> bytes:
    """Decode an image file that was sent as text, in base64 or as a data: URL.

    Raises:
        InvalidRequestError: it is no text.
        MissingImageError: it is not base64.
    """
    if not isinstance(text, str):
        raise InvalidRequestError(f"{name} must be text: the image file in base64, or a data: URL.")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise MissingImageError(f"{name} is not valid base64.") from None
