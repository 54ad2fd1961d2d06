"""From the detector's output to digits in reading order: candidates with their boxes, arranged in
lines.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Doubles, Floats
from flaskapi.digits.page import CELL_PX, PADDING_PX, Edges

FAINTEST_PRESENCE = 0.05  # less likely candidates are dropped
LEAST_LOGIT = -80.0  # of presence: the exponential of 89 overflows a float
MOST_CANDIDATES = 400  # of a page; the next steps take time and memory by their square
# Share of the smaller box inside the other, and common share of both: then two candidates are one
# digit; a 1 may stand in a 7's box.
INSIDE = 0.6
ALIKE, SURE_ALIKE, SURE = 0.4, 0.6, 0.7  # more if the candidate is surer than SURE: digits overlap
# Largest step from one digit to the next: in heights, and in shares of their distance.
STEEPEST_STEP, STEEPEST_LINE = (1.0, 1.3)


class Candidate(NamedTuple):
    """A possible digit."""

    presence: float  # the probability that it is a digit
    probabilities: Floats  # `float32 (10,)`: of each digit, if it is one
    edges: Edges  # of its box, in pixels of the page


def find_candidates(
    answer: Floats, scale: float | tuple[float, float], origin: tuple[int, int] = (0, 0)
) -> list[Candidate]:
    """Read the detector's output: one candidate for each peak of presence, the likeliest first.

    Args:
        answer: `float32 (rows, columns, 15)`, the output of the network `detector`.
        scale: of the detector's input relative to the page; or that across and that down.
        origin: left and top of the detector's input, in pixels of the page.
    """
    logits = np.maximum(answer[..., 0], LEAST_LOGIT)  # (rows, columns)
    presence = 1 / (1 + np.exp(-logits))
    peaks = (presence >= _highest_around(presence)) & (presence > FAINTEST_PRESENCE)
    rows, columns = np.nonzero(peaks)
    found = answer[rows, columns]  # (peaks, 15)
    shares = np.exp(found[:, 1:11] - found[:, 1:11].max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)  # (peaks, 10), of each digit
    cell = np.array(CELL_PX)
    cells = np.stack([columns, rows], axis=1)  # (peaks, 2), across and down
    centers = (cells + 0.5 + found[:, 11:13]) * cell - PADDING_PX  # (peaks, 2), in pixels
    halves = np.exp(found[:, 13:15]) * (cell / 2)
    edges = np.concatenate([centers - halves, centers + halves], axis=1)  # (peaks, 4)
    boxes = edges / np.tile(np.broadcast_to(scale, 2), 2) + (*origin, *origin)  # of the page
    presences = presence[rows, columns]  # (peaks,)
    candidates: list[Candidate] = []
    is_open = np.ones(len(boxes), bool)
    for place in np.argsort(-presences, kind="stable"):
        if len(candidates) == MOST_CANDIDATES:
            break
        if is_open[place]:
            left, top, right, bottom = boxes[place].tolist()
            candidates.append(
                Candidate(float(presences[place]), shares[place], (left, top, right, bottom))
            )
            is_open &= ~_is_same(boxes[place], boxes, presences)
    return candidates


def _highest_around(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The maximum of each 3x3 neighbourhood of `(rows, columns)`, in the same shape."""
    padded = np.pad(values, 1, constant_values=-np.inf)  # (rows + 2, columns + 2)
    across = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return np.maximum(np.maximum(across[:-2], across[1:-1]), across[2:])


def _is_same(
    box: Doubles, boxes: Doubles, presences: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Which of `(n, 4)` boxes, with these presences, belong to the same digit as a box?"""
    common = np.maximum(
        np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0
    ).prod(axis=1)
    one, others = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    alike = np.where(presences > SURE, SURE_ALIKE, ALIKE)
    return np.asarray(
        (common >= INSIDE * np.minimum(one, others)) & (common >= alike * (one + others - common))
    )


def arrange_lines(boxes: Sequence[Edges], is_likely: Sequence[bool]) -> list[list[int]]:
    """Put boxes in reading order: the indices of each line, from left to right, lines from top to
    bottom.

    Two boxes are neighbours if each is the other's nearest on that side and the vertical step is
    small. So lines may rise and fall, and digits below each other are separate lines. Unlikely
    candidates do not influence the lines: they are inserted where they lie in a line, or left out.

    Two digits, an unlikely one between them, and one below:

    >>> boxes = [(40, 0, 50, 20), (0, 2, 10, 22), (20, 1, 30, 21), (0, 60, 10, 80)]
    >>> arrange_lines(boxes, [True, True, False, True])
    [[1, 2, 0], [3]]
    """
    edges = np.array(boxes, np.float64).reshape(-1, 4)  # (boxes, 4), also of none
    x, y, height = (
        (edges[:, 0] + edges[:, 2]) / 2,
        (edges[:, 1] + edges[:, 3]) / 2,
        edges[:, 3] - edges[:, 1],
    )
    likely, others = np.flatnonzero(is_likely), np.flatnonzero(~np.array(is_likely, bool))
    height = np.maximum(height, 0.8 * np.median(height[likely]) if len(likely) else 0)
    lines = [likely[line].tolist() for line in _link(x[likely], y[likely], height[likely])]
    for place in others:
        away = [float(np.abs(np.interp(x[place], x[line], y[line]) - y[place])) for line in lines]
        if away and min(away) < height[place] / 2:
            line = lines[int(np.argmin(away))]
            line.append(int(place))
            line.sort(key=lambda member: x[member])
    return lines


def _link(x: Doubles, y: Doubles, height: Doubles) -> list[list[int]]:
    ahead, step = x[np.newaxis] - x[:, np.newaxis], np.abs(y[np.newaxis] - y[:, np.newaxis])
    # (boxes, boxes): from each, a row, to each, a column.
    taller = np.maximum(height[np.newaxis], height[:, np.newaxis])
    follows = (ahead > 0) & (step < STEEPEST_STEP * taller) & (step < STEEPEST_LINE * ahead)
    distance = np.where(follows, np.hypot(ahead, 2 * step), np.inf)
    following = {}
    for place in range(len(x)):
        nearest = int(np.argmin(distance[place]))
        if np.isfinite(distance[place, nearest]) and int(np.argmin(distance[:, nearest])) == place:
            following[place] = nearest
    lines = []
    for first in set(range(len(x))) - set(following.values()):
        line = [first]
        while line[-1] in following:
            line.append(following[line[-1]])
        lines.append(line)
    # Sloping lines are distinguished by where they would be if they were level.
    slopes = [float(np.polyfit(x[line], y[line], 1)[0]) for line in lines if len(line) > 2]
    level = y - (np.median(slopes) if slopes else 0) * x
    return sorted(lines, key=lambda line: (float(np.mean(level[line])), float(x[line[0]])))
