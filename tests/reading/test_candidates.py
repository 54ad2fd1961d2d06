"""The detector's answer becomes boxes in the page's pixels, and boxes become lines as a person
reads them.
"""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskapi.digits.page import CELL_PX, PADDING_PX, Edges
from flaskapi.reading.candidates import FAINTEST_PRESENCE, arrange_lines, find_candidates

SCALES = pytest.mark.parametrize("scale", [0.1, 0.5, 1.0, 2.7])


def empty_answer(rows: int = 16, columns: int = 128) -> np.ndarray:
    answer = np.zeros((rows, columns, 15), np.float32)
    answer[..., 0] = -9
    return answer


def put(
    answer: np.ndarray,
    edges: Edges,
    digit: int,
    *,
    scale: float = 1.0,
    presence: float = 4.0,
    cell: tuple[int, int] | None = None,
) -> None:
    """Answer as a network would that finds this box of the page: in the cell of its centre, or in
    another.
    """
    left, top, right, bottom = (
        edge * scale / side for edge, side in zip(edges, 2 * CELL_PX, strict=True)
    )
    x, y = (
        (left + right) / 2 + PADDING_PX / CELL_PX[0],
        (top + bottom) / 2 + PADDING_PX / CELL_PX[1],
    )
    row, column = cell or (int(y), int(x))
    answer[row, column, 0] = presence
    answer[row, column, 1:11] = 0
    answer[row, column, 1 + digit] = 5
    answer[row, column, 11:] = (
        x - column - 0.5,
        y - row - 0.5,
        np.log(right - left),
        np.log(bottom - top),
    )


@SCALES
def test_each_peak_is_a_candidate_with_its_box_in_pixels_of_the_page(scale: float) -> None:
    boxes = [
        tuple(edge / scale for edge in box)
        for box in ((3.0, 5.0, 21.0, 40.0), (60.5, 2.0, 90.0, 34.5), (150.0, 8.0, 158.0, 44.0))
    ]
    answer = empty_answer()
    for digit, (edges, presence) in enumerate(zip(boxes, (1.0, 3.0, 2.0), strict=True)):
        put(answer, edges, digit, scale=scale, presence=presence)
    found = find_candidates(answer, scale)
    assert [1, 2, 0] == [int(candidate.probabilities.argmax()) for candidate in found], (
        "the likeliest first"
    )
    for candidate in found:
        assert candidate.edges == pytest.approx(
            boxes[int(candidate.probabilities.argmax())], abs=0.01 / scale
        )


@SCALES
def test_boxes_are_counted_from_where_the_part_that_was_looked_at_begins(scale: float) -> None:
    answer = empty_answer()
    put(answer, (10, 10, 30, 40), 7)
    (alone,), (moved,) = find_candidates(answer, scale), find_candidates(answer, scale, (100, 20))
    np.testing.assert_allclose(np.array(alone.edges) + np.array([100, 20, 100, 20]), moved.edges)


def test_presence_and_digits_are_probabilities() -> None:
    answer = empty_answer()
    put(answer, (10, 10, 30, 40), 7, presence=2.0)
    (candidate,) = find_candidates(answer, 1.0)
    assert candidate.presence == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert ((10,), 7) == (candidate.probabilities.shape, candidate.probabilities.argmax())
    assert candidate.probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert candidate.probabilities[7] == pytest.approx(np.exp(5) / (np.exp(5) + 9))


def test_cells_around_a_peak_are_no_candidates_of_their_own() -> None:
    answer = empty_answer()
    put(answer, (100, 10, 120, 40), 3, presence=4.0)
    row, column = (int(place) for place in np.argwhere(answer[..., 0] == 4)[0])
    for cell in ((row, column - 1), (row + 1, column + 1), (row - 1, column)):
        put(answer, (0, 0, 300, 300), 9, presence=3.9, cell=cell)
    assert [3] == [
        int(candidate.probabilities.argmax()) for candidate in find_candidates(answer, 1.0)
    ]


@pytest.mark.parametrize("presences", [(4.0, 3.0), (3.0, 4.0), (4.0, 4.0)])
def test_two_peaks_for_one_digit_become_one(presences: tuple[float, float]) -> None:
    """The likelier one, though there are cells between them; as in the two rings of an 8."""
    answer = empty_answer()
    for digit, (presence, cell) in enumerate(zip(presences, ((6, 10), (9, 10)), strict=True)):
        put(answer, (24, 8 + 3 * digit, 44, 42 + 2 * digit), digit, presence=presence, cell=cell)
    (candidate,) = find_candidates(answer, 1.0)
    assert int(np.argmax(presences)) == int(candidate.probabilities.argmax())


def test_a_thin_digit_within_the_box_of_a_wide_one_stays() -> None:
    """As a 1 under the roof of a slanted 7."""
    answer = empty_answer()
    put(answer, (100, 10, 130, 44), 7, presence=4.0)
    put(answer, (118, 14, 125, 42), 1, presence=3.0)
    assert [7, 1] == [
        int(candidate.probabilities.argmax()) for candidate in find_candidates(answer, 1.0)
    ]


@pytest.mark.parametrize("presence", [0.5, 3.0])
def test_a_digit_that_lies_over_another_stays_where_it_is_surely_there(presence: float) -> None:
    """As a 1 against the belly of a 5."""
    answer = empty_answer()
    put(answer, (108, 8, 133, 43), 5, presence=4.0)
    put(answer, (120, 8, 135, 43), 1, presence=presence)
    found = [int(candidate.probabilities.argmax()) for candidate in find_candidates(answer, 1.0)]
    assert found == ([5, 1] if presence > 1 else [5])


