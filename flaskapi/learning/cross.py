"""Cross-fitting: each labelled image is answered by a copy of the model that has not learned it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.learning import Example, to_arrays
from flaskapi.learning.folds import assign_folds
from flaskapi.learning.judge import ask

if TYPE_CHECKING:
    from flaskapi.training.finetune import Finetuner, Learned


class Crossed(NamedTuple):
    """What was said of every labelled image, `(n, 10)`: by the model that serves, and by one that
    learned from all others.
    """

    before: Floats
    after: Floats


def cross(
    finetuner: "Finetuner",
    examples: Sequence[Example],
    share: float,
    told: Callable[[float], None],
) -> Crossed:
    """Ask of each example the model that serves, and a copy that has learned all other folds.

    A copy that keeps nothing is the model that serves, and none is trained.

    Args:
        share: of its way, what each copy keeps: as much as the candidate, whose evidence this is.
        told: is told how much is done, 0 to 1.
    """
    pixels, labels = to_arrays(examples)
    folds = np.array(assign_folds(examples))
    there = sorted(set(folds.tolist()))
    before = ask(CopyOf(finetuner, finetuner.serving), pixels)
    if not share:
        return Crossed(before, before)
    after = np.zeros_like(before)
    for done, fold in enumerate(there):
        others = folds != fold
        copy = finetuner.learn(
            (pixels[others], labels[others]),
            partial(_tell_part, told, done, len(there)),
            share=share,
        )
        after[~others] = ask(CopyOf(finetuner, copy), pixels[~others])
    return Crossed(before, after)


class CopyOf:
    """A copy of the model that serves, as a classifier that looks twice as that does."""

    version, generation = "a copy", 0

    def __init__(self, finetuner: "Finetuner", learned: "Learned") -> None:
        self._finetuner, self._learned = finetuner, learned

    @property
    def card(self) -> dict[str, Any]:
        return {}

    def probabilities(self, batch: Floats) -> Floats:
        """See `Classifier`."""
        return self._finetuner.classify(self._learned, batch)


def _tell_part(told: Callable[[float], None], done: int, parts: int, share: float) -> None:
    told((done + share) / parts)
