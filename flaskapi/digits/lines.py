"""Ruled lines, grids and boxes: straight lines from border to border beside the digit, and shapes
drawn around it.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.digits import Box, Image

LEAST_SIDE_PX = 64  # a strip has no room for a line beside a digit
# A line runs to that near either border, that far from the middle: no stroke of the digit.
LINE_END, LINE_OFFSET = (0.08, 0.25)
# Of the side, on average: rules of newsprint cells are thinner, strokes that fill the picture
# thicker.
THICKEST_LINE = 0.07
FRAMED = (
    0.35  # of what a box leaves free within: less is a dot, not the digit that it was drawn around
)
FRAMED_PARTS = 3  # so many are no dots either
MOST_FRAMES = (
    20  # of the largest parts; where nothing lies within the bounds of any of these, there is none
)
# Pages of digits change at one pixel in eight at most, and have a few thousand holes.
NOISE_PX, MOST_HOLES = 8, 10_000
LINE_OF_DIGIT = 0.8  # of the side: what touches a line and is as long as that goes with it
# Of the picture's sides, and of the hole's bounds: a box around a digit; an ellipse has 0.79.
BOX_SIDE, BOX_FILLED = (0.35, 0.85)
# Of the sides: pieces of a frame lie that near the border, are as long, reach as near a side, and
# run in a strip as wide.
PIECE_DEPTH, PIECE_LENGTH, PIECE_END, PIECE_WIDTH = (0.25, 0.5, 0.03, 0.04)
# A sheet has that share of the picture, fills its bounds, turned with it, and is as wide.
LEAST_SHEET, MOST_SHEET, SHEET_FILLED, LEAST_SHEET_SIDE = (0.02, 0.9, 0.88, 0.08)
SHEET_SIDE_PX, SHEET_EDGE_PX = (128, 2.5)
SHEET_SIDES_CUT = 1  # of the picture's, that it goes on beyond; the light beside a shadow has more
# A rule, as a share of the picture's side: how long, by how many of its ends reach the sides; the
# pieces that it is found by; how near the sides; how wide at most. A bar of a 7 has less.
RULE_LENGTHS, RULE_PIECE, RULE_END, RULE_WIDTH = ((0.6, 0.4, 0.4), 0.3, 0.05, 0.05)
STRIP = 0.5  # of a strip's length, its height at most
RULE_SIDE_PX, RULE_COVER = (96, 0.3)  # rules are looked for on a picture as small
LEAST_RULE_PX = 8  # of a piece: in less there is no telling it from a stroke
RULE_TURN, RULE_STEP = (10, 2)  # degrees
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def erase_lines(mask: Image) -> Image:
    """Erase straight lines along a side of the picture, such as parts of rules and grids, which may
    touch the digit.

    Args:
        mask: `uint8 (height, width)`, 1 the ink.

    Returns:
        The mask without the lines; the same mask if there are none.
    """
    lines = [line for is_level in (True, False) for line in _find_lines(mask, is_level)]
    if not lines:
        return mask
    rest = mask.copy()
    for line, _ in lines:
        rest[line] = 0
    _, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    for line, is_level in lines:
        # The bar of a 7 that fills the picture looks like a line, but that what goes on from it is
        # as long.
        touching = np.unique(labels[cv2.dilate(line.astype(np.uint8), _NEIGHBOURS).view(bool)])
        side, spans = (
            (mask.shape[1], stats[touching, 2]) if is_level else (mask.shape[0], stats[touching, 3])
        )
        if spans[touching > 0].max(initial=0) > LINE_OF_DIGIT * side:
            rest[line & mask.view(bool)] = 1
    return rest


def _is_noise(mask: Image) -> bool:
    """Has a picture more holes than any page of digits? Following their contours would take a
    second.
    """
    changes = cv2.countNonZero(cv2.absdiff(mask[:, 1:], mask[:, :-1]))
    if changes * NOISE_PX < mask.size:
        return False
    count, _ = cv2.connectedComponents(1 - mask, connectivity=4)
    return bool(count > MOST_HOLES)


def find_frames(
    mask: Image,
    labels: npt.NDArray[np.int32],
    parts: npt.NDArray[np.int32],
    several_px: int | None = None,
) -> list[int]:
    """Find boxes and circles drawn around digits: a part with a hole that something else nearly
    fills. No digit has one.

    Args:
        mask: `uint8 (height, width)`, 1 the ink.
        labels: of each pixel, the number of its part, from 1.
        parts: `(n, 5)`: of each part its left, top, width, height and area.
        several_px: three parts of this size in a hole also make it a frame; None if they may be
            dots in a digit.

    Returns:
        The numbers of the parts that are frames.
    """
    x, y, width, height = parts[:, :4].T  # (parts, 5) -> four of (parts,)
    right, bottom, longer = x + width, y + height, np.maximum(width, height)
    large = np.argsort(longer)[-MOST_FRAMES:, np.newaxis]  # (frames, 1), against (parts,)
    is_in = (x > x[large]) & (y > y[large]) & (right < right[large]) & (bottom < bottom[large])
    if not (
        is_in & (longer >= (several_px or FRAMED / 2 * np.minimum(width, height)[large]))
    ).any():
        return []
    if _is_noise(mask):
        return []
    contours, nesting = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    # Of each contour: a hole is in a part, a part in a hole or in nothing (-1).
    around = nesting[0, :, 3]
    columns, rows = np.array([contour[0, 0] for contour in contours]).T
    part = labels[rows, columns]
    # Else it is a hole in a part.
    within = np.flatnonzero((around >= 0) & (around[around] >= 0) & (part != part[around]))
    holes, sizes = around[within], longer[part[within] - 1]
    largest = np.zeros(len(contours), np.int32)
    np.maximum.at(largest, holes, sizes)
    counts = (
        np.bincount(holes, sizes >= several_px, len(contours))
        if several_px
        else np.zeros(len(contours))
    )
    is_framed = {
        hole: counts[hole] >= FRAMED_PARTS
        or largest[hole] >= FRAMED * min(cv2.boundingRect(contours[hole])[2:])
        for hole in np.unique(holes)
    }
    return sorted({int(part[hole]) for hole, is_so in is_framed.items() if is_so})


def find_inside(mask: Image) -> Box | None:
    """Find the area inside a frame, or between pieces of one along the sides of a picture.

    Args:
        mask: `uint8 (height, width)`, 1 the ink.

    Returns:
        That area, in pixels of the mask; None if there is no frame.
    """
    hole = _find_hole(mask)
    if hole is not None:
        return hole
    height, width = mask.shape
    left, right, top, bottom = (
        _line_depth(view) for view in (mask.T, mask.T[::-1], mask, mask[::-1])
    )
    if not any((left, right, top, bottom)):
        return None
    return Box(left, top, width - left - right, height - top - bottom)


class Bare(NamedTuple):
    """A mask without long straight lines."""

    mask: Image  # `uint8 (height, width)`, 1 the ink
    erased: Image  # 1 what was taken away
    is_ruled: bool  # only lines that go from side to side, as no stroke of a digit does


def erase_rules(mask: Image, side_px: int = RULE_SIDE_PX) -> list[Bare]:
    """Erase straight lines that are longer than a digit's strokes, including slightly turned ones.

    Strokes that cross a line stay whole.

    Args:
        mask: `uint8 (height, width)`, 1 the ink.
        side_px: lines are found on a copy of this size; lines thinner than a pixel there are lost.

    Returns:
        The mask without lines from side to side, and the mask without other long lines too, as far
        as there are any.
    """
    level = _find_rules(mask, side_px)
    ends_at = None if level is None else level[1] if level[1] is not None else level[0]
    upright = _find_rules(
        np.ascontiguousarray(mask.T), side_px, None if ends_at is None else ends_at.T
    )
    bares = []
    for is_ruled in (True, False):
        across, down = (
            None if found is None else found[0 if is_ruled else 1] for found in (level, upright)
        )
        if across is not None or down is not None:
            rest = mask.copy()
            for line, view, seen in ((across, rest, mask), (down, rest.T, mask.T)):
                if line is not None:
                    _erase(view, seen, line)
            bares.append(Bare(rest, mask - rest, is_ruled))
    return bares


def _erase(view: Image, seen: Image, line: Image) -> None:
    """Erase a line along the rows, except where there is ink on either side: there a stroke crosses
    it.
    """
    bare = np.ascontiguousarray(view * (1 - line))
    reach = np.ones((2 * round(RULE_WIDTH * max(seen.shape)) + 1, 1), np.uint8)
    above = cv2.dilate(bare, reach, anchor=(0, len(reach) - 1))
    below = cv2.dilate(bare, reach, anchor=(0, 0))
    view[...] = bare | (line & above & below & seen)


def _find_rules(
    mask: Image, side_px: int, ends_at: Image | None = None
) -> tuple[Image | None, Image | None] | None:
    """Find lines along the rows, turned by up to ten degrees: those from side to side, and all.

    A line may also end at other lines, 1 in a mask. In a strip it must do so on both sides, since a
    1 is as long.
    """
    height, width = mask.shape
    step = max(1, round(max(mask.shape) / side_px))
    small = cv2.resize(
        mask * np.uint8(255), (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA
    )
    small = cv2.dilate((small > RULE_COVER * 255).view(np.uint8), np.ones((3, 1), np.uint8))
    length = round(RULE_PIECE * small.shape[1])
    if length < LEAST_RULE_PX:
        return None
    reach = max(1, round(RULE_END * small.shape[1]))
    if not _may_hold_rule(small, reach, may_end=ends_at is not None):
        return None
    ruled, lines = np.zeros_like(small), np.zeros_like(small)
    is_strip = small.shape[1] < STRIP * small.shape[0]
    if ends_at is not None:
        near = cv2.dilate(
            np.ascontiguousarray(ends_at), np.ones((3, 2 * reach * step + 1), np.uint8)
        )
        near = cv2.resize(near, small.shape[::-1], interpolation=cv2.INTER_NEAREST)
    for degrees in range(-RULE_TURN, RULE_TURN + 1, RULE_STEP):
        slope = np.tan(np.radians(degrees))
        shear = np.array([[1, 0, 0], [0, 0, 0]], np.float64)
        shear[1] = slope, 1, -slope * small.shape[1] / 2
        size = small.shape[::-1]
        runs = find_runs(cv2.warpAffine(small, shear, size, flags=cv2.INTER_NEAREST), (length, 1))
        if not cv2.countNonZero(runs):
            continue
        _, labels, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
        x, w, h = stats[1:, 0], stats[1:, 2], stats[1:, 3]
        starts, stops = x < reach, x + w > size[0] - reach
        if ends_at is not None:
            others = cv2.warpAffine(near, shear, size, flags=cv2.INTER_NEAREST)
            middle = np.minimum(stats[1:, 1] + h // 2, small.shape[0] - 1)
            starts |= others[middle, x] > 0
            stops |= others[middle, x + w - 1] > 0
        ends = starts.astype(int) + stops
        is_rule = (
            (w > np.choose(ends, RULE_LENGTHS) * size[0])
            & (ends >= 2 * is_strip)
            & (h <= 2 + RULE_WIDTH * max(small.shape))
        )
        for chosen, among in ((is_rule & (ends == 2), ruled), (is_rule & (ends < 2), lines)):
            if chosen.any():
                kept = np.concatenate([[False], chosen])[labels].astype(np.uint8)
                among |= cv2.warpAffine(
                    kept, shear, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
                )

    def enlarge(found: Image) -> Image:
        found = cv2.dilate(found, _NEIGHBOURS)
        return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)

    has_ruled, has_lines = cv2.countNonZero(ruled), cv2.countNonZero(lines)
    if not has_ruled and not has_lines:
        return None
    return enlarge(ruled) if has_ruled else None, enlarge(ruled | lines) if has_lines else None


def _may_hold_rule(small: Image, reach: int, *, may_end: bool) -> bool:
    """Is there ink in enough columns side by side for a line along the rows? Most pictures have
    none, and shearing keeps columns.

    Args:
        small: `uint8 (height, width)`, more than 0 the ink.
        reach: how near to a side a line ends there, in pixels.
        may_end: may a line end at others?
    """
    width = small.shape[1]
    inked = np.zeros(width + 2, np.int8)
    inked[1:-1] = cv2.reduce(small, 0, cv2.REDUCE_MAX)[0] > 0
    turns = np.diff(inked)
    starts, stops = np.flatnonzero(turns > 0), np.flatnonzero(turns < 0)
    ends = (starts < reach) | (stops > width - reach) | may_end
    lengths = np.where(ends, min(RULE_LENGTHS[1:]), RULE_LENGTHS[0])
    return bool((stops - starts > lengths * width).any())


def _find_hole(mask: Image) -> Box | None:
    """The hole of a box that is large and has straight sides. No digit's hole is so."""
    contours, nesting = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    best = None
    for place, contour in enumerate(contours):
        if nesting[0, place, 3] < 0:
            continue
        x, y, w, h = cv2.boundingRect(contour)
        is_large = w >= BOX_SIDE * mask.shape[1] and h >= BOX_SIDE * mask.shape[0]
        if is_large and cv2.contourArea(contour) > BOX_FILLED * w * h:
            best = Box(x + 1, y + 1, w - 2, h - 2)
    return best


