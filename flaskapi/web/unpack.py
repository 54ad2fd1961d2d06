"""Bodies that were packed on their way (`Content-Encoding`), unpacked within the same limits."""

import io
import zlib
from collections.abc import Callable, Iterator

from flask import Request, current_app

from flaskapi.digits.formats import IMAGE_HEAD_BYTES, is_image
from flaskapi.errors import InvalidRequestError, TooLargeError, UnsupportedImageError

_GZIP, _ZLIB = {"gzip", "x-gzip"}, {"deflate"}
_NOT_READ = {"br", "zstd", "compress", "x-compress", "lzma", "xz"}
_BLOCK_BYTES = 1 << 16
_WRAPPED = 32 + zlib.MAX_WBITS  # zlib's and gzip's own headers, told apart by it
_ADVICE = "Send it without Content-Encoding, or packed by gzip."


def unpack_request(request: Request) -> Request:
    """Give the same request with its body unpacked; as it is where its body is not packed, though
    the header says so.

    Raises:
        InvalidRequestError: it is damaged or cut off.
        TooLargeError: it unpacks to more than MAX_REQUEST_BYTES.
        UnsupportedImageError: it is packed in a way that is not read.
    """
    body, encoding = request.get_data(cache=False), encoding_of(request)
    if is_packed(body[:2], encoding):
        most = current_app.config["MAX_REQUEST_BYTES"]
        body = b"".join(unpack_blocks(io.BytesIO(body).read, most, "MAX_REQUEST_BYTES"))
    elif encoding in _NOT_READ and not _is_plain(body):
        raise UnsupportedImageError(
            f"The body is packed as {encoding!r} (Content-Encoding), which is not read. {_ADVICE}"
        )
    return with_body(request, body)


def encoding_of(request: Request) -> str:
    """How the body is packed, as the request says."""
    return (request.content_encoding or "").strip().lower()


def is_packed(head: bytes, encoding: str) -> bool:
    """Is a body of this beginning packed as its header says? Clients set the header by mistake."""
    return (encoding in _GZIP and head[:2] == b"\x1f\x8b") or (
        encoding in _ZLIB and head[:1] == b"\x78"
    )


def unpack_blocks(read: Callable[[int], bytes], most: int, setting: str) -> Iterator[bytes]:
    """Unpack what `read` gives, block by block; it raises as `unpack_request` does.

    Args:
        read: gives at most so many bytes, and none at the end.
        most: the bytes that it may unpack to, by `setting`.
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
                if engine.eof:  # another may follow, as in files that were put together
                    packed, engine = engine.unused_data, zlib.decompressobj(_WRAPPED)
    except zlib.error as error:
        raise InvalidRequestError(f"The body's packing is damaged: {error}. {_ADVICE}") from error
    if not is_whole:
        raise InvalidRequestError(f"The body's packing is cut off. {_ADVICE}")


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
