"""Ruled lines, grids and boxes: what runs straight from border to border beside the digit, and what
was drawn around it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.digits import Image

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
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def erase_lines(mask: Image) -> Image:
    """Erase straight lines along a side of the picture, as rules and grids leave them, where they
    may touch the digit.

    Args:
        mask: `uint8 (height, width)`, 1 the ink.

    Returns:
        The mask without the lines; the same one where there are none.
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
    """Has a picture more holes than any page of digits? Following them would take a second."""
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
    fills, as no digit has one.

    Args:
        mask: `uint8 (height, width)`, 1 the ink.
        labels: of each pixel, the number of its part, from 1.
        parts: `(n, 5)`: of each part its left, top, width, height and area.
        several_px: three parts as large in a hole make it a frame as well; None where they may be
            dots in a digit.

    Returns:
        The numbers of the parts that are frames.
    """
    x, y, width, height = parts[:, :4].T
    right, bottom, longer = x + width, y + height, np.maximum(width, height)
    large = np.argsort(longer)[-MOST_FRAMES:, np.newaxis]
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


def _find_lines(mask: Image, is_level: bool) -> list[tuple[npt.NDArray[np.bool_], bool]]:
    """What looks like a line: from border to border, away from the middle. Each is a mask, `bool
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
    """Keep what a bar of that width and height fits into: an opening, by running sums, for which a
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
