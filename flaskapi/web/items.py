"""Read the images of a request that contains many, one after another, in any supported form."""

import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from typing import IO, Any

from flask import Request, current_app
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData

from flaskapi.digits.formats import IMAGE_HEAD_BYTES, foreign_kind, is_image
from flaskapi.digits.pages import MOST_PAGES, count_pages
from flaskapi.errors import (
    FlaskapiError,
    InvalidRequestError,
    MissingImageError,
    TooLargeError,
    UnsupportedImageError,
)
from flaskapi.reading.many import split_items
from flaskapi.sources import Allowance, Item
from flaskapi.sources.archives import FORMAT_NAMES, kind_of, read_file
from flaskapi.sources.tables import table_kind
from flaskapi.sources.tarred import BLOCK_BYTES
from flaskapi.web.advice import advise
from flaskapi.web.encoded import decode_value
from flaskapi.web.forms import HEAD_BYTES, find_boundary, is_image_type
from flaskapi.web.gate import copy_body, receive, told_of_room
from flaskapi.web.payload import read_document
from flaskapi.web.unpack import encoding_of, is_packed, unpack_blocks, unpack_request

_WAYS = (
    f"Send an archive ({FORMAT_NAMES}) as the body (curl --data-binary @images.zip -H "
    f"'Content-Type: application/zip'), images or archives "
    "as multipart/form-data in fields 'file' (curl -F file=@1.png -F file=@2.png), or JSON "
    '{"images": ["<base64>", …]}.'
)
_BROKEN_FORM = "The multipart body cannot be read: it may be truncated, or its boundary wrong."
_ARCHIVES = {
    f"application/{name}"
    for name in (
        *("zip", "x-zip-compressed", "x-tar", "x-gtar", "gzip", "x-gzip", "octet-stream"),
        *("pdf", "x-npy", "x-idx3-ubyte"),
    )
} | {"", "text/csv", "text/tab-separated-values"}
_IN_MEMORY_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 16
_BODY_S = 3600.0  # the longest time that a body may take to arrive


def read_items(request: Request, *, split: bool = True) -> Generator[Item]:
    """Read every image of a request, at least one, in the order sent.

    The whole body is received first, a large one into a temporary file. Under mod_wsgi's daemons
    no line of an answer reaches a client that is still sending. An application that answers while
    it reads would block together with Apache once both buffers are full (measured).

    Args:
        request: its body is read once.
        split: give each page of a file as an item of its own.

    Raises:
        MissingImageError: there is no image.
        InvalidRequestError: malformed JSON or multipart.
        TooLargeError: more bytes or images than the limits allow.
        UnsupportedImageError: the body is neither an archive nor an image.
    """
    most: int = current_app.config["MAX_BATCH_IMAGES"]
    allowance = Allowance(
        current_app.config["MAX_REQUEST_BYTES"], current_app.config["MAX_BATCH_BYTES"]
    )
    if request.is_json:
        if request.content_encoding:
            request = unpack_request(request)
        return _at_most(most, split, _read_json(read_document(request), most))
    if request.mimetype == "multipart/form-data":
        return _at_most(
            most,
            split,
            _read_form(_spool(request), request.mimetype_params.get("boundary", ""), allowance),
        )
    if request.mimetype in _ARCHIVES or request.mimetype.startswith("image/"):
        return _at_most(most, split, _read_body(_spool(request), request.mimetype, allowance))
    if (
        request.mimetype == "application/x-www-form-urlencoded"
    ):  # curl --data-binary sends this type by default
        raise MissingImageError(
            f"The request contains no image: its type is {request.mimetype}. {_WAYS}"
        )
    raise UnsupportedImageError(
        f"{request.mimetype}, the type of the request, is not an archive or an image. {_WAYS}"
    )


def count_images(items: Iterable[Item]) -> int:
    """How many images there are in the items of a request that were not split into pages."""
    count, max_pixels = 0, current_app.config["MAX_IMAGE_PIXELS"]
    for item in items:
        pages = 1
        if isinstance(item.content, bytes):
            with suppress(FlaskapiError):  # it is answered as one error
                pages = count_pages(item.content, max_pixels=max_pixels)
        count += min(pages, MOST_PAGES + 1)
    return count


def receive_items(request: Request) -> int:
    """Receive the whole body of a request with many images, which `read_again` then reads; a large
    one into a temporary file.

    Returns:
        The size of the body in bytes.

    Raises:
        TooLargeError: it is larger than MAX_BATCH_BYTES.
        RequestTimeout: it did not arrive in time.
        OverloadedError: the disk has no space for it.
    """
    most = request.max_content_length = current_app.config["MAX_BATCH_BYTES"]
    try:
        return receive(request, within_s=_BODY_S)
    except RequestEntityTooLarge:
        raise _too_large(most) from None


def read_again(request: Request) -> Request:
    """The same request from the beginning of its body, which was received."""
    request.environ["wsgi.input"].seek(0)
    return request.__class__(request.environ, populate_request=False)


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(
        f"The request is larger than the limit of this service: MAX_BATCH_BYTES = {most:,}."
    )


def _spool(request: Request) -> IO[bytes]:
    most = request.max_content_length = current_app.config["MAX_BATCH_BYTES"]
    spool = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 closed by the generator that reads it
    try:
        copy_body(request.stream, spool, _BODY_S)
    except RequestEntityTooLarge:
        spool.close()
        raise _too_large(most) from None
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return _unpack(spool, encoding_of(request), most) if request.content_encoding else spool


