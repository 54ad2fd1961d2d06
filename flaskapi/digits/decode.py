"""Decode image files of any sender to grey pixels, upright and without transparency."""

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image as Pillow

from flaskapi.digits import Box, Image
from flaskapi.digits.apart import decoder
from flaskapi.digits.foreign import decode_foreign
from flaskapi.digits.formats import (
    FOREIGN_TYPES,
    FORMAT_NAMES,
    HEAD_BYTES,
    Foreign,
    foreign_kind,
    image_type,
    name_unread,
)
from flaskapi.digits.outline import read_outline
from flaskapi.digits.outline.parts import Outline
from flaskapi.digits.unpack import (
    COLOURED,
    FORMATS,
    TOO_MUCH_MEMORY,
    make_grey,
    too_many_pixels,
    turn,
    unpack,
)
from flaskapi.errors import TooLargeError, UnsupportedImageError

__all__ = [
    "FORMATS",
    "Decoded",
    "ImageFile",
    "Layout",
    "decode_image",
    "media_type",
    "read_layout",
    "turn_box",
]

_GREY = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
_ROW_BYTES = 8  # that Pillow takes for each row besides its pixels


class Layout(NamedTuple):
    """The layout of an image file's pixels: width and height as stored, and the EXIF orientation, 1
    if there is none.
    """

    width: int
    height: int
    orientation: int


class Decoded(NamedTuple):
    """The pixels of an image file.

    `views` has one `uint8 (height, width)`. Transparent parts are composed on white, or on black if
    the visible part is light. If the EXIF data say that the picture is turned, there are two views:
    turned, and as stored. Some phones write an orientation into photographs that are already
    upright.
    """

    views: tuple[Image, ...]
    layout: Layout


def media_type(data: bytes) -> str:
    """Recognize the media type of an image file that `decode_image` has decoded, by its first
    bytes. The sender's name for it does not matter.
    """
    if kind := foreign_kind(data[:HEAD_BYTES]):
        return FOREIGN_TYPES[kind]
    return image_type(data) or "application/octet-stream"


def decode_image(
    data: bytes, *, max_pixels: int, max_side_px: int, by_colour: bool = False
) -> Decoded:
    """Decode an image file of any format and colour mode that is read here.

    Args:
        data: a whole PNG, JPEG, GIF, BMP, WebP, TIFF, HEIC, AVIF or PDF file; of an animation the
            first frame is decoded, of several pages the first.
        max_pixels: reject an image with more, by its header, before anything is decoded.
        by_colour: decode the one of red, green and blue that varies most, in place of the
            luminance, in which an ink may be as light as its paper; a picture without colour, or
            with transparent parts, is not decoded, and has no views.
        max_side_px: reduce a larger image until its longer side is at most this; a JPEG is never
            decoded much larger.

    Raises:
        UnsupportedImageError: the bytes are not of a format that is read.
        InvalidImageError: truncated or corrupt.
        TooLargeError: more than `max_pixels`.
    """
    if kind := foreign_kind(data[:HEAD_BYTES]):
        return _decode_foreign(data, kind, max_pixels, max_side_px, by_colour)
    return ImageFile(data, max_pixels=max_pixels).decode(max_side_px, by_colour=by_colour)


def _decode_foreign(
    data: bytes, kind: Foreign, max_pixels: int, max_side_px: int, by_colour: bool
) -> Decoded:
    image, width, height, *_ = decode_foreign(
        data, kind, max_pixels=max_pixels, max_side_px=max_side_px
    )
    layout = Layout(width, height, 1)  # it comes upright
    if by_colour and (image.mode not in COLOURED or image.has_transparency_data):
        return Decoded((), layout)
    return Decoded((np.asarray(make_grey(image, max_side_px, by_colour)),), layout)


