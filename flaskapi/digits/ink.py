"""Find the ink of one digit, apart from the ground, the shadows, the lines and the specks around
it.
"""

import contextlib
from typing import NamedTuple

import cv2
import numpy as np

from flaskapi.digits import Box, Image, Ink, Noticed
from flaskapi.digits.ground import lift_ink, quantile
from flaskapi.digits.lines import (
    LINE_END,
    LINE_OFFSET,
    Bare,
    erase_lines,
    erase_rules,
    find_frames,
    find_inside,
    find_sheet,
)
from flaskapi.digits.reduce import WORKING_SIDE_PX, reduce_by_area
from flaskapi.digits.tight import add_paper
from flaskapi.errors import NoDigitFoundError

LARGE_ENOUGH = 5  # a digit under a fifth of the picture is cut out of it and looked at again
# A picture this small has no shadows worth removing, and strokes as wide as the window would be.
SMALL_SIDE_PX = 64
# Of a side: a line that does not run through, a piece that comes from the border.
LINE_WIDTH, LINE_LENGTH, LINE_PIECE = (0.05, 0.6, 0.3)
RIVAL_SIZE, RIVAL_AREA = 0.6, 0.3  # of the digit's: digits written beside each other differ less
# Of the picture's width, from middle to middle, doubled; and how large what is beside it may be.
ASIDE, BESIDE_SIZE = 0.4, (0.4, 2.5)
SIDE_STROKE = 5  # times as high as wide, and as far from the other side
PATTERN = 3  # parts that all run through the picture: stripes
# Of the ink's contrast; faint strokes of exam scripts have a fifth of what strong ones have.
FAINT_SHARE = 0.2
LOW_CONTRAST = 40  # grey levels; pen on paper has 60 and more
MOST_FRAMES_DEEP, LEAST_INSIDE_PX = (3, 12)  # a box may hold a cell with its own frame
# Of the ink's strength, and of the line's: what a line has where there is ink on it as well.
FAINT_LINE, LINE_WITH_INK = (0.7, 1.25)
# Ink so much stronger than the lines under it is told from them by that, smoothed along the line.
STRONGER, LINE_GRAIN_PX = 1.85, 1.0
LEAST_FRAMED_PX = 40  # a smaller picture is cut out closely: what runs along its side is a stroke
GRAIN_PX = 1.5  # grain that hides the ink is smoothed so far
SMALL_DIGIT_PX = 20  # the side of the box that MNIST's digits are in
_NEIGHBOURS, _GAP = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


class _Found(NamedTuple):
    ink: Ink
    inside: Box | None  # what a frame around it leaves free, in pixels of the picture
    ruled: Ink | None  # without the lines from side to side, where there are some
    bare: Ink | None  # without other long lines too
    strong: Ink | None  # what is stronger than the lines from side to side


def find_ink(image: Image) -> Ink:
    """Cut out the digit.

    A digit that is small in a large picture is first found in the whole picture, then cut out with
    its surroundings and found again.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
    """
    return _find_closer(image).ink


class Inks(NamedTuple):
    """The digit, cut out in each way that may be right."""

    likely: list[Ink]  # also without a frame, rules, or what a sheet lies on
    otherwise: list[Ink]  # for where none of these is sure: without lines that may be strokes


def find_inks(image: Image) -> Inks:
    """Cut out the digit in each way that may be right.

    Args:
        image: `uint8 (height, width)`, ink dark on light or light on dark.

    Raises:
        NoDigitFoundError: nothing stands out from the ground.
    """
    inks = Inks([], [])
    if (tight := _find_in_tight(image)) is not None:
        inks = tight
    elif max(image.shape) >= LEAST_FRAMED_PX and (sheet := find_sheet(image)) is not None:
        paper = np.uint8(quantile(image[sheet.view(bool)], 0.5))
        with contextlib.suppress(NoDigitFoundError):
            inks = _find_in_frames(np.where(sheet, image, paper))
    try:
        whole = _find_in_frames(image)
    except NoDigitFoundError:
        if not inks.likely:
            raise
        return inks
    return Inks(inks.likely + whole.likely, inks.otherwise + whole.otherwise)


def _find_in_tight(image: Image) -> Inks | None:
    """Cut out the digit of a tight picture, with paper around it; None where there is none."""
    if (wide := add_paper(image)) is None:
        return None
    margin = (wide.shape[0] - image.shape[0]) // 2
    try:
        found = _find_in_frames(wide)
    except NoDigitFoundError:
        return None
    return Inks(*([_touching(ink, margin) for ink in inks] for inks in found))


def _touching(ink: Ink, margin: int) -> Ink:
    """Subtract the margin from the place where ink was found."""
    box = ink.box._replace(x=max(0, ink.box.x - margin), y=max(0, ink.box.y - margin))
    return ink._replace(box=box, noticed=tuple(dict.fromkeys((*ink.noticed, "touches-border"))))