def _unpack(packed: IO[bytes], encoding: str, most: int) -> IO[bytes]:
    """Unpack a body that is compressed as a whole (`Content-Encoding`); leave others unchanged."""
    head = packed.read(BLOCK_BYTES)
    packed.seek(0)
    if not is_packed(head, encoding):
        return packed
    spool = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 closed by the generator that reads it
    try:
        with packed, told_of_room():
            spool.writelines(unpack_blocks(packed.read, most, "MAX_BATCH_BYTES"))
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def _at_most(most: int, split: bool, items: Generator[Item]) -> Generator[Item]:
    with closing(items):
        max_pixels = current_app.config["MAX_IMAGE_PIXELS"]
        yield from _first(most, split_items(items, max_pixels) if split else items)


def _first(most: int, items: Iterator[Item]) -> Iterator[Item]:
    for count, item in enumerate(items):
        if count == most:
            yield Item(
                item.name,
                TooLargeError(
                    f"There are more than {most:,} images (MAX_BATCH_IMAGES); this one and the "
                    f"rest were not read."
                ),
            )
            return
        yield item


def _read_body(body: IO[bytes], mimetype: str, allowance: Allowance) -> Generator[Item]:
    with body:
        head = body.read(BLOCK_BYTES)
        body.seek(0)
        if not head:
            raise MissingImageError(f"The body is empty. {_WAYS}")
        is_many = kind_of(head) or table_kind(head) or foreign_kind(head)
        if not (is_many or mimetype.startswith("image/") or is_image(head[:IMAGE_HEAD_BYTES])):
            raise UnsupportedImageError(f"The body is not a supported archive. {_WAYS}")
        yield from read_file(body, "the body", allowance)


def _read_form(body: IO[bytes], boundary: str, allowance: Allowance) -> Generator[Item]:
    """Read the files in the fields `file`, each an image or an archive, or in any field if there
    are none. A truncated form ends in an error.
    """
    with body:
        boundary = boundary or find_boundary(body.read(HEAD_BYTES))
        empty = True
        for field in ("file", None):
            body.seek(0)
            try:
                for filename, file in _read_files(body, boundary, field):
                    empty = False
                    yield from _read_file_of_form(filename, file, allowance)
            except (ValueError, RequestEntityTooLarge, TooLargeError) as error:
                told = (
                    error
                    if isinstance(error, TooLargeError)
                    else InvalidRequestError(f"{_BROKEN_FORM} {advise().boundary} {_WAYS}")
                )
                if empty:
                    raise told from None
                yield Item("the form", told)
            if not empty:
                return
        raise MissingImageError(f"There is no file in a field 'file'. {_WAYS}")


def _read_file_of_form(filename: str, file: IO[bytes], allowance: Allowance) -> Iterator[Item]:
    try:
        yield from read_file(file, filename, allowance)
    except FlaskapiError as error:
        yield Item(filename, error)


def _read_files(
    body: IO[bytes], boundary: str, field: str | None
) -> Iterator[tuple[str, IO[bytes]]]:
    """Give the files of the fields of one name, or of any, one at a time. Werkzeug's form would
    keep all of them. A part without a file name counts if its type is an image's.
    """
    decoder = MultipartDecoder(
        boundary.encode("latin-1", "replace"), current_app.config["MAX_FORM_FIELD_BYTES"]
    )
    most = current_app.config["MAX_BATCH_IMAGES"] + current_app.config["MAX_FORM_PARTS"]
    wanted, parts = None, 0
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as file:
        while True:
            event = decoder.next_event()
            if isinstance(event, NeedData):
                block = body.read(_BLOCK_BYTES)
                decoder.receive_data(block or None)
            elif isinstance(event, File | Field):
                parts += 1
                if parts > most:
                    raise TooLargeError(
                        f"The form has more than {most:,} parts (MAX_BATCH_IMAGES + "
                        f"MAX_FORM_PARTS); the rest was not read."
                    )
                wanted = _file_name(event) if field in (None, event.name) else None
                file.seek(0)
                file.truncate()
            elif isinstance(event, Data):
                if wanted is not None:
                    file.write(event.data)
                if (
                    wanted is not None and not event.more_data and (wanted or file.tell())
                ):  # neither name nor content: no file was chosen
                    file.seek(0)
                    yield wanted, file
            elif decoder.complete:
                return


def _file_name(part: File | Field) -> str | None:
    """The file name of a part; the name of its field if it is an image without one; None if it is
    text.
    """
    if isinstance(part, File):
        return part.filename
    return (
        f"the field '{part.name}'" if is_image_type(part.headers.get("content-type", "")) else None
    )


def _read_json(document: Any, most: int) -> Generator[Item]:
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list) or not images:
        raise MissingImageError(f'The JSON has no list "images", or an empty one. {_WAYS}')
    if len(images) > most:
        raise TooLargeError(
            f"There are {len(images):,} images; at most {most:,} are read (MAX_BATCH_IMAGES)."
        )
    return (_read_entry(entry, f"images[{place}]") for place, entry in enumerate(images))


def _read_entry(entry: Any, name: str) -> Item:
    """Read an image as text, or an object with `image` and optionally `name`."""
    try:
        if isinstance(entry, dict):
            if isinstance(entry.get("name"), str):
                # JSON has halves of characters, which no text of UTF-8 has.
                name = entry["name"].encode("utf-8", "replace").decode()
            entry = entry.get("image")
        return Item(name, decode_value(entry, "The image"))
    except FlaskapiError as error:
        return Item(name, error)
