"""Describe a digit by four numbers, to compare what is sent with what the network learned from."""

from typing import NamedTuple

import cv2
import numpy as np

from flaskapi.digits import Digit, NormalizedDigit
from flaskapi.digits.normalize import stroke_width_px


class Likeness(NamedTuple):
    """The four numbers, rounded to significant digits."""

    ink_share: float  # of the 28x28 that the network saw, 0 to 1
    stroke_px: float  # the mean width of a stroke in it
    size_px: float  # the longer side of the ink in the picture as it was read
    contrast: float  # between ink and ground there, in grey levels


def measure_likeness(digit: NormalizedDigit) -> Likeness:
    """Measure a digit; takes about 10 us."""
    return Likeness(
        ink_share(digit.pixels),
        stroke_px(digit.pixels),
        round(digit.size_px, 1),
        round(digit.contrast, 1),
    )


def ink_share(digit: Digit) -> float:
    """The share of `float32 (28, 28)` that is ink, 0 to 1."""
    return round(cv2.mean(digit)[0], 4)


def stroke_px(digit: Digit) -> float:
    """The mean width of the strokes of `float32 (28, 28)`, in its pixels."""
    return round(stroke_width_px((digit > 0.5).view(np.uint8)), 2)
