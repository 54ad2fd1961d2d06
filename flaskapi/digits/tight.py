"""Tight pictures: the strokes of their one digit touch three sides, so paper is put around them."""

import cv2
import numpy as np

from flaskapi.digits import Image
from flaskapi.digits.ground import lift_ink
from flaskapi.digits.reduce import WORKING_SIDE_PX, reduce_by_area
from flaskapi.errors import NoDigitFoundError

# Tight: strokes touch so many sides, and so much of each at most; there are two levels,
# so far apart and that even; most ink hangs together. Smaller pictures are read well as they are.
TIGHT_SIDES, MOST_OF_SIDE, MOST_OF_INK, TIGHT_SIDE_PX = 3, 0.7, 0.85, 28
TIGHT_CONTRAST, TIGHT_GRAIN = 60, 0.3  # grey levels, and of them
# Of the picture's side: so wide is the soft edge of strokes, so long a stroke of something else.
SOFT_EDGE, LEAST_MORE = 0.03, 0.15


def add_paper(image: Image) -> Image | None:
    """Put paper around a tight picture; None where a picture is not tight.

    Shadows and frames touch more of a side than strokes do.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Returns:
        `uint8 (height + 2 margin, width + 2 margin)`; the margin is a quarter of the longer side.
    """
    if max(image.shape) <= TIGHT_SIDE_PX:
        return None
    sides = image[0], image[-1], image[:, 0], image[:, -1]
    if sum(int(side.max()) - int(side.min()) >= TIGHT_CONTRAST for side in sides) < TIGHT_SIDES:
        return None
    small = reduce_by_area(image, min(WORKING_SIDE_PX / max(image.shape), 1))
    is_light = cv2.threshold(small, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    levels = [cv2.meanStdDev(small, mask=part) for part in (1 - is_light, is_light)]
    (dark, dark_grain), (light, light_grain) = ((one.item(), two.item()) for one, two in levels)
    contrast = light - dark
    if contrast < TIGHT_CONTRAST or max(dark_grain, light_grain) > TIGHT_GRAIN * contrast:
        return None
    # Corners are paper, most of them: bold ink may have more of the picture than the paper has.
    corners = [int(is_light[row, column]) for row in (0, -1) for column in (0, -1)]
    votes = sum(corners) + (2 * cv2.countNonZero(is_light) > small.size)
    paper, ink = (light, 1 - is_light) if votes >= 3 else (dark, is_light)
    touched = [float(side.mean()) for side in (ink[0], ink[-1], ink[:, 0], ink[:, -1])]
    if sum(share > 0 for share in touched) < TIGHT_SIDES:
        return None
    if sum(share > MOST_OF_SIDE for share in touched) > 1:
        return None  # a bar of a 5 or a 7 may have one
    areas = cv2.connectedComponentsWithStats(ink, connectivity=8)[2][1:, 4]
    if areas.max() < MOST_OF_INK * areas.sum():
        return None  # pieces of a frame, and the digit within
    edge = np.ones([2 * round(SOFT_EDGE * max(small.shape)) + 3] * 2, np.uint8)
    if _holds_more(np.where(cv2.dilate(ink, edge), np.uint8(paper), small)):
        return None  # a frame, and fainter than that the digit within
    margin = max(image.shape) // 4
    return cv2.copyMakeBorder(image, *[margin] * 4, cv2.BORDER_CONSTANT, value=round(paper))


def _holds_more(rest: Image) -> bool:
    """Is there ink in what the strongest left of a picture?"""
    try:
        mask = lift_ink(rest)[1]
    except NoDigitFoundError:
        return False
    stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]
    return bool(stats[:, 2:4].max() > LEAST_MORE * max(rest.shape))
