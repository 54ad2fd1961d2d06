"""Bytes as somebody sent them to grey pixels, upright, with nothing transparent left."""

import io
from typing import NamedTuple

import cv2
import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)
from PIL import Image as Pillow

from flaskapi.arrays import Floats
from flaskapi.digits import Box, Image
from flaskapi.digits.foreign import decode_foreign
from flaskapi.digits.formats import (
    FOREIGN_TYPES,
    FORMAT_NAMES,
    HEAD_BYTES,
    Foreign,
    foreign_kind,
    name_unread,
)
from flaskapi.errors import InvalidImageError, TooLargeError, UnsupportedImageError

# Pillow imports its readers when it meets an unknown file, and then all of them; these are the ones
# that may run here.
FORMATS = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        WebPImagePlugin.WebPImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
_SIGNATURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}

_COLOURED = {"RGB", "P", "CMYK", "YCbCr", "LAB"}
_ORIENTATION_TAG = 0x0112
# Where Pillow keeps what getexif() reads.
_EXIF_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


class Layout(NamedTuple):
    """How the pixels of an image file lie: their width and height as stored, and what EXIF says of
    them, 1 where it says nothing.
    """

    width: int
    height: int
    orientation: int


class Decoded(NamedTuple):
    """The pixels of an image file.

    `views` has one `uint8 (height, width)`; transparent parts are composed on white (on black,
    where what is visible is light). Where EXIF data say that the picture is turned, it has two:
    turned as they say, and as it is stored, for some phones write an orientation into photographs
    that are upright already.
    """

    views: tuple[Image, ...]
    layout: Layout


def media_type(data: bytes) -> str:
    """Tell by its first bytes what an image file is that `decode_image` has decoded, whatever its
    sender called it.
    """
    if kind := foreign_kind(data[:HEAD_BYTES]):
        return FOREIGN_TYPES[kind]
    return next(
        (name for signature, name in _SIGNATURES.items() if data.startswith(signature)),
        "application/octet-stream",
    )


def decode_image(
    data: bytes, *, max_pixels: int, max_side_px: int, by_colour: bool = False
) -> Decoded:
    """Decode an image file of any of the formats and colour modes that people send.

    Args:
        data: a whole PNG, JPEG, GIF, BMP, WebP, TIFF, HEIC, AVIF or PDF file; of an animation the
            first frame is taken, of several pages the first.
        max_pixels: refuse more than this, by the header, before anything is decoded.
        by_colour: take the one of red, green and blue that varies most, in place of the luminance,
            in which an ink may be as light as its paper; a picture without colour, or with
            transparent parts, is not decoded for it, and gives none.
        max_side_px: reduce a larger image until its longer side is at most this; a JPEG is never
            decoded much larger.

    Raises:
        UnsupportedImageError: the bytes are not of a format that is read.
        InvalidImageError: truncated or corrupt.
        TooLargeError: more than `max_pixels`.
    """
    if kind := foreign_kind(data[:HEAD_BYTES]):
        return _decode_foreign(data, kind, max_pixels, max_side_px, by_colour)
    try:
        image = _open(data)
        width, height = image.size
        if width * height > max_pixels:
            raise TooLargeError(
                f"The image has {width} x {height} pixels; at most {max_pixels:,} pixels in all "
                f"are read."
            )
        if by_colour and (image.mode not in _COLOURED or image.has_transparency_data):
            return Decoded((), Layout(width, height, 1))
        # A JPEG is decoded at 1/2, 1/4 or 1/8 where that is still enough.
        image.draft("RGB" if by_colour else "L", (max_side_px, max_side_px))
        image.load()
        orientation = _orientation(image)
        pixels = _grey(image, max_side_px, by_colour)
    except (TooLargeError, UnsupportedImageError):
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise TooLargeError(
            f"The image's header claims too many pixels; at most {max_pixels:,} are read."
        ) from error
    # Pillow raises OSError, ValueError, TypeError, SyntaxError, struct.error and more for damaged
    # files.
    except Exception as error:
        raise InvalidImageError(
            "The image cannot be decoded whole: it is truncated or damaged."
        ) from error
    layout = Layout(width, height, orientation)
    if orientation in _UPRIGHT:
        turned = np.asarray(Pillow.fromarray(pixels).transpose(_UPRIGHT[orientation]))
        return Decoded((turned, pixels), layout)
    return Decoded((pixels,), layout)


