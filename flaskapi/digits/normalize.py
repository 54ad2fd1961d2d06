"""Convert a picture of one digit to MNIST's form, by the method of its authors.

They crop to the ink, scale it into 20x20 with its aspect ratio, anti-aliased, and put the centre of
mass at the centre of 28x28 (LeCun, Cortes, Burges: "The MNIST database of handwritten digits").
Before that the ink has to be found: `ink.py`.
"""

from typing import NamedTuple

import cv2
import numpy as np

from flaskapi.digits import Digit, Image, Ink, NormalizedDigit
from flaskapi.digits.ink import find_ink, find_inks

SIDE_PX = 28
BOX_PX = 20
# Where the centre of mass of every MNIST digit is, to half a pixel, counting pixels from 0
# (measured).
CENTER_PX = 14
# Strokes of MNIST are 2 to 4 pixels wide in the 20x20 box; a thinner one would fade when it is
# reduced.
THINNEST_STROKE_PX = 2.4
WIDE_PEN_PX = 3  # of radius
_ONES = np.ones(BOX_PX, np.float32)
_PLACES = np.arange(BOX_PX, dtype=np.float32)  # of columns or rows, counted from 0


def normalize_digit(image: Image) -> NormalizedDigit:
    """Prepare the one digit in a picture for the network.

    A picture in MNIST's form stays as it is, except for a shift of one pixel and the faintest part
    of its edge.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Raises:
        NoDigitFoundError: blank, uniform, or too faint to tell from the ground.
    """
    return _normalize(find_ink(image))


class Looks(NamedTuple):
    """The one digit in a picture, prepared in each way that may be right."""

    likely: list[NormalizedDigit]
    otherwise: list[NormalizedDigit]  # for where none of these is sure

    @property
    def all(self) -> list[NormalizedDigit]:
        """All of them, the likely ones first."""
        return self.likely + self.otherwise


def normalize_looks(image: Image) -> Looks:
    """Prepare the one digit in a picture in each way that may be right.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Raises:
        NoDigitFoundError: blank, uniform, or too faint to tell from the ground.
    """
    inks = find_inks(image)
    return Looks(
        [_normalize(ink) for ink in inks.likely], [_normalize(ink) for ink in inks.otherwise]
    )


def _normalize(ink: Ink) -> NormalizedDigit:
    digit = normalize_ink(ink.pixels)
    return NormalizedDigit(digit, ink.noticed, ink.size_px, ink.contrast, ink.is_doubted)


def fit_and_center(ink: Digit) -> Digit:
    """Scale ink, `float32 (height, width)` cropped to it, into MNIST's box and put its centre of
    mass at the centre of 28x28.
    """
    return _center(_fit(ink))


def normalize_ink(ink: Digit) -> Digit:
    """Convert ink, `float32 (height, width)` cropped to it, to the network's input, its thin
    strokes widened.
    """
    scale = BOX_PX / max(ink.shape)
    if scale <= 0.5:  # there still are pixels to do it with
        ink = thicken(ink, THINNEST_STROKE_PX / scale - stroke_width_px((ink > 0.5).view(np.uint8)))
    return fit_and_center(ink)


def thicken(ink: Digit, more_px: float) -> Digit:
    """Widen strokes by this many pixels, rounded to an even number. The picture grows by that
    number, if it is not 0.
    """
    radius = round(more_px / 2)
    if radius < 1:
        return ink
    size = 2 * radius + 1
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    padded = cv2.copyMakeBorder(ink, radius, radius, radius, radius, cv2.BORDER_CONSTANT, value=0)
    if radius < WIDE_PEN_PX:
        return cv2.dilate(padded, pen)
    # In bytes it takes a quarter of the time, which a wide pen on a large page needs.
    return cv2.dilate(cv2.convertScaleAbs(padded, alpha=255), pen) * np.float32(1 / 255)


def stroke_width_px(mask: Image) -> float:
    """The mean width of the strokes in a mask, `uint8 (height, width)`, 1 the ink, by the ink's
    distance from its edge.
    """
    mask = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    # Across a stroke w wide the distance rises from 0.5 to w/2 and falls again: its mean is (w + 1)
    # / 4; of no ink it is 0.
    return max(1.0, 4 * cv2.mean(distance, mask)[0] - 1)


def _fit(ink: Digit) -> Digit:
    """Scale until the longer side is 20 pixels. A picture within one pixel of it stays as it is,
    since resampling would only blur it.
    """
    height, width = ink.shape
    longer = max(height, width)
    if BOX_PX - 1 <= longer <= BOX_PX:
        return ink
    scale = BOX_PX / longer
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    fitted = cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    # Cubic overshoots, and area rounds; not `np.clip`, which takes twice as long to begin.
    return np.minimum(np.maximum(fitted, 0), 1)


def _center(ink: Digit) -> Digit:
    """Put the centre of mass at the centre, in whole pixels. If the digit would cross the edge, it
    is moved back.
    """
    height, width = ink.shape
    # Products rather than sums, which NumPy takes longer to begin; not cv2.moments, which takes two
    # columns for a list of points.
    rows = ink @ _ONES[:width]
    mass = float(rows @ _ONES[:height])
    x, y = (
        float((_ONES[:height] @ ink) @ _PLACES[:width]) / mass,
        float(rows @ _PLACES[:height]) / mass,
    )
    left = min(max(round(CENTER_PX - x), 0), SIDE_PX - width)
    top = min(max(round(CENTER_PX - y), 0), SIDE_PX - height)
    digit = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    digit[top : top + height, left : left + width] = ink
    return digit