def _line_depth(mask: Image) -> int:
    """How many rows from the top a line takes that runs along there and meets a side."""
    height, width = mask.shape
    deepest, margin = round(PIECE_DEPTH * height), max(1, round(PIECE_END * width))
    strip = max(2, round(PIECE_WIDTH * max(height, width)))
    # [row]: in the strip that begins there.
    inked = cv2.dilate(
        np.ascontiguousarray(mask[: deepest + strip]),
        np.ones((strip, 1), np.uint8),
        anchor=(0, 0),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )[:deepest]
    meets = inked[:, :margin].any(axis=1) | inked[:, -margin:].any(axis=1)
    rows = np.flatnonzero(meets & (inked.mean(axis=1) > PIECE_LENGTH))
    return int(rows[-1]) + strip if len(rows) else 0


def find_sheet(image: Image) -> Image | None:
    """Find a light sheet on something darker.

    Args:
        image: `uint8 (height, width)`.

    Returns:
        `uint8 (height, width)`, 1 the sheet without its edge; None if there is none.
    """
    scale = min(1, SHEET_SIDE_PX / max(image.shape))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, light = cv2.threshold(small, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    x, y, width, height = cv2.boundingRect(largest)
    if (x == 0) + (y == 0) + (x + width == size[0]) + (y + height == size[1]) > SHEET_SIDES_CUT:
        return None
    center, sides, angle = cv2.minAreaRect(largest)
    share = cv2.contourArea(largest) / small.size
    if not LEAST_SHEET < share < MOST_SHEET or (
        cv2.contourArea(largest) < SHEET_FILLED * (sides[0] - 1) * (sides[1] - 1)
    ):
        return None
    within = (center, (sides[0] - 2 * SHEET_EDGE_PX, sides[1] - 2 * SHEET_EDGE_PX), angle)
    if min(within[1]) < LEAST_SHEET_SIDE * max(size):
        return None
    corners = (cv2.boxPoints(within) + 0.5) / scale - 0.5
    sheet = np.zeros(image.shape, np.uint8)
    return cv2.fillConvexPoly(sheet, np.rint(corners).astype(np.int32), 1)


def _find_lines(mask: Image, is_level: bool) -> list[tuple[npt.NDArray[np.bool_], bool]]:
    """Find possible lines: from border to border, away from the middle. Each is a mask, `bool
    (height, width)`.
    """
    height, width = mask.shape
    side, size = (width, (width // 2, 1)) if is_level else (height, (1, height // 2))
    if side < LEAST_SIDE_PX:
        return []
    runs = find_runs(mask, size)
    if not cv2.countNonZero(runs):
        return []
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        cv2.dilate(runs, _NEIGHBOURS), connectivity=8
    )
    _, wholes, extents, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    lines = []
    for label, (x, y, w, h, _) in enumerate(stats[1:], 1):
        start, length, across = (
            (x, w, (y + h / 2) / height) if is_level else (y, h, (x + w / 2) / width)
        )
        if (
            start < LINE_END * side
            and start + length > (1 - LINE_END) * side
            and abs(across - 0.5) > LINE_OFFSET
        ):
            line = labels == label
            if np.count_nonzero(line & mask.view(bool)) >= THICKEST_LINE * max(mask.shape) * side:
                continue
            parts = extents[np.unique(wholes[line & mask.view(bool)])]
            starts, lengths = (parts[:, 0], parts[:, 2]) if is_level else (parts[:, 1], parts[:, 3])
            if (
                starts.min() <= 1 and (starts + lengths).max() >= side - 1
            ):  # a digit that fills the picture mostly has a margin
                lines.append((line, is_level))
    return lines


def find_runs(mask: Image, size: tuple[int, int]) -> Image:
    """Keep pixels that a bar of this width and height can cover: an opening, by running sums. A
    long bar takes no longer.
    """
    sums = cv2.boxFilter(mask, cv2.CV_32S, size, normalize=False, borderType=cv2.BORDER_REPLICATE)
    full = (sums == size[0] * size[1]).astype(np.uint8)
    # The mirrored anchor, so that bars of even length come back where they were.
    anchor = (size[0] - 1 - size[0] // 2, size[1] - 1 - size[1] // 2)
    return (
        cv2.boxFilter(
            full, cv2.CV_32S, size, anchor=anchor, normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        > 0
    ).astype(np.uint8)