def test_digits_that_touch_or_overlap_a_little_stay_two() -> None:
    answer = empty_answer()
    put(answer, (20, 8, 46, 40), 4)
    put(answer, (38, 8, 64, 40), 5)
    assert {4, 5} == {
        int(candidate.probabilities.argmax()) for candidate in find_candidates(answer, 1.0)
    }


def test_what_is_fainter_than_the_faintest_is_none() -> None:
    logit = float(np.log(FAINTEST_PRESENCE / (1 - FAINTEST_PRESENCE)))
    for presence, count in ((logit - 0.01, 0), (logit + 0.01, 1)):
        answer = empty_answer()
        put(answer, (10, 10, 30, 40), 7, presence=presence)
        assert count == len(find_candidates(answer, 1.0))


def test_an_empty_page_has_no_candidates_however_sure_the_network_is() -> None:
    for presence in (-9.0, -200.0):
        answer = empty_answer()
        answer[..., 0] = presence
        assert [] == find_candidates(answer, 1.0)


def box(x: float, y: float, height: float = 32.0, width: float = 20.0) -> Edges:
    """Around a centre."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


LAYOUTS: dict[str, list[list[Edges]]] = {
    "a row": [[box(30 * i, 50) for i in range(7)]],
    "two rows": [[box(30 * i, 50) for i in range(7)], [box(30 * i + 10, 95) for i in range(5)]],
    "rows close together": [
        [box(30 * i, 50) for i in range(7)],
        [box(30 * i, 85) for i in range(7)],
        [box(30 * i, 120) for i in range(7)],
    ],
    "a rising line": [[box(30 * i, 300 - 15 * i) for i in range(9)]],
    "a falling line": [[box(30 * i, 50 + 15 * i) for i in range(9)]],
    "two rising lines": [
        [box(30 * i, 300 - 12 * i) for i in range(9)],
        [box(30 * i, 380 - 12 * i) for i in range(9)],
    ],
    "a long falling line over a short one": [
        [box(30 * i, 50 + 12 * i) for i in range(12)],
        [box(30 * i, 100 + 12 * i) for i in range(2)],
    ],
    "a line that rises and falls": [[box(30 * i, 100 + 20 * np.sin(i / 2)) for i in range(15)]],
    "a column": [[box(50, 40 * i)] for i in range(5)],
    "a diagonal of single digits": [[box(30 * i, 60 * i)] for i in range(5)],
    "far apart": [[box(400 * i, 50) for i in range(4)]],
    "small zeros on the line": [
        [box(30 * i, 58 if i % 2 else 50, 16 if i % 2 else 32) for i in range(8)]
    ],
    "small zeros above the line": [
        [box(30 * i, 42 if i % 2 else 50, 16 if i % 2 else 32) for i in range(8)]
    ],
    "unsteady": [[box(30 * i, 50 + (7 if i % 2 else -7), 28 + 4 * (i % 3)) for i in range(9)]],
    "overlapping": [[box(15 * i, 50) for i in range(9)]],
    "a table of two columns": [
        [box(30 * i + 500 * j, 50 + 60 * k) for j in range(2) for i in range(4)] for k in range(3)
    ],
    "one digit": [[box(10, 10)]],
    "nothing": [],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("scale", [0.2, 1.0, 10.0])
def test_digits_are_read_as_a_person_reads(layout: list[list[Edges]], scale: float) -> None:
    """Lines from top to bottom, each from left to right, in whatever order the boxes come, at any
    size.
    """
    boxes = [tuple(edge * scale for edge in edges) for line in layout for edges in line]
    shuffled = random.Random(0).sample(boxes, len(boxes))
    lines = arrange_lines(shuffled, [True] * len(boxes))
    assert [[tuple(edge * scale for edge in edges) for edges in line] for line in layout] == [
        [shuffled[place] for place in line] for line in lines
    ]


BOXES = st.lists(
    st.tuples(*[st.integers(0, 400)] * 2, *[st.integers(1, 60)] * 2).map(
        lambda b: box(*map(float, b))
    ),
    max_size=25,
)


@settings(deadline=None)
@given(boxes=BOXES)
def test_every_likely_digit_is_read_exactly_once(boxes: list[Edges]) -> None:
    lines = arrange_lines(boxes, [True] * len(boxes))
    assert list(range(len(boxes))) == sorted(place for line in lines for place in line)
    assert all(line for line in lines)
    for line in lines:
        centers = [(boxes[place][0] + boxes[place][2]) / 2 for place in line]
        assert centers == sorted(centers)


@settings(deadline=None)
@given(boxes=BOXES, likely=st.lists(st.booleans(), min_size=25, max_size=25))
def test_what_is_unlikely_has_no_say_in_how_the_likely_are_read(
    boxes: list[Edges], likely: list[bool]
) -> None:
    """It stands at most once, and among them they stand as they do without it."""
    likely = likely[: len(boxes)]
    places = [place for place, is_likely in enumerate(likely) if is_likely]
    alone = arrange_lines([boxes[place] for place in places], [True] * len(places))
    together = arrange_lines(boxes, likely)
    assert [[places[place] for place in line] for line in alone] == [
        [place for place in line if likely[place]] for line in together
    ]
    read = [place for line in together for place in line]
    assert len(read) == len(set(read))


def test_what_is_unlikely_goes_where_it_lies_in_a_line_or_is_left_out() -> None:
    row = [box(30 * i, 50) for i in range(5)]
    faint, aside = box(75, 55, 30), box(75, 150, 30)
    assert [[0, 1, 2, 5, 3, 4]] == arrange_lines([*row, faint, aside], [True] * 5 + [False] * 2)


def test_where_nothing_is_likely_nothing_is_read() -> None:
    assert [] == arrange_lines([box(10, 10), box(40, 10)], [False, False])
