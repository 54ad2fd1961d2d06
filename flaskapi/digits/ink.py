"""Find the ink of one digit: away from the ground, the shadows, the lines and the specks around
it.
"""

import contextlib
from typing import TypeVar

import cv2
import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.digits import Box, Image, Ink, Noticed
from flaskapi.digits.ground import lift_ink, quantile
from flaskapi.digits.lines import LINE_END, LINE_OFFSET, erase_lines, find_frames
from flaskapi.errors import NoDigitFoundError

# A digit that fills a fifth of the picture still has 38 pixels, twice as many as the network sees.
WORKING_SIDE_PX = 192
LARGE_ENOUGH = 5  # a digit under a fifth of the picture is cut out of it and looked at again
# A picture this small has no shadows worth removing, and strokes as wide as the window would be.
SMALL_SIDE_PX = 64
# Of a side: a line that does not run through, a piece that comes from the border.
LINE_WIDTH, LINE_LENGTH, LINE_PIECE = (0.05, 0.6, 0.3)
RIVAL_SIZE, RIVAL_AREA = 0.6, 0.3  # of the digit's: digits written beside each other differ less
PATTERN = 3  # parts that all run through the picture: stripes
# Of the ink's contrast; faint strokes of exam scripts have a fifth of what strong ones have.
FAINT_SHARE = 0.2
LOW_CONTRAST = 40  # grey levels; pen on paper has 60 and more
SMALL_DIGIT_PX = 20  # the side of the box that MNIST's digits are in
_NEIGHBOURS = np.ones((3, 3), np.uint8)

Pixels = TypeVar("Pixels", Bytes, Floats)


def find_ink(image: Image) -> Ink:
    """Cut out the digit.

    A digit that is small in a large picture is looked for in the whole, and cut out of what
    surrounds it.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
    """
    ink = _find(image)
    x, y, width, height = ink.box
    longer = max(width, height)
    if max(image.shape) > WORKING_SIDE_PX and longer * LARGE_ENOUGH < max(image.shape):
        left, top = max(0, x - longer), max(0, y - longer)
        with contextlib.suppress(NoDigitFoundError):
            closer = _find(
                np.ascontiguousarray(image[top : y + height + longer, left : x + width + longer])
            )
            return closer._replace(
                box=closer.box._replace(x=left + closer.box.x, y=top + closer.box.y)
            )
    return ink


def _find(image: Image) -> Ink:
    scale = min(WORKING_SIDE_PX / max(image.shape), 1)
    image = reduce_by_area(image, scale)
    is_small = max(image.shape) <= SMALL_SIDE_PX
    light, mask, contrast, inverted, is_even = lift_ink(image, is_even=is_small)
    if is_even:
        mask = _with_faint_strokes(light, contrast)
    if not is_small:
        mask = erase_lines(mask)
    mask = _select(mask)
    ink = cv2.multiply(light, cv2.dilate(mask, _NEIGHBOURS))
    strong = max(quantile(ink[mask.view(bool)], 0.9), 1)
    x, y, width, height = cv2.boundingRect(
        cv2.threshold(ink, strong // 10, 1, cv2.THRESH_BINARY)[1]
    )
    noticed: dict[Noticed, bool] = {
        "inverted": inverted,
        "low-contrast": contrast < LOW_CONTRAST,
        "touches-border": x == 0
        or y == 0
        or x + width == image.shape[1]
        or y + height == image.shape[0],
        "small": max(width, height) < SMALL_DIGIT_PX * scale,
    }
    pixels = np.minimum(ink[y : y + height, x : x + width] * np.float32(1 / strong), 1)
    box = Box(int(x / scale), int(y / scale), int(width / scale), int(height / scale))
    return Ink(
        pixels,
        box,
        tuple(name for name, is_so in noticed.items() if is_so),
        max(width, height) / scale,
        contrast,
    )


def reduce_by_area(image: Pixels, scale: float) -> Pixels:
    """Reduce in halves as far as they go: OpenCV averages four pixels many times faster than any
    other number.
    """
    height, width = (max(1, round(side * scale)) for side in image.shape)
    while min(image.shape) > 1 and max(image.shape) >= 2 * max(height, width):
        image = cv2.resize(
            image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA
        )
    return image if scale == 1 else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _with_faint_strokes(light: Image, contrast: float) -> Image:
    """Mark also what a pen left where it was pressed less; there is no grain of paper in a small
    picture to be taken for it.
    """
    return cv2.threshold(light, FAINT_SHARE * contrast, 1, cv2.THRESH_BINARY)[1]


def _select(mask: Image) -> Image:
    """Keep the strokes of the digit: a large part near the middle, and what lies close to it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        raise NoDigitFoundError("No digit was found: there are only lines.")
    if count == 2:
        return mask
    if frames := find_frames(mask, labels, stats[1:]):
        return _select(mask * ~np.isin(labels, frames))
    height, width = mask.shape
    x, y, w, h, area = stats[1:].T
    right, bottom = x + w, y + h
    # The digit is large and near the middle; what the border cuts is more likely a neighbour, and
    # what spans the picture a frame.
    at_border = (x == 0) | (y == 0) | (right == width) | (bottom == height)
    spans = (w > 0.9 * width) | (h > 0.9 * height)
    offset = np.hypot((x + right - width) / (2 * width), (y + bottom - height) / (2 * height))
    longer, side = np.maximum(w, h), max(height, width)
    thin = (area < LINE_WIDTH * side * longer) & (np.minimum(w, h) < 2 * LINE_WIDTH * side)
    score = (
        longer
        * np.sqrt(area)
        * np.exp(-((offset / 0.3) ** 2))
        * np.where(at_border, np.where(spans, np.where(thin, 0, 0.05), 0.3), 1.0)
    )
    main = int(np.argmax(score))
    if spans[main] and np.count_nonzero(spans & at_border) >= PATTERN:
        raise NoDigitFoundError(
            "No digit was found: there is only a pattern, which goes on beyond the picture."
        )
    # Detached strokes, such as the bar of a 5, lie within a third of the digit's size.
    reach = 0.3 * max(w[main], h[main])
    near = (
        (x < right[main] + reach)
        & (right > x[main] - reach)
        & (y < bottom[main] + reach)
        & (bottom > y[main] - reach)
    )
    keep = np.zeros(count, np.uint8)
    if max(height, width) > SMALL_SIDE_PX:
        aside = (
            np.maximum(np.abs((x + right) / width - 1), np.abs((y + bottom) / height - 1)) / 2
            > LINE_OFFSET
        )
        to_border = np.minimum.reduce([x, y, width - right, height - bottom]) < LINE_END * side
        is_speck = area <= 0.05 * area[main]
        is_line = (
            thin
            & aside
            & ((longer > LINE_LENGTH * side) | (to_border & (longer > LINE_PIECE * side)))
        )
        keep[1:] = near & ~is_speck & ~at_border & ~is_line
        # Another thing as large makes it a picture of several; leaving it out would make a digit of
        # what is none.
        is_another = (
            (np.maximum(w, h) > RIVAL_SIZE * max(w[main], h[main]))
            & (area > RIVAL_AREA * area[main])
            & ~at_border
            & ~is_line
        )
        keep[1:] |= is_another
    else:  # cut out closely already: what is there belongs to the digit, but for specks and frames
        keep[1:] = (area > 0.01 * area[main]) & ~(at_border & spans)
    keep[1 + main] = 1
    return keep[labels]
