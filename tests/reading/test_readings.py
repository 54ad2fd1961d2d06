"""A reading's confidence is a product of probabilities, and the best readings are those that trying
all of them finds.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskapi.reading import readings
from flaskapi.reading.readings import ANY, TRIED_DIGITS, Reading, best_readings

SHARES = st.lists(st.integers(1, 1000), min_size=10, max_size=10).map(
    lambda weights: np.array(weights) / sum(weights)
)
CANDIDATES = st.lists(st.tuples(st.floats(0.01, 0.99), SHARES), min_size=1, max_size=4)
Seen = list[tuple[float, np.ndarray]]


def read(seen: Seen, pattern: str | None, count: int) -> tuple[list[Reading], bool]:
    return best_readings(
        [presence for presence, _ in seen],
        np.array([shares for _, shares in seen]).reshape(-1, 10),
        pattern,
        count,
    )


def surely(number: str, share: float = 0.9, presence: float = 1.0) -> Seen:
    """Candidates for these digits; what is left of the probability is the next digit's."""
    seen = []
    for digit in map(int, number):
        shares = np.zeros(10)
        shares[digit], shares[(digit + 1) % 10] = share, 1 - share
        seen.append((presence, shares))
    return seen


def every_choice(seen: Seen) -> Iterator[tuple[float, str]]:
    """All ways to read the candidates, each with its probability and its number."""
    options = [
        [
            (1 - presence, ""),
            *((presence * share, str(digit)) for digit, share in enumerate(shares)),
        ]
        for presence, shares in seen
    ]
    for choice in itertools.product(*options):
        yield math.prod(share for share, _ in choice), "".join(digit for _, digit in choice)


def fits(number: str, pattern: str) -> bool:
    return len(number) == len(pattern) and all(
        sign in (ANY, digit) for sign, digit in zip(pattern, number, strict=True)
    )


def test_a_confidence_is_the_product_of_what_each_candidate_is() -> None:
    (best,), misfits = read(surely("40", presence=0.8) + surely("7", presence=0.2), None, 1)
    assert ((4, 0, None), "40") == (best.choices, best.number)
    assert best.confidence == pytest.approx(0.8 * 0.9 * 0.8 * 0.9 * 0.8, abs=1e-4)
    assert not misfits


@settings(deadline=None, max_examples=25)
@given(seen=CANDIDATES)
def test_the_best_reading_is_the_best_of_all_choices(seen: Seen) -> None:
    (best,), _ = read(seen, None, 1)
    assert best.confidence == pytest.approx(max(every_choice(seen))[0], abs=1e-4)


@settings(deadline=None, max_examples=25)
@given(seen=CANDIDATES, pattern=st.text("0123456789d", min_size=1, max_size=4))
def test_the_best_reading_that_fits_is_the_best_of_all_choices_that_fit(
    seen: Seen, pattern: str
) -> None:
    """Its share of them, as exactly as the digits that are not tried allow."""
    fitting = [(share, number) for share, number in every_choice(seen) if fits(number, pattern)]
    readings, misfits = read(seen, pattern, 3)
    if not fitting:
        assert misfits
        return
    assert all(fits(reading.number, pattern) for reading in readings)
    likeliest = max(fitting)[0]
    least = likeliest if misfits else likeliest / sum(share for share, _ in fitting)
    assert readings[0].confidence >= round(least, 4)
    assert likeliest == pytest.approx(probability(seen, readings[0].choices), rel=1e-6)


def probability(seen: Seen, choices: Sequence[int | None]) -> float:
    pairs = zip(seen, choices, strict=True)
    return math.prod(
        1 - presence if digit is None else presence * float(shares[digit])
        for (presence, shares), digit in pairs
    )


@settings(deadline=None, max_examples=30)
@given(
    seen=CANDIDATES,
    pattern=st.none() | st.text("0123456789d", min_size=1, max_size=4),
    count=st.integers(1, 21),
)
def test_readings_are_of_different_numbers_the_likeliest_first_and_sum_to_1_at_most(
    seen: Seen, pattern: str | None, count: int
) -> None:
    readings, _ = read(seen, pattern, count)
    assert 1 <= len(readings) <= count
    assert len(readings) == len({reading.number for reading in readings})
    confidences = [reading.confidence for reading in readings]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) <= 1 + 1e-4 * len(readings)
    assert {len(seen)} == {len(reading.choices) for reading in readings}