def _find_in_frames(image: Image) -> Inks:
    found = _find_closer(image)
    all_found, left, top = [found], 0, 0
    for _ in range(MOST_FRAMES_DEEP):
        if (inside := found.inside) is None or min(inside[2:]) < LEAST_INSIDE_PX:
            break
        left, top = left + inside.x, top + inside.y
        image = np.ascontiguousarray(
            image[inside.y : inside.y + inside.height, inside.x : inside.x + inside.width]
        )
        try:
            found = _find_closer(image)
        except NoDigitFoundError:
            break
        # Of frames within frames the innermost counts.
        all_found[1:] = [_move(found, left, top)]
    return Inks(
        [ink for found in all_found for ink in (found.ink, found.ruled, found.strong) if ink],
        [found.bare for found in all_found if found.bare],
    )


def _move(found: _Found, left: int, top: int) -> _Found:
    def move(ink: Ink | None) -> Ink | None:
        return ink and ink._replace(box=ink.box._replace(x=left + ink.box.x, y=top + ink.box.y))

    return found._replace(
        ink=move(found.ink) or found.ink,
        ruled=move(found.ruled),
        bare=move(found.bare),
        strong=move(found.strong),
    )


def _find_closer(image: Image) -> _Found:
    found = _find(image)
    x, y, width, height = found.ink.box
    longer = max(width, height)
    if max(image.shape) > WORKING_SIDE_PX and longer * LARGE_ENOUGH < max(image.shape):
        left, top = max(0, x - longer), max(0, y - longer)
        with contextlib.suppress(NoDigitFoundError):
            closer = _find(
                np.ascontiguousarray(image[top : y + height + longer, left : x + width + longer])
            ).ink
            box = closer.box._replace(x=left + closer.box.x, y=top + closer.box.y)
            return found._replace(ink=closer._replace(box=box))
    return found


def _find(image: Image) -> _Found:
    scale = min(WORKING_SIDE_PX / max(image.shape), 1)
    image = reduce_by_area(image, scale)
    is_small = max(image.shape) <= SMALL_SIDE_PX
    try:
        lifted = lift_ink(image, is_even=is_small)
    except NoDigitFoundError:
        # A sensor's grain is from pixel to pixel, ink is not.
        lifted = lift_ink(cv2.GaussianBlur(image, (0, 0), GRAIN_PX), is_even=is_small)
    light, mask, contrast, inverted, is_even = lifted
    inside = find_inside(mask) if max(image.shape) >= LEAST_FRAMED_PX else None
    if is_even:
        mask = _with_faint_strokes(light, contrast)
    rules = erase_rules(mask) if max(image.shape) >= LEAST_FRAMED_PX else []
    whole = mask
    if not is_small:
        mask = erase_lines(mask)
    noticed: dict[Noticed, bool] = {"inverted": inverted, "low-contrast": contrast < LOW_CONTRAST}
    inks: dict[bool, Ink] = {}  # by whether only lines from side to side were erased
    for rule in rules:
        with contextlib.suppress(NoDigitFoundError):
            ink = _cut(light * (1 - rule.erased), rule.mask, scale, noticed, contrast)
            is_doubted = not rule.is_ruled or _is_cut(light, rule, _enlarge(ink.box, scale))
            inks[rule.is_ruled] = ink._replace(is_doubted=ink.is_doubted or is_doubted)
    ruled, bare = inks.get(True), inks.get(False)
    strong = None
    for lines in (rule.erased for rule in rules if rule.is_ruled):
        if (stronger := _find_stronger(light, whole, lines)) is not None:
            with contextlib.suppress(NoDigitFoundError):
                strong = _cut(light, stronger, scale, noticed, contrast)
    try:
        ink = _cut(light, mask, scale, noticed, contrast)
    except NoDigitFoundError:
        if not inks:
            raise
        ink = ruled or inks[False]
    if not ink.is_doubted and _is_beside(image, ink.box, scale, is_even=is_small):
        ink = ink._replace(is_doubted=True)
    return _Found(ink, _enlarge(inside, 1 / scale) if inside else None, ruled, bare, strong)