class ImageFile:
    """An image file whose structure is checked, and whose pixels can be decoded."""

    def __init__(self, data: bytes, *, max_pixels: int) -> None:
        """Check the structure. It raises what `decode_image` raises."""
        self._outline = _outline(data)
        self._max_pixels = max_pixels
        # Of CPU that is left, where the picture is decoded in the process apart.
        self._left_s = decoder().bounds.cpu_s
        width, height = self._outline.width, self._outline.height
        if width * height > max_pixels:
            raise too_many_pixels(width, height, max_pixels)
        if self._outline.memory + _ROW_BYTES * height > decoder().bounds.memory:
            raise TooLargeError(TOO_MUCH_MEMORY)
        self.layout = Layout(width, height, self._outline.orientation)

    def decode(self, max_side_px: int, *, by_colour: bool = False) -> Decoded:
        """Decode, as `decode_image` says."""
        if not by_colour and (grey := self._decode_grey(max_side_px)) is not None:
            return Decoded((grey,), self.layout)
        stored = self._decode(max_side_px, by_colour)
        if stored is None:
            return Decoded((), self.layout)
        stored = _eight_bits(stored) if stored.mode == "F" else stored
        pixels = np.asarray(stored)
        if self.layout.orientation == 1:
            return Decoded((pixels,), self.layout)
        turned = np.asarray(turn(stored, self.layout.orientation))
        # No telephone writes TIFF: what it says of how it is turned is so.
        is_sure = self._outline.format == "TIFF"
        return Decoded((turned,) if is_sure else (turned, pixels), self.layout)

    def _decode_grey(self, max_side_px: int) -> Image | None:
        """Decode a small grey picture, in a sixth of the time.

        None if it is neither, or may be damaged: OpenCV rejects files that Pillow may still read.
        """
        outline = self._outline
        is_small = outline.is_cheap and max(outline.width, outline.height) <= max_side_px
        if not (outline.is_grey and is_small and outline.orientation == 1):
            return None
        return cv2.imdecode(np.frombuffer(outline.data, np.uint8), _GREY)

    def _decode(self, max_side_px: int, by_colour: bool) -> Pillow.Image | None:
        outline = self._outline
        asked = {
            "format": outline.format,
            "max_pixels": self._max_pixels,
            "max_side_px": max_side_px,
            "by_colour": by_colour,
        }
        if outline.is_cheap:
            return unpack(outline.data, **asked)  # type: ignore[arg-type]
        if self._left_s <= 0:  # nothing was seen by its lightness; that was all it may take
            return None
        pixels, cpu_s = decoder().decode(outline.data, **asked, cpu_s=self._left_s)  # type: ignore[arg-type]
        # Another time takes as long, and what is looked at in it as long again: better none.
        self._left_s = self._left_s - cpu_s if 4 * cpu_s < self._left_s else 0
        return pixels


def _eight_bits(image: Pillow.Image) -> Pillow.Image:
    """Stretch greys of 16 or 32 bits over 0 to 255, since their full range is unknown."""
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    grey = ((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    return Pillow.fromarray(grey)


def read_layout(data: bytes) -> Layout:
    """Read the layout of an image file that `decode_image` has read."""
    outline = _outline(data)
    return Layout(outline.width, outline.height, outline.orientation)


def turn_box(box: Box, layout: Layout) -> Box:
    """Convert a box from pixels as stored to pixels turned as EXIF says. Other programs show the
    picture so (EXIF 2.32, orientation).
    """
    x, y, width, height = box
    if layout.orientation in (2, 3, 7, 8):
        x = layout.width - x - width
    if layout.orientation in (3, 4, 6, 7):
        y = layout.height - y - height
    return Box(x, y, width, height) if layout.orientation < 5 else Box(y, x, height, width)


def _outline(data: bytes) -> Outline:
    outline = read_outline(data)
    if outline is None and (name := name_unread(data[:HEAD_BYTES])):
        raise UnsupportedImageError(
            f"This is {name}, which this service does not read. It reads {FORMAT_NAMES}."
        )
    if outline is None:
        raise UnsupportedImageError(
            f"This is not an image that this service reads: {FORMAT_NAMES}."
        )
    return outline