@settings(deadline=None, max_examples=30)
@given(seen=CANDIDATES, count=st.integers(1, 21))
def test_a_reading_of_nothing_stands_alone(seen: Seen, count: int) -> None:
    """Nobody is told that a number may be no number at all; where that is likeliest, there is no
    number.
    """
    readings, _ = read(seen, None, count)
    assert [""] == [reading.number for reading in readings] or all(
        reading.number for reading in readings
    )
    assert probability(seen, readings[0].choices) == pytest.approx(max(every_choice(seen))[0])


def test_the_alternatives_are_the_next_best_numbers() -> None:
    readings, _ = read(surely("4", 0.9) + surely("7", 0.8), None, 4)
    assert ["47", "48", "57", "58"] == [reading.number for reading in readings]
    assert [0.72, 0.18, 0.08, 0.02] == [reading.confidence for reading in readings]


def test_a_number_that_can_be_read_in_two_ways_is_given_once_by_the_likelier() -> None:
    readings, _ = read(surely("33", 1.0, presence=0.6), "d", 5)
    assert ["3"] == [reading.number for reading in readings]
    readings, _ = read([*surely("3", 1.0, presence=0.7), *surely("3", 1.0, presence=0.6)], None, 5)
    assert ["33", "3"] == [reading.number for reading in readings]
    assert ((3, None), 0.28) == (readings[1].choices, readings[1].confidence)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("47", "47"), ("d7", "47"), ("48", "48"), ("5d", "57"), ("dd", "47"), ("d", "4")],
)
def test_what_the_caller_knows_decides_between_readings(pattern: str, expected: str) -> None:
    seen = surely("4", 0.9, presence=0.95) + surely("7", 0.8, presence=0.9)
    (best,), misfits = read(seen, pattern, 1)
    assert (expected, False) == (best.number, misfits)


def test_a_digit_that_the_pattern_names_is_weighed_however_unlikely() -> None:
    """Beyond the few that are tried otherwise."""
    shares = np.array([0.3, 0.3, 0.2, 0.1, 0.06, 0.04, 0, 0, 0, 0])
    assert shares[5] < np.sort(shares)[-TRIED_DIGITS]
    (best,), misfits = read([(0.9, shares)], "5", 1)
    assert ("5", 1.0, False) == (best.number, best.confidence, misfits)


def test_a_pattern_makes_a_reading_surer() -> None:
    seen = surely("4711", 0.7, presence=0.9)
    (plain,), _ = read(seen, None, 1)
    (of_length,), _ = read(seen, "dddd", 1)
    (known,), _ = read(seen, "47dd", 1)
    assert plain.confidence < of_length.confidence < known.confidence


@pytest.mark.parametrize("pattern", ["ddd", "9d", "d4", "d" * 64])
def test_a_pattern_that_cannot_fit_gives_what_would_be_read_without_it_and_says_so(
    pattern: str,
) -> None:
    seen = surely("47")
    assert (read(seen, None, 4)[0], True) == read(seen, pattern, 4)


def test_a_pattern_that_hardly_anything_speaks_for_says_so_too() -> None:
    (best,), misfits = read(surely("47", 0.99, presence=0.9999), "d", 1)
    assert (1, True) == (len(best.number), misfits)


def test_where_nothing_was_seen_nothing_is_read() -> None:
    assert ([Reading((), 1.0)], False) == read([], None, 5)
    assert ([Reading((), 1.0)], True) == read([], "dd", 5)


@pytest.mark.parametrize("pattern", [None, "d" * 64])
def test_pages_full_of_doubtful_candidates_are_read_all_the_same(pattern: str | None) -> None:
    """However small the product of so many probabilities is."""
    readings, misfits = read([(0.6, np.full(10, 0.1))] * 1500, pattern, 1)
    assert (1, 0.0, pattern is not None) == (len(readings), readings[0].confidence, misfits)


def test_of_a_long_pattern_on_a_page_full_of_specks_few_ways_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many candidates, signs and alternatives as a request can have: all took seconds."""
    looked_at, offered, go_on = 0, 0, readings._go_on

    def count(ways: list[Any], weight: float, digit: int | None) -> Iterator[Any]:
        nonlocal looked_at, offered
        offered += len(ways)
        for step in go_on(ways, weight, digit):
            looked_at += 1
            yield step

    monkeypatch.setattr(readings, "_go_on", count)
    random = np.random.default_rng(1)
    presences, shares = random.uniform(0.05, 0.2, 400).tolist(), random.random((400, 10))
    best_readings(presences, shares / shares.sum(axis=1, keepdims=True), "d" * 64, 21)
    assert looked_at < offered / 3
