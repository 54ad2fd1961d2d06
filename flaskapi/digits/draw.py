"""Draw on a picture what was found in it."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.digits import Box, Image

# Blue, green, red, as OpenCV has them.
_GREEN, _YELLOW, _RED = (
    np.array(colour) for colour in ((60, 160, 20), (0, 190, 230), (40, 40, 220))
)
_LEAST_TEXT_PX = 8


class FoundBox(NamedTuple):
    """One digit, its confidence, and its box in pixels of the picture."""

    digit: int
    confidence: float
    box: Box


def draw_found(
    pixels: Image, found: Sequence[FoundBox], *, uncertain_below: float, suffix: str
) -> bytes:
    """Draw boxes with their digits on a picture: green for a certain digit, else from yellow to red
    as the confidence falls.

    Args:
        pixels: `uint8 (height, width)`.
        uncertain_below: a digit of at least this confidence is certain.
        suffix: `.png` or `.jpg`.

    Returns:
        The file, in colour.
    """
    drawn = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    line = max(1, round(max(pixels.shape) / 500))
    for digit, confidence, (x, y, width, height) in found:
        colour = _colour(confidence, uncertain_below)
        cv2.rectangle(drawn, (x, y), (x + width, y + height), colour, line, cv2.LINE_AA)
        size = max(_LEAST_TEXT_PX, round(0.4 * height)) / 22  # the font's digits are 22 high at 1
        at = (x, max(y - 2 * line, round(22 * size)))
        cv2.putText(
            drawn, str(digit), at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, line, cv2.LINE_AA
        )
    return cv2.imencode(suffix, drawn)[1].tobytes()


def _colour(confidence: float, uncertain_below: float) -> tuple[int, ...]:
    if confidence >= uncertain_below:
        mixed: npt.NDArray[np.floating] = _GREEN.astype(np.float64)
    else:
        share = confidence / uncertain_below
        mixed = share * _YELLOW + (1 - share) * _RED
    return tuple(int(value) for value in mixed)