def _decode_foreign(
    data: bytes, kind: Foreign, max_pixels: int, max_side_px: int, by_colour: bool
) -> Decoded:
    image, width, height, *_ = decode_foreign(
        data, kind, max_pixels=max_pixels, max_side_px=max_side_px
    )
    layout = Layout(width, height, 1)  # it comes upright
    if by_colour and (image.mode not in _COLOURED or image.has_transparency_data):
        return Decoded((), layout)
    return Decoded((_grey(image, max_side_px, by_colour),), layout)


def read_layout(data: bytes) -> Layout:
    """Read the layout of an image file that `decode_image` has read."""
    image = _open(data)
    return Layout(*image.size, _orientation(image))


def turn_box(box: Box, layout: Layout) -> Box:
    """From pixels as stored to pixels turned as EXIF says, which is how others show the picture
    (EXIF 2.32, orientation).
    """
    x, y, width, height = box
    if layout.orientation in (2, 3, 7, 8):
        x = layout.width - x - width
    if layout.orientation in (3, 4, 6, 7):
        y = layout.height - y - height
    return Box(x, y, width, height) if layout.orientation < 5 else Box(y, x, height, width)


def _open(data: bytes) -> Pillow.Image:
    try:
        return Pillow.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if name := name_unread(data[:HEAD_BYTES]):
            raise UnsupportedImageError(
                f"This is {name}, which this service does not read; it reads {FORMAT_NAMES}."
            ) from None
        if data.startswith(tuple(_SIGNATURES)):
            raise
        raise UnsupportedImageError(
            f"This is not an image that this service reads: {FORMAT_NAMES}."
        ) from None


def _orientation(image: Pillow.Image) -> int:
    if (
        not _EXIF_KEYS & image.info.keys()
    ):  # asking Pillow for what is not there costs as much as decoding a small picture
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data raise anything; the pixels may be sound all the same
        return 1


def _grey(image: Pillow.Image, max_side_px: int, by_colour: bool) -> Image:
    """The luminance, `uint8 (height, width)`, reduced, of an image in any of Pillow's modes."""
    if image.has_transparency_data:
        return _compose(
            _reduce(image if image.mode == "RGBA" else image.convert("RGBA"), max_side_px)
        )
    if image.mode in ("1", "P"):
        image = image.convert("RGB" if by_colour else "L")
    image = _reduce(image, max_side_px)
    if image.mode.startswith(("I", "F")):
        return _eight_bits(np.asarray(image, np.float32))
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if by_colour and image.mode == "RGB":
        return max(
            (np.asarray(channel) for channel in image.split()),
            key=lambda channel: float(channel.std()),
        )
    return np.asarray(image if image.mode == "L" else image.convert("L"))


def _reduce(image: Pillow.Image, max_side_px: int) -> Pillow.Image:
    """Reduce by area, so that thin strokes grow fainter instead of breaking, before anything else
    takes memory.
    """
    width, height = image.size
    scale = max_side_px / max(width, height)
    if scale >= 1:
        return image
    if image.mode.startswith("I;16"):
        image = image.convert("I")
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image.resize(size, Pillow.Resampling.BOX, reducing_gap=1)


def _eight_bits(values: Floats) -> Image:
    """Stretch 16-bit, 32-bit and floating point greys, whose full range is anybody's guess, over 0
    to 255.
    """
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    return ((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)


def _compose(image: Pillow.Image) -> Image:
    """Lay a picture with transparent parts on the ground against which its visible part can be
    seen.
    """
    opacity = np.asarray(image.getchannel("A"))
    shown = cv2.multiply(np.asarray(image.convert("L")), opacity, scale=1 / 255)
    is_light = int(opacity.min()) < 128 and float(shown.mean()) > 0.5 * float(opacity.mean())
    return shown if is_light else cv2.add(shown, 255 - opacity)
