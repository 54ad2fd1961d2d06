"""Unpack compressed bodies (`Content-Encoding`), within the same limits."""

import io
import zlib
from collections.abc import Callable, Iterator

from flask import Request, current_app

from flaskapi.digits.formats import IMAGE_HEAD_BYTES, is_image
from flaskapi.errors import InvalidRequestError, TooLargeError, UnsupportedImageError

_GZIP, _ZLIB = {"gzip", "x-gzip"}, {"deflate"}
_NOT_READ = {"br", "zstd", "compress", "x-compress", "lzma", "xz"}
_BLOCK_BYTES = 1 << 16
_WRAPPED = 32 + zlib.MAX_WBITS  # detect zlib's or gzip's header
_ADVICE = "Send it without Content-Encoding, or compressed with gzip."


def unpack_request(request: Request) -> Request:
    """Give the same request with its body unpacked; unchanged if the body is not compressed,
    whatever the header says.

    Raises:
        InvalidRequestError: the body is damaged or truncated.
        TooLargeError: the body unpacks to more than MAX_REQUEST_BYTES.
        UnsupportedImageError: the compression is not supported.
    """
    body, encoding = request.get_data(cache=False), encoding_of(request)
    if is_packed(body[:2], encoding):
        most = current_app.config["MAX_REQUEST_BYTES"]
        body = b"".join(unpack_blocks(io.BytesIO(body).read, most, "MAX_REQUEST_BYTES"))
    elif encoding in _NOT_READ and not _is_plain(body):
        raise UnsupportedImageError(
            f"The body's compression, {encoding!r} (Content-Encoding), is not supported. {_ADVICE}"
        )
    return with_body(request, body)


def encoding_of(request: Request) -> str:
    """The compression that the request declares."""
    return (request.content_encoding or "").strip().lower()


def is_packed(head: bytes, encoding: str) -> bool:
    """Does a body begin as its header says? Clients sometimes set the header by mistake."""
    return (encoding in _GZIP and head[:2] == b"\x1f\x8b") or (
        encoding in _ZLIB and head[:1] == b"\x78"
    )


def unpack_blocks(read: Callable[[int], bytes], most: int, setting: str) -> Iterator[bytes]:
    """Unpack what `read` gives, block by block; raises the errors of `unpack_request`.

    Args:
        read: gives at most so many bytes, and none at the end.
        most: the most bytes that it may unpack to.
        setting: the name of the setting that says so.
    """
    unpacked, engine, is_whole = 0, zlib.decompressobj(_WRAPPED), True
    try:
        while packed := read(_BLOCK_BYTES):
            while packed:
                block = engine.decompress(packed, _BLOCK_BYTES)
                unpacked += len(block)
                if unpacked > most:
                    raise TooLargeError(
                        f"The body unpacks to more than {most:,} bytes ({setting})."
                    )
                yield block
                packed, is_whole = engine.unconsumed_tail, engine.eof
                if engine.eof:  # another member may follow, as in concatenated files
                    packed, engine = engine.unused_data, zlib.decompressobj(_WRAPPED)
    except zlib.error as error:
        raise InvalidRequestError(f"The compressed body is damaged: {error}. {_ADVICE}") from error
    if not is_whole:
        raise InvalidRequestError(f"The compressed body is truncated. {_ADVICE}")


def with_body(request: Request, body: bytes, **environ: str) -> Request:
    """Give the same request with another body, and other entries of its environment."""
    kept = {
        name: value
        for name, value in request.environ.items()
        if not name.startswith("werkzeug.") and name != "HTTP_CONTENT_ENCODING"
    }
    kept.pop("HTTP_TRANSFER_ENCODING", None)
    kept |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))} | environ
    return request.__class__(kept, populate_request=False)


def _is_plain(body: bytes) -> bool:
    return is_image(body[:IMAGE_HEAD_BYTES]) or body[:2] == b"--" or body[:1] in (b"{", b"[")
