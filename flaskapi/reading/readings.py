"""From candidates in reading order to whole numbers: the likeliest readings that fit the caller's
pattern.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ANY = "d"  # in a pattern, stands for any digit
TRIED_DIGITS = 4  # for each candidate, the likeliest, besides the one that the pattern requires
NEGLIGIBLE_MASS = (
    1e-30  # is not followed up: of a page of digits, far too few or too many read for a pattern
)
LEAST_MASS = 1e-3  # a pattern whose readings have less probability together does not fit


class Reading(NamedTuple):
    """One reading of the candidates."""

    # For each candidate its digit, or None if it is not a digit.
    choices: tuple[int | None, ...]
    confidence: float

    @property
    def number(self) -> str:
        return "".join(str(choice) for choice in self.choices if choice is not None)


def best_readings(
    presences: Sequence[float], shares: npt.NDArray[np.floating], pattern: str | None, count: int
) -> tuple[list[Reading], bool]:
    """Find the likeliest readings of different numbers.

    Whether a candidate is a digit, and which one, is independent of the others: a reading's
    probability is the product. With a pattern, only readings that fit it are compared (Viterbi's
    algorithm with several best paths, over how much of the pattern has been read).

    Args:
        presences: for each candidate, in reading order, the probability that it is a digit.
        shares: `(n, 10)`, the probability of each digit, if it is one.
        pattern: one character for each digit of the number, `d` for any; or None.
        count: how many readings to give.

    Returns:
        The readings, the likeliest first, at least one. A reading without digits is given only if
        it is the likeliest, and then alone. The flag says whether almost nothing fits the pattern:
        the confidences are then those without it, and so are the readings if none fits.

    A 1 that may be a 7, then a 2 that may be no digit:

    >>> shares = np.zeros((2, 10))
    >>> shares[0, [1, 7]], shares[1, 2] = (0.75, 0.25), 1
    >>> readings, _ = best_readings([1.0, 0.75], shares, None, 3)
    >>> [(one.number, round(one.confidence, 4)) for one in readings]
    [('12', 0.5625), ('1', 0.1875), ('72', 0.1875)]
    >>> best_readings([1.0, 0.75], shares, "7d", 1)[0][0].number
    '72'
    """
    # For each number of characters read so far: the best paths to there, and the sum over all.
    ways: dict[int, list[_Way]] = {0: [_Way(0.0, "", None, None)]}
    mass: dict[int, float] = {0: 1.0}
    for left, presence, row in zip(
        range(len(presences) - 1, -1, -1), presences, shares, strict=True
    ):
        longer: dict[int, list[Iterator[_Step]]] = defaultdict(list)
        heavier: dict[int, float] = defaultdict(float)
        likeliest = [int(digit) for digit in np.argsort(-row)[:TRIED_DIGITS]]
        for at, before in ways.items():
            options: list[tuple[int | None, float, int]] = [(None, 1 - presence, at)]
            if pattern is None:
                options += [(digit, presence * float(row[digit]), 0) for digit in likeliest]
            elif at < len(pattern):
                allowed = likeliest if pattern[at] == ANY else [int(pattern[at])]
                options += [(digit, presence * float(row[digit]), at + 1) for digit in allowed]
            for digit, share, reached in options:
                if share > 0:
                    longer[reached].append(_go_on(before, math.log(share), digit))
            heavier[at] += mass[at] * (1 - presence)
            if pattern is not None and at < len(pattern):
                heavier[at + 1] += (
                    mass[at]
                    * presence
                    * (1 if pattern[at] == ANY else float(row[int(pattern[at])]))
                )
        reachable = [
            at
            for at in longer
            if pattern is None or (heavier[at] > NEGLIGIBLE_MASS and at + left >= len(pattern))
        ]
        ways = {at: _best(longer[at], count + 1) for at in reachable}
        mass = heavier
    if pattern is None:
        # "No number" is an answer of its own, not another number.
        return _readings(
            ways[0][:1]
            if not ways[0][0].number
            else [way for way in ways[0] if way.number][:count],
            1.0,
        ), False
    end = len(pattern)
    if end not in ways:
        return best_readings(presences, shares, None, count)[0], True
    misfits = mass[end] < LEAST_MASS
    return _readings(ways[end][:count], 1.0 if misfits else mass[end]), misfits


class _Way(NamedTuple):
    # The logarithm of its probability: the product over many candidates is too small for a float.
    weight: float
    number: str
    before: "_Way | None"  # the path without the last candidate
    digit: int | None  # of the last candidate

    @property
    def choices(self) -> tuple[int | None, ...]:
        """For each candidate its digit."""
        way, backwards = self, list[int | None]()
        while way.before is not None:
            backwards.append(way.digit)
            way = way.before
        return tuple(reversed(backwards))


_Step = tuple[float, _Way, int | None]  # its weight, and the way that it makes longer by what


def _go_on(ways: list[_Way], weight: float, digit: int | None) -> Iterator[_Step]:
    for way in ways:
        yield way.weight + weight, way, digit


def _best(steps: list[Iterator[_Step]], count: int) -> list[_Way]:
    """The likeliest paths for each number that they read; each iterator of steps gives its
    likeliest first.
    """
    kept: dict[str, _Way] = {}
    for weight, before, digit in heapq.merge(*steps, key=itemgetter(0), reverse=True):
        number = before.number if digit is None else before.number + str(digit)
        if number not in kept:
            kept[number] = _Way(weight, number, before, digit)
            if len(kept) == count:
                break
    return list(kept.values())


def _readings(ways: list[_Way], whole: float) -> list[Reading]:
    return [
        Reading(way.choices, round(min(math.exp(way.weight - math.log(whole)), 1.0), 4))
        for way in ways
    ]
