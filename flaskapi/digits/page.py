"""A larger picture with several digits: its ground is removed, it is scaled for the detector, and
digits are cut out of it.
"""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Floats
from flaskapi.digits import Digit, Image
from flaskapi.digits.ground import find_polarity, lift_ink, quantile
from flaskapi.digits.lines import erase_rules, find_frames, find_runs, find_sheet
from flaskapi.digits.normalize import normalize_ink, stroke_width_px, thicken
from flaskapi.digits.reduce import WORKING_SIDE_PX, reduce_by_area
from flaskapi.errors import NoDigitFoundError

# Of a digit: the detector has learned 18 to 52; higher ones take longer and are read no better.
READ_HEIGHT_PX = 32
PADDING_PX = 8  # around the page, so that digits at its edge are seen whole
# Of each cell of the detector's answer: presence, ten digits, where the centre is and how large the
# box, across and down.
VALUES = 15
CELL_PX = 2, 4  # across and down, of what the detector looks at, to one cell of its answer
MULTIPLE_PX = 16  # of which the sides of what the detector reads are
THINNEST_STROKE_PX = 2.5  # at that height; a thinner one would fade when it is reduced
LARGEST_SCALE = 4.0  # more shows only blur
MOST_PIXELS = 600_000  # that the detector looks at: a page of 400 digits; time grows with them
# By halves, where a sensor's grain hides the ink: each halves the grain.
REDUCTIONS, LEAST_SIDE_PX = (2, 128)
DIGIT_PX = 8  # no digit that can be read is lower
SPECK = 0.3  # of a digit's height: nothing as small is one
PATTERN_QUANTILE = 0.8  # of the ground: what most of its pattern stays below is taken away too
AROUND = 0.08  # of a box's sides, to see the digit whole where the detector's box is tight
# Of the largest part's area: a speck; what reaches into the box from outside.
TINY, NEIGHBOURS_PIECE = (0.03, 0.35)
# Among parts by their ink: most of it is in digits, but dots, dashes and pieces of them are lower.
HEIGHT_QUANTILE = 0.6
FILLING = 0.7  # of a picture's height, digits that lines hold together from border to border
RULED_SIDE_PX = 384  # rules are looked for on a page as small
_NEIGHBOURS = np.ones((3, 3), np.uint8)

Edges = tuple[float, float, float, float]  # left, top, right, bottom in pixels of a page


class Page(NamedTuple):
    """A picture without its ground."""

    ink: Floats  # `float32 (height, width)` in [0, 1], 1 the ink
    mask: Image  # `uint8 (height, width)`, 1 the ink
    digit_px: float  # how high its digits are, by a first guess
    part: tuple[int, int, int, int]  # left, top, right and bottom of what holds all of them


def lift_page(image: Image) -> Page:
    """Remove ground and shadows, and estimate the height of the digits. The page may be smaller
    than the picture.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
    """
    return _lift(image)


def lift_sheet(image: Image) -> Page | None:
    """Return the page of a sheet that lies on something darker; None if there is none.

    Args:
        image: `uint8 (height, width)`.
    """
    if (sheet := find_sheet(image)) is None:
        return None
    paper = np.uint8(quantile(image[sheet.view(bool)], 0.5))
    with contextlib.suppress(NoDigitFoundError):
        return _lift(np.where(sheet, image, paper))
    return None


