"""What several looks saw of a digit is put together, digit by digit."""

import numpy as np
import pytest
from fakes import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskapi.digits.page import lift_page
from flaskapi.reading.candidates import MOST_CANDIDATES, Candidate
from flaskapi.reading.fuse import fuse_looks
from flaskapi.reading.looks import Look
from flaskapi.reading.views import find_views

PAPER = encode(np.full((60, 400), 255, np.uint8))
((VIEW,), *_) = find_views(PAPER, 100_000)
PAGE = lift_page(np.pad(np.zeros((40, 20), np.uint8), 60, constant_values=255))
Seen = tuple[float, float, int, float]  # middle across, presence, digit, and its share


def look(*seen: Seen) -> Look:
    """A look that saw digits, 12 wide and 20 high."""
    candidates, rows = [], []
    for x, presence, digit, share in seen:
        row = np.full(10, (1 - share) / 9)
        row[digit] = share
        candidates.append(Candidate(presence, row, (x - 6, 10.0, x + 6, 30.0)))
        rows.append(row)
    order = sorted(range(len(seen)), key=lambda place: seen[place][0])
    return Look(candidates, [order], np.array(rows).reshape(-1, 10), PAGE, VIEW, 1.0)


def read(*looks: Look) -> list[tuple[int, float]]:
    """The digits of what the looks come to, from left to right, and how surely each is there."""
    fused = fuse_looks(looks)
    return [
        (int(fused.shares[place].argmax()), fused.candidates[place].presence)
        for place in fused.order
    ]


def test_a_digit_that_all_looks_see_is_surer_than_to_each() -> None:
    ((digit, presence),) = read(*(look((50 + x, 0.85, 3, 0.9)) for x in (0, 3, -2)))
    assert 3 == digit
    assert 0.93 < presence < 0.98


def test_together_looks_tell_no_more_than_one_may() -> None:
    """What follows takes time by how many there are: with a pattern, seconds."""
    looks = [look(*((x + 900 * at, 0.5, 3, 0.9) for x in range(0, 9000, 30))) for at in (0, 10)]
    assert MOST_CANDIDATES == len(fuse_looks(looks).candidates)


@pytest.mark.parametrize(("missing", "least", "most"), [(1, 0.5, 0.95), (2, 0.0, 0.5)])
def test_a_digit_that_some_looks_miss_is_less_sure(missing: int, least: float, most: float) -> None:
    seen = look((20, 0.99, 1, 0.9), (50, 0.9, 3, 0.9))
    fused = read(*[seen] * (3 - missing), *[look((20, 0.99, 1, 0.9))] * missing)
    assert [1, 3] == [digit for digit, _ in fused]
    assert least < fused[1][1] < most


def test_which_digit_it_is_is_the_mean_of_what_they_say_and_no_surer() -> None:
    fused = fuse_looks([look((50, 0.9, 3, 0.8))] * 3)
    assert fused.shares[0, 3] == pytest.approx(0.8, abs=1e-6)
    assert [3] == [digit for digit, _ in read(*[look((50, 0.9, 3, 0.9)), look((50, 0.9, 5, 0.6))])]


def test_neighbours_are_digits_of_their_own() -> None:
    first, other = look((50, 0.9, 3, 0.9), (61, 0.9, 5, 0.9)), look((61, 0.9, 5, 0.9))
    assert [3, 5] == [digit for digit, _ in read(first, other)]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(
            st.tuples(st.floats(0, 380), st.floats(0.05, 1), st.integers(0, 9), st.floats(0.2, 1)),
            max_size=5,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_that_a_look_saw_is_lost_or_counted_twice(seen: list[list[Seen]]) -> None:
    fused = fuse_looks([look(*one) for one in seen])
    many = [len(one) for one in seen]
    assert max(many) <= len(fused.candidates) <= sum(many)
    assert all(0 < one.presence < 1 for one in fused.candidates)
    np.testing.assert_allclose(fused.shares.sum(axis=1), 1)
    boxes = {one.edges for one in fused.candidates}
    assert boxes <= {candidate.edges for one in seen for candidate in look(*one).candidates}