def _find_stronger(light: Image, mask: Image, lines: Image) -> Image | None:
    """Mark the ink that is stronger than the lines under it; None if it is not."""
    smooth = cv2.GaussianBlur(light, (0, 0), LINE_GRAIN_PX)
    values = smooth[mask.view(bool)].reshape(-1, 1)  # (n, 1)
    level, is_above = cv2.threshold(values, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # Where ink crosses a line it is stronger than most of the line.
    strength = max(cv2.mean(values, 1 - is_above)[0], quantile(smooth[lines.view(bool)], 0.5))
    if cv2.mean(values, is_above)[0] < STRONGER * strength:
        return None
    # Where the pen was pressed less there are gaps, in which the ink goes on.
    strong = cv2.threshold(smooth, level, 1, cv2.THRESH_BINARY)[1]
    return cv2.dilate(strong, _GAP) & mask


def _is_cut(light: Image, rules: Bare, box: Box) -> bool:
    """May ink have been erased with a line?

    It has not if the lines are fainter than the ink, and no stronger in the digit than beside it.
    """
    within = np.zeros_like(rules.erased)
    within[box.y : box.y + box.height + 1, box.x : box.x + box.width + 1] = 1
    inside, beside = rules.erased & within, rules.erased & (1 - within)
    if not cv2.countNonZero(inside):
        return False
    strength, ink = cv2.mean(light, beside)[0], cv2.mean(light, rules.mask & within)[0]
    return strength > FAINT_LINE * ink or cv2.mean(light, inside)[0] > LINE_WITH_INK * strength


def _is_beside(image: Image, box: Box, scale: float, *, is_even: bool) -> bool:
    """Is the ink to one side of the picture, with something else beside it that may be the digit?

    The other may be fainter, or lighter while the ink is darker than the ground.
    """
    x, y, width, height = _enlarge(box, scale)
    if abs(2 * x + width - image.shape[1]) < ASIDE * image.shape[1]:
        return False
    rest = image.copy()
    around = max(0, y - 1), max(0, x - 1)
    rest[around[0] : y + height + 2, around[1] : x + width + 2] = quantile(image, 0.5)
    try:
        mask = lift_ink(rest, is_even=is_even)[1]
    except NoDigitFoundError:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    left, top, across, down, area = stats[1:].T
    # Not what runs along the border, as pieces of a frame do.
    is_free = area > LINE_WIDTH * np.maximum(across, down) * max(mask.shape)
    is_free |= (
        (left > 0) & (top > 0) & (left + across < mask.shape[1]) & (top + down < mask.shape[0])
    )
    share = np.maximum(across, down) / max(width, height, 1)
    return bool((is_free & (share > BESIDE_SIZE[0]) & (share < BESIDE_SIZE[1])).any())


def _cut(
    light: Image, mask: Image, scale: float, noticed: dict[Noticed, bool], contrast: float
) -> Ink:
    """Cut out the digit in a mask."""
    mask, is_several = _select(mask)
    ink = cv2.multiply(light, cv2.dilate(mask, _NEIGHBOURS))
    strong = max(quantile(ink[mask.view(bool)], 0.9), 1)
    x, y, width, height = cv2.boundingRect(
        cv2.threshold(ink, strong // 10, 1, cv2.THRESH_BINARY)[1]
    )
    at_border = x == 0 or y == 0 or x + width == light.shape[1] or y + height == light.shape[0]
    noticed = noticed | {
        "touches-border": at_border,
        "several": is_several,
        "small": max(width, height) < SMALL_DIGIT_PX * scale,
    }
    pixels = np.minimum(ink[y : y + height, x : x + width] * np.float32(1 / strong), 1)
    # A thin upright stroke at one side of a wide picture may be the side of a cell.
    is_side = (x == 0 or x + width == light.shape[1]) and SIDE_STROKE * width < min(
        height, light.shape[1]
    )
    return Ink(
        pixels,
        _enlarge(Box(x, y, width, height), 1 / scale),
        tuple(name for name, is_so in noticed.items() if is_so),
        max(width, height) / scale,
        contrast,
        is_side,
    )


def _enlarge(box: Box, by: float) -> Box:
    x, y, width, height = box
    return Box(int(x * by), int(y * by), int(width * by), int(height * by))


def _with_faint_strokes(light: Image, contrast: float) -> Image:
    """Mark also faint strokes, where the pen was pressed less. A small picture shows no grain of
    paper that could be mistaken for them.
    """
    return cv2.threshold(light, FAINT_SHARE * contrast, 1, cv2.THRESH_BINARY)[1]


def _select(mask: Image) -> tuple[Image, bool]:
    """Keep the strokes of the digit: a large part near the middle, and parts close to it.

    Returns also whether there is something else as large.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        raise NoDigitFoundError("No digit was found: there are only lines.")
    if count == 2:
        return mask, False
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
            "No digit was found: there is only a pattern, which continues beyond the picture."
        )
    # Detached strokes, such as the bar of a 5, lie within a third of the digit's size.
    reach = 0.3 * max(w[main], h[main])
    near = (
        (x < right[main] + reach)
        & (right > x[main] - reach)
        & (y < bottom[main] + reach)
        & (bottom > y[main] - reach)
    )
    keep, is_several = np.zeros(count, np.uint8), False
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
        is_several = bool(np.count_nonzero(is_another) > 1)  # the digit is one of them
    else:  # cut out closely already: what is there belongs to the digit, but for specks and frames
        keep[1:] = (area > 0.01 * area[main]) & ~(at_border & spans)
        if max(height, width) >= LEAST_FRAMED_PX:
            keep[1:] &= near | (area > RIVAL_AREA * area[main])
        for is_apart in (x >= right[main], right <= x[main]):
            if (beside := keep[1:].view(bool) & is_apart).any():
                across = right[beside].max() - x[beside].min()
                down = bottom[beside].max() - y[beside].min()
                is_several |= bool(max(across, down) > BESIDE_SIZE[0] * longer[main])
    keep[1 + main] = 1
    return keep[labels], is_several
