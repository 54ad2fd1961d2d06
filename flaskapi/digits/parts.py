"""The parts of a page besides its digits, and the straightness of a stroke."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.digits.page import Edges, Page, crop_to_ink

OWNED = 0.5  # of a part's ink, in the boxes of digits: it belongs to them
GROWN = 0.06  # of a box's sides: digits reach out of their boxes a little
STRAIGHT = 0.13  # across against along, as deviations from the middle of the stroke
LEAST_PX = 4  # of ink, for what is said of a part's shape to mean anything
MOST_PARTS = 400  # the largest: a page of noise has thousands, and each takes 0.2 ms


class InkPart(NamedTuple):
    """Connected ink that belongs to no digit."""

    edges: Edges
    strength: float  # of its ink, against the page's strongest
    at_border: bool  # of the picture
    cross: Literal["plus", "times"] | None  # two straight strokes through its middle
    is_straight: bool  # one straight stroke


class Stroke(NamedTuple):
    """The largest connected ink in a box, described as one straight stroke."""

    lean: float  # degrees to the right of upright
    top: float
    bottom: float
    is_straight: bool


def find_parts(page: Page, digits: Sequence[Edges]) -> list[InkPart]:
    """Find connected ink outside the boxes of digits.

    Args:
        page: `Page`.
        digits: their boxes, in pixels of the page.
    """
    height, width = page.mask.shape
    owned = np.zeros_like(page.mask)
    for left, top, right, bottom in digits:
        across, down = (right - left) * GROWN, (bottom - top) * GROWN
        owned[
            max(0, round(top - down)) : max(0, round(bottom + down)),
            max(0, round(left - across)) : max(0, round(right + across)),
        ] = 1
    if cv2.countNonZero(page.mask & (1 - owned)) <= OWNED * LEAST_PX:
        return []
    inked, x0, y0 = crop_to_ink(page.mask)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inked, connectivity=8)
    is_owned = owned[y0 : y0 + len(inked), x0 : x0 + inked.shape[1]].view(bool)
    inside = np.bincount(labels[is_owned], minlength=count)
    is_part = (inside < OWNED * stats[:, 4]) & (stats[:, 4] >= LEAST_PX)
    is_part[0] = False  # the ground
    found = np.flatnonzero(is_part)
    if len(found) > MOST_PARTS:
        found = np.sort(found[np.argsort(-stats[found, 4], kind="stable")[:MOST_PARTS]])
    parts = []
    for label in found:
        x, y, w, h, _ = (int(value) for value in stats[label])
        ink = labels[y : y + h, x : x + w] == label
        x, y = x + x0, y + y0
        at_border = x == 0 or y == 0 or x + w == width or y + h == height
        parts.append(
            InkPart(
                (x, y, x + w, y + h),
                float(page.ink[y : y + h, x : x + w][ink].mean()),
                at_border,
                _cross(ink),
                _fit(ink)[1],
            )
        )
    return parts


def _cross(ink: npt.NDArray[np.bool_]) -> Literal["plus", "times"] | None:
    """Do two straight strokes cross in the middle? The distribution of the ink around it
    decides.
    """
    height, width = ink.shape
    if min(height, width) < 5 or max(height, width) > 2.5 * min(height, width):
        return None
    third_y, third_x = height // 3, width // 3
    corners = [
        ink[:third_y, :third_x],
        ink[:third_y, -third_x:],
        ink[-third_y:, :third_x],
        ink[-third_y:, -third_x:],
    ]
    sides = [
        ink[:third_y, third_x:-third_x],
        ink[-third_y:, third_x:-third_x],
        ink[third_y:-third_y, :third_x],
        ink[third_y:-third_y, -third_x:],
    ]
    middle = ink[third_y : height - third_y, third_x : width - third_x]
    if middle.mean() < 0.25:
        return None
    in_corners = [float(part.mean()) for part in corners]
    in_sides = [float(part.mean()) for part in sides]
    if min(in_sides) > 0.15 and max(in_corners) < 0.1:
        return "plus"
    if min(in_corners) > 0.12 and max(in_sides) < 0.25:
        return "times"
    return None


def fit_stroke(page: Page, box: Edges) -> Stroke | None:
    """Fit one straight stroke to the largest connected ink in a box; None if there is too little
    ink.

    Args:
        page: `Page`.
        box: in pixels of the page.
    """
    height, width = page.mask.shape
    left, top, right, bottom = box
    more = 0.25 * (bottom - top)
    x, y = max(0, round(left - 1)), max(0, round(top - more))
    mask = np.ascontiguousarray(
        page.mask[y : min(height, round(bottom + more)), x : min(width, round(right + 1))]
    )
    if mask.size == 0:
        return None
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        return None
    label = 1 + int(np.argmax(stats[1:, 4]))
    if stats[label, 4] < LEAST_PX:
        return None
    lean, is_straight = _fit(labels == label)
    _, first, _, rows, _ = (int(value) for value in stats[label])
    return Stroke(lean, float(y + first), float(y + first + rows), is_straight)


def _fit(ink: npt.NDArray[np.bool_]) -> tuple[float, bool]:
    """The ink's lean to the right of upright, in degrees, and whether it is one straight stroke."""
    rows, columns = np.nonzero(ink)
    values, vectors = np.linalg.eigh(np.cov(np.stack([columns, rows]).astype(np.float64)))
    across, along = np.sqrt(np.maximum(values, 1e-9))
    dx, dy = vectors[:, 1]
    if dy > 0:
        dx, dy = -dx, -dy
    return math.degrees(math.atan2(dx, -dy)), bool(across < STRAIGHT * along)
