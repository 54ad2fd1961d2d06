"""From candidates in reading order to whole numbers: the likeliest readings, and those that fit what the caller knows."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ANY = "d"  # in a pattern, stands for any digit
TRIED_DIGITS = 4  # for each candidate, the likeliest, beside what the pattern asks for
LEAST_MASS = 1e-3  # of what was seen: a pattern that less speaks for does not fit the picture


class Reading(NamedTuple):
    """One way to read the candidates."""

    choices: tuple[int | None, ...]  # for each candidate the digit that it is, None where it is none
    confidence: float

    @property
    def number(self) -> str:
        return "".join(str(choice) for choice in self.choices if choice is not None)


def best_readings(
    presences: Sequence[float], shares: npt.NDArray[np.floating], pattern: str | None, count: int
) -> tuple[list[Reading], bool]:
    """Find the likeliest readings of different numbers.

    A candidate is a digit or not, and one digit or another, independently of the others: a reading's probability is the product.
    With a pattern, only readings that fit it are weighed, against each other (Viterbi's algorithm with several best paths, over how
    much of the pattern has been read).

    Args:
        presences: of each candidate, in reading order, the probability that it is a digit.
        shares: `(n, 10)`, the probability of each digit, if it is one.
        pattern: one sign for each digit of the number, `d` for any; or None.
        count: how many readings to give.

    Returns:
        The readings, the likeliest first, at least one; and whether there was a pattern that does not fit, or fits badly.
    """
    # For each number of signs read so far: the best ways to there, and the sum over all of them.
    ways: dict[int, list[tuple[float, tuple[int | None, ...]]]] = {0: [(1.0, ())]}
    mass: dict[int, float] = {0: 1.0}
    for presence, row in zip(presences, shares, strict=True):
        longer: dict[int, list[tuple[float, tuple[int | None, ...]]]] = defaultdict(list)
        heavier: dict[int, float] = defaultdict(float)
        likeliest = [int(digit) for digit in np.argsort(-row)[:TRIED_DIGITS]]
        for at, paths in ways.items():
            options: list[tuple[int | None, float, int]] = [(None, 1 - presence, at)]
            if pattern is None:
                options += [(digit, presence * float(row[digit]), 0) for digit in likeliest]
            elif at < len(pattern):
                allowed = likeliest if pattern[at] == ANY else [int(pattern[at])]
                options += [(digit, presence * float(row[digit]), at + 1) for digit in allowed]
            for digit, share, reached in options:
                longer[reached] += [(weight * share, (*path, digit)) for weight, path in paths]
                heavier[reached] += mass[at] * share
        ways = {at: _best(paths, count) for at, paths in longer.items()}
        mass = heavier
    if pattern is None:
        return _readings(ways[0], 1.0), False
    end = len(pattern)
    if mass.get(end, 0) <= 0:
        return best_readings(presences, shares, None, count)[0], True
    return _readings(ways[end], mass[end]), mass[end] < LEAST_MASS


def _best(paths: list[tuple[float, tuple[int | None, ...]]], count: int) -> list[tuple[float, tuple[int | None, ...]]]:
    """The likeliest ways of each number that they read."""
    kept: dict[str, tuple[float, tuple[int | None, ...]]] = {}
    for weight, path in sorted(paths, key=lambda way: -way[0]):
        kept.setdefault("".join("" if digit is None else str(digit) for digit in path), (weight, path))
        if len(kept) == count:
            break
    return list(kept.values())


def _readings(ways: list[tuple[float, tuple[int | None, ...]]], whole: float) -> list[Reading]:
    return [Reading(path, round(min(weight / whole, 1.0), 4)) for weight, path in ways if not math.isclose(weight, 0)]