def _lift(image: Image) -> Page:
    is_dark = find_polarity(image)
    for left in reversed(range(REDUCTIONS + 1)):
        try:
            light, mask, *_ = lift_ink(image, is_dark=is_dark)
            break
        except NoDigitFoundError:
            if left == 0 or min(image.shape) < LEAST_SIDE_PX:
                light, mask, *_ = lift_ink(image, is_dark=is_dark, is_patterned=True)
                break
        image = cv2.resize(
            image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA
        )
    strong = max(quantile(light[mask.view(bool)], 0.9), 1)
    pattern = min(quantile(light[mask == 0], PATTERN_QUANTILE), strong // 2)
    ink = np.clip(
        (light.astype(np.float32) - np.float32(pattern)) * np.float32(1 / (strong - pattern)), 0, 1
    )
    return Page(ink, mask, *_survey(mask))


def show_whole(page: Page) -> Page:
    """The whole page, for use if the first estimate of the part with digits was wrong."""
    height, width = page.mask.shape
    return page._replace(part=(0, 0, width, height))


def hold(page: Page, boxes: Sequence[Edges]) -> Page:
    """The page with the part that contains these boxes, and a margin as wide as they are high."""
    left, top, right, bottom = np.array(boxes).T
    margin = float(np.median(bottom - top))
    height, width = page.mask.shape
    return page._replace(
        part=(
            max(0, int(left.min() - margin)),
            max(0, int(top.min() - margin)),
            min(width, int(right.max() + margin)),
            min(height, int(bottom.max() + margin)),
        )
    )


def erase_page_rules(page: Page) -> Page | None:
    """The page without its rules and frames; None if it has none."""
    bares = erase_rules(page.mask, RULED_SIDE_PX)
    if not bares:
        return None
    bare = bares[-1]
    erased = cv2.dilate(bare.erased, _NEIGHBOURS) & (1 - bare.mask)
    if not cv2.countNonZero(bare.mask):
        return None
    return Page(page.ink * (1 - erased), bare.mask, *_survey(bare.mask))


def _survey(mask: Image) -> tuple[float, tuple[int, int, int, int]]:
    """Estimate the height of the digits, and find the part of the picture that contains them all:
    left, top, right, bottom.

    The height is a quantile of the connected parts' heights, weighted by their ink. Frames and
    lines along the picture are left out.
    """
    parts, fits, is_frame = _find_parts(mask)
    if (
        2 * parts[fits, 4].sum() < parts[~is_frame, 4].sum()
    ):  # a line that all digits touch has made one part of them
        parts, fits, is_frame = _find_parts(_without_lines(mask))
    x, y, width, height, area = parts.T
    if 2 * area[fits].sum() <= area[~is_frame].sum():
        digit_px = FILLING * len(mask)
    else:
        weight = (height * np.sqrt(area))[fits]
        order = np.argsort(height[fits])
        reached = np.cumsum(weight[order])
        digit_px = float(
            height[fits][order][np.searchsorted(reached, HEIGHT_QUANTILE * reached[-1])]
        )
    large = np.maximum(width, height) > SPECK * digit_px
    if not large.any():
        return digit_px, (0, 0, *mask.shape[::-1])
    margin = int(digit_px / 2) + 1
    edges = x[large].min(), y[large].min(), (x + width)[large].max(), (y + height)[large].max()
    left, top, right, bottom = (int(edge) for edge in edges)
    bounds = (
        max(0, left - margin),
        max(0, top - margin),
        min(mask.shape[1], right + margin),
        min(mask.shape[0], bottom + margin),
    )
    return digit_px, bounds


def _find_parts(
    mask: Image,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Connected parts, `(n, 5)`: left, top, width, height and area; and two masks, `(n,)`: which
    may be digits rather than lines, and which are boxes.
    """
    inked, left, top = crop_to_ink(mask)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(inked, connectivity=8)
    parts = np.asarray(stats[1:])
    is_frame = np.isin(np.arange(1, len(stats)), find_frames(inked, labels, parts, DIGIT_PX))
    parts[:, :2] += left, top
    return (
        parts,
        (parts[:, 2] < 0.95 * mask.shape[1]) & (parts[:, 3] < len(mask)) & ~is_frame,
        is_frame,
    )


def crop_to_ink(mask: Image) -> tuple[Image, int, int]:
    """The part of a mask that holds all its ink, and where it begins: left and top. One without ink
    stays whole: OpenCV does not survive looking for connected parts in nothing.
    """
    left, top, width, height = cv2.boundingRect(mask)
    return (mask[top : top + height, left : left + width], left, top) if width else (mask, 0, 0)


def _without_lines(mask: Image) -> Image:
    """Erase straight lines of a third of the picture's longer side, and upright ones as long. The
    strokes that fill a strip stay.
    """
    length = max(max(mask.shape) // 3, 1)
    upright = max(length, int(0.9 * len(mask))) if len(mask) < mask.shape[1] else length
    runs = find_runs(mask, (length, 1)) | find_runs(mask, (1, upright))
    return cv2.subtract(mask, cv2.dilate(runs, _NEIGHBOURS))


def scale_page(page: Page, scale: float, stretch: tuple[float, float] = (1, 1)) -> Floats:
    """Scale a page's part with digits to the detector's size: `float32`, sides multiples of 16,
    that part 8 pixels from its top left.

    With a stretch, it is also made wider and higher by that.
    """
    left, top, right, bottom = page.part
    part = ink = page.ink[top:bottom, left:right]
    if scale < 0.5:
        ink = thicken(
            ink, THINNEST_STROKE_PX / scale - stroke_width_px(page.mask[top:bottom, left:right])
        )
        grown = (len(ink) - len(part)) // 2
        ink = ink[grown : len(ink) - grown, grown : ink.shape[1] - grown]
    height, width = (
        max(1, round(side * scale * more))
        for side, more in zip(ink.shape, reversed(stretch), strict=True)
    )
    resized = cv2.resize(
        ink, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    sides = (-(-(side + 2 * PADDING_PX) // MULTIPLE_PX) * MULTIPLE_PX for side in (height, width))
    scaled = np.zeros(tuple(sides), np.float32)
    scaled[PADDING_PX : PADDING_PX + height, PADDING_PX : PADDING_PX + width] = np.clip(
        resized, 0, 1
    )
    return scaled


def fit_scale(page: Page, scale: float, most_px: int = MOST_PIXELS) -> float:
    """The nearest scale that does not blur and needs no more than the pixels allowed."""
    left, top, right, bottom = page.part
    most_px = min(most_px, MOST_PIXELS)
    return min(scale, LARGEST_SCALE, (most_px / ((right - left) * (bottom - top))) ** 0.5)


def cut_digit(page: Page, box: Edges) -> Digit:
    """Prepare the digit in a box for the classifier, `float32 (28, 28)`, without its neighbours'
    ink.
    """
    height, width = page.ink.shape
    left, top, right, bottom = (round(edge) for edge in box)
    across, down = max(1, round((right - left) * AROUND)), max(1, round((bottom - top) * AROUND))
    left, right = max(0, left - across), min(width, right + across)
    top, bottom = max(0, top - down), min(height, bottom + down)
    if right - left < 2 or bottom - top < 2:
        return np.zeros((28, 28), np.float32)
    scale = min(1, WORKING_SIDE_PX / max(right - left, bottom - top))
    ink = reduce_by_area(page.ink[top:bottom, left:right], scale)
    mask = reduce_by_area(page.mask[top:bottom, left:right], scale)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count > 2:
        x, y, w, h, area = stats[1:].T
        at_edge = (x == 0) | (y == 0) | (x + w == mask.shape[1]) | (y + h == mask.shape[0])
        largest = area.max()
        keep = np.zeros(count, np.uint8)
        keep[1:] = (area == largest) | (
            (area > TINY * largest) & ~(at_edge & (area < NEIGHBOURS_PIECE * largest))
        )
        ink = ink * cv2.dilate(keep[labels], _NEIGHBOURS)
    x, y, w, h = cv2.boundingRect((ink > 0.1).view(np.uint8))
    if w == 0 or h == 0:
        return np.zeros((28, 28), np.float32)
    return normalize_ink(np.ascontiguousarray(ink[y : y + h, x : x + w]))
