"""The outline of an image file, read before anything is decoded: its size, its parts, its cost.

Decoders do whatever a file tells them to. Here a file is read part by part. Parts that no decoder
needs are left out, and parts that no honest picture has are rejected.
"""

from collections.abc import Callable

from flaskapi.digits.formats import image_type
from flaskapi.digits.outline import bmp, gif, jpeg, png, tiff, webp
from flaskapi.digits.outline.parts import DAMAGED, Outline
from flaskapi.errors import InvalidImageError

_READERS: dict[str | None, Callable[[bytes], Outline]] = {
    "image/png": png.read,
    "image/jpeg": jpeg.read,
    "image/gif": gif.read,
    "image/bmp": bmp.read,
    "image/webp": webp.read,
    "image/tiff": tiff.read,
}


def read_outline(data: bytes) -> Outline | None:
    """Read the parts of an image file. It takes at most some milliseconds, whatever the file.

    Args:
        data: a whole PNG, JPEG, GIF, BMP, WebP or TIFF file.

    Returns:
        The outline, or None if the first bytes are those of another format.

    Raises:
        InvalidImageError: the parts are truncated or damaged.
        TooLargeError: the file has more parts than an honest picture.
    """
    read = _READERS.get(image_type(data))
    if read is None:
        return None
    try:
        return read(data)
    except (IndexError, ValueError, OverflowError) as error:
        raise InvalidImageError(DAMAGED) from error


def cut(data: bytes) -> bytes:
    """Cut off the bytes after the picture in an image file that was read, so that nothing else in
    it is kept.
    """
    outline = read_outline(data)
    return data if outline is None or outline.end >= len(data) else data[: outline.end]
