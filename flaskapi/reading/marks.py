"""Find the marks between the digits of a number: points, dashes, slashes, operators."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from flaskapi.arrays import Doubles
from flaskapi.digits.page import Edges, Page
from flaskapi.digits.parts import InkPart, find_parts, fit_stroke

Kind = Literal[
    "point", "comma", "dash", "slash", "colon", "equals", "plus", "times", "divided-by", "other"
]
SIGNS: dict[str, str] = {
    "point": ".",
    "comma": ",",
    "dash": "-",
    "slash": "/",
    "colon": ":",
    "equals": "=",
    "plus": "+",
    "times": "x",
    "divided-by": "÷",
    "other": "?",
}
# They make the number part of a formula, or are as large as a digit: the number is not everything.
JOINING = {"equals", "plus", "times", "divided-by", "other"}
# All as shares of the height of the line's digits.
BAND = 0.75  # marks within this distance of a line's middle belong to it
BESIDE = 1.2  # the farthest mark before the first and after the last digit
LEAST_SIDE, DOT_SIDE, COMMA_HEIGHT = 0.06, 0.3, 0.5
DASH_WIDTH, DASH_HEIGHT, RULE_WIDTH = (0.15, 0.7), 0.3, 1.6
HIGHEST = 2.2  # of a slash or a bracket; what is higher is a ruled line
LARGE = 0.55  # from this on a mark is as large as a digit
STRONG = 0.5  # of the ink's strength; weaker marks are dirt
# A slash among digits: how high against them, and how far it leans, in degrees. Of drawn dates and
# those of 12 cheques 70 of 71 slashes are as high; of 201 1s between digits none, with MOST_LEAN.
SLASH_HEIGHT, LEAST_LEAN, MOST_LEAN = 1.25, 2.5, 42
SLASH, SLASH_IN_DATE = 0.8, 0.98  # its probability: alone, and with a second one as in a date
LEAST_OTHERS = 2  # digits that it is compared with
FAR_APART = 1.6  # heights between two digits that start a new group
FAR_FROM_OTHERS = 2.5  # the same, in usual gaps of that line


class Mark(NamedTuple):
    """A mark between the digits, on a page."""

    kind: Kind
    confidence: float
    edges: Edges


class Line(NamedTuple):
    """A line of a number, from left to right."""

    digits: list[tuple[int, Edges]]
    marks: list[Mark]

    @property
    def written(self) -> str:
        """Digits and marks, with a space between groups."""
        ends = {id(group[-1]) for group in self._grouped()[:-1]}
        text = ""
        for _, piece, is_end in sorted(
            [(edges[0], str(digit), id(edges) in ends) for digit, edges in self.digits]
            + [(mark.edges[0], SIGNS[mark.kind], False) for mark in self.marks]
        ):
            text += piece + (" " if is_end else "")
        return text

    @property
    def groups(self) -> list[str]:
        """The digits of each group."""
        values = {id(edges): str(digit) for digit, edges in self.digits}
        return ["".join(values[id(edges)] for edges in group) for group in self._grouped()]

    def _grouped(self) -> list[list[Edges]]:
        boxes = [edges for _, edges in self.digits]
        if not boxes:
            return []
        gaps = [after[0] - before[2] for before, after in pairwise(boxes)]
        height = float(np.median([bottom - top for _, top, _, bottom in boxes]))
        usual = float(np.median(gaps)) if gaps else 0
        groups = [[boxes[0]]]
        for gap, box in zip(gaps, boxes[1:], strict=True):
            is_far = gap > FAR_APART * height and gap > FAR_FROM_OTHERS * max(usual, 0)
            if is_far or (len(gaps) == 1 and gap > 2 * FAR_APART * height):
                groups.append([box])
            else:
                groups[-1].append(box)
        return groups


def find_marks(page: Page, lines: Sequence[Sequence[tuple[int, Edges]]]) -> list[Line]:
    """Find the marks between the digits of each line.

    Args:
        page: the page with the digits.
        lines: for each line its digits and their boxes, from left to right.
    """
    digits = [edges for line in lines for _, edges in line]
    if not digits:
        return []
    parts = find_parts(page, digits)
    found = []
    for line in lines:
        if not line:
            continue
        marks = _find_between(parts, [edges for _, edges in line])
        found.append(Line(list(line), sorted(marks, key=lambda mark: mark.edges[0])))
    return found


def _height(boxes: Sequence[Edges]) -> float:
    return float(np.median([bottom - top for _, top, _, bottom in boxes]))


def find_slashes(
    page: Page, boxes: Sequence[Edges], is_likely: Sequence[bool], is_one: Sequence[bool]
) -> dict[int, float]:
    """Find which candidates of a line are slashes, and how probably, by their places.

    Args:
        page: the page with the candidates.
        boxes: of the line's candidates, from left to right.
        is_likely: for each, whether it is a digit or a mark as large.
        is_one: for each, whether it looks most like a 1.
    """
    others = [
        box for box, likely, one in zip(boxes, is_likely, is_one, strict=True) if likely and not one
    ]
    if len(others) < LEAST_OTHERS:
        return {}
    height, digits = _height(others), np.flatnonzero(is_likely)
    slashes = []
    for place, one in enumerate(is_one):
        if not one or not digits[0] < place < digits[-1]:
            continue
        stroke = fit_stroke(page, boxes[place])
        if (
            stroke
            and stroke.is_straight
            and LEAST_LEAN < stroke.lean < MOST_LEAN
            and stroke.bottom - stroke.top > SLASH_HEIGHT * height
        ):
            slashes.append(place)
    parts = [
        sum(bool(likely) for likely in is_likely[before + 1 : after])
        for before, after in pairwise([-1, *slashes, len(boxes)])
    ]
    is_date = len(parts) == 3 and max(parts[:2]) <= 2 and min(parts[:2]) >= 1 and parts[2] in (2, 4)
    return dict.fromkeys(slashes, SLASH_IN_DATE if is_date else SLASH)


def _find_between(parts: Sequence[InkPart], boxes: Sequence[Edges]) -> list[Mark]:
    height = _height(boxes)
    x = [(left + right) / 2 for left, _, right, _ in boxes]
    middles = [(top + bottom) / 2 for _, top, _, bottom in boxes]
    first, last = boxes[0][0] - BESIDE * height, boxes[-1][2] + BESIDE * height
    near = []
    for part in parts:
        left, top, right, bottom = part.edges
        middle = float(np.interp((left + right) / 2, x, middles))
        is_rule = right - left > RULE_WIDTH * height or part.at_border
        is_rule |= bottom - top > HIGHEST * height
        is_dirt = max(right - left, bottom - top) < LEAST_SIDE * height or part.strength < STRONG
        if (
            first <= (left + right) / 2 <= last
            and abs((top + bottom) / 2 - middle) < BAND * height
            and not is_rule
            and not is_dirt
        ):
            near.append(part)
    marks = []
    for stack in _stack(near):
        if (mark := _name(stack, height, x, middles)) is not None:
            marks.append(mark)
    return marks


def _stack(parts: Sequence[InkPart]) -> list[list[InkPart]]:
    """Group parts that stand above each other."""
    stacks: list[list[InkPart]] = []
    for part in sorted(parts, key=lambda part: part.edges[0]):
        left, _, right, _ = part.edges
        for stack in stacks:
            low, high = min(one.edges[0] for one in stack), max(one.edges[2] for one in stack)
            common = min(right, high) - max(left, low)
            if common > min(right - left, high - low) / 2:
                stack.append(part)
                break
        else:
            stacks.append([part])
    return stacks


def _name(
    stack: Sequence[InkPart], height: float, x: Sequence[float], middles: Sequence[float]
) -> Mark | None:
    """Name a mark by its size and its place relative to the digits."""
    boxes = np.array([part.edges for part in stack])
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    edges = (float(left), float(top), float(right), float(bottom))
    wide, high = (right - left) / height, (bottom - top) / height
    middle = float(np.interp((left + right) / 2, x, middles))
    low = ((top + bottom) / 2 - middle) / height
    shapes = [_shape(part, height) for part in stack]
    dots, dashes = shapes.count("dot"), shapes.count("dash")
    if dashes == 1 and dots == 2:
        return Mark("divided-by", 0.9, edges)
    if dashes == 2 and len(stack) == 2:
        return Mark("equals", 0.9, edges)
    if dots == 2 and len(stack) == 2:
        return Mark("colon", 0.8, edges)
    if len(stack) == 1 and dots:
        return Mark("point", 0.8, edges) if low > 0.1 else None
    if len(stack) == 1 and dashes:
        return Mark("dash", 0.9 if abs(low) < 0.3 else 0.6, edges)
    if high < COMMA_HEIGHT and wide < DOT_SIDE and low > 0.2:
        return Mark("comma", 0.8, edges)
    if len(stack) == 1 and 0.25 < high < 1 and 0.25 < wide < 1 and stack[0].cross:
        return Mark(stack[0].cross, 0.8, edges)
    if high > SLASH_HEIGHT / 1.1 and len(stack) == 1 and stack[0].is_straight:
        return Mark("slash", SLASH, edges)
    if high > LARGE:
        return Mark("other", 0.6, edges)
    return None


def _shape(part: InkPart, height: float) -> str:
    left, top, right, bottom = part.edges
    wide, high = (right - left) / height, (bottom - top) / height
    if wide < DOT_SIDE and high < DOT_SIDE and max(wide, high) < 2 * min(wide, high):
        return "dot"
    if DASH_WIDTH[0] < wide < DASH_WIDTH[1] and high < DASH_HEIGHT and wide > 1.5 * high:
        return "dash"
    return "other"


def correct_confidence(confidence: float, lines: Sequence[Line]) -> float:
    """Lower the confidence of a number if something as large as a digit is left out."""
    left_out: Doubles = np.array(
        [1 - mark.confidence / 2 for line in lines for mark in line.marks if mark.kind in JOINING]
    )
    return round(confidence * float(left_out.prod()), 4)
