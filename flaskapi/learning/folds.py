"""Which labelled images are judged together, by a model that has learned from all others."""

from collections.abc import Sequence

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.learning import Example, to_arrays

FOLDS = 4
# Cosine of the angle between two images, as the network sees them: above it both are one picture,
# sent as different files. Two digits of one hand have about 0.8.
ALIKE = 0.98
_TOGETHER = 1_000  # rows that are compared at once


def assign_folds(examples: Sequence[Example]) -> list[int]:
    """Give each example the number of its fold, 0 to `FOLDS` - 1.

    The image's hash decides, so that other labels change nothing; look-alikes share a fold.
    """
    groups = _group(examples)
    first: dict[int, bytes] = {}
    for group, one in zip(groups, examples, strict=True):
        first[group] = min(first.get(group, one.sha256), one.sha256)
    return [first[group][0] % FOLDS for group in groups]


def _group(examples: Sequence[Example]) -> list[int]:
    """Number the groups of look-alikes: who is like one of a group belongs to it."""
    leaders = list(range(len(examples)))

    def find(place: int) -> int:
        while leaders[place] != place:
            leaders[place] = place = leaders[leaders[place]]
        return place

    directions = _to_directions(examples)
    for start in range(0, len(examples), _TOGETHER):
        alike = directions[start : start + _TOGETHER] @ directions.T > ALIKE
        for row, column in np.argwhere(alike).tolist():
            leaders[find(start + row)] = find(column)
    return [find(place) for place in range(len(examples))]


def _to_directions(examples: Sequence[Example]) -> Floats:
    pixels = to_arrays(examples)[0].reshape(-1, 28 * 28).astype(np.float32)
    return pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1)
