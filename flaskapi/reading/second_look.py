"""A second look at uncertain digits: the same digit, moved by a pixel to each side and corner."""

import itertools

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.reading.protocols import Classifier
from flaskapi.steps import step

# One in fifty of MNIST's digits is looked at again; of many in a ZIP, 3 to 8 % fewer are read per
# second. On held-out digits of four trainings this corrected up to a tenth of the mistakes, or
# none, and made the right answer likelier with each. An upper limit of 0.998, slants, turns and
# sizes added nothing. The corners besides the sides made it likelier still with each of six;
# moves by two pixels did not.
LOOK_AGAIN_BELOW = 0.99
LOOK_AGAIN_FROM = (
    0.3  # less, with all ten nearly alike, says that it is no digit, however often it is looked at
)
LEAST_SHARE = np.float32(1e-5)  # of a digit, by one view, so that no view outvotes all others
# Down and to the right, in pixels.
_MOVES = [move for move in itertools.product((-1, 0, 1), repeat=2) if any(move)]
_SIDE = 28


def look_twice(classifier: Classifier, batch: Floats) -> Floats:
    """Classify prepared digits; an uncertain one gets the mean of nine opinions.

    The answer of a network with a coarse grid changes a little when the strokes move within it. The
    mean is over logarithms, so that a digit that one view rules out is not the answer.

    Args:
        classifier: all answers are of one version, even if it fails and another takes its place.
        batch: `float32 (n, 28, 28, 1)` in [0, 1], 1 is ink.

    Returns:
        `float32 (n, 10)`, rows sum to 1.

    Raises:
        ModelUnavailableError: there is no model.
    """
    version = classifier.version
    with step("classify"):
        answers = _look_twice(classifier, batch)
        return answers if classifier.version == version else _look_twice(classifier, batch)


def _look_twice(classifier: Classifier, batch: Floats) -> Floats:
    answers = classifier.probabilities(batch)
    sure = answers.max(axis=1)
    unsure = np.flatnonzero((sure >= LOOK_AGAIN_FROM) & (sure < LOOK_AGAIN_BELOW))
    if len(unsure) == 0:
        return answers
    padded = np.pad(batch[unsure], ((0, 0), (1, 1), (1, 1), (0, 0)))
    # One move after another: all at once would take eight times the memory of a chunk, up to 120 MB
    # of a process.
    moved = (
        np.ascontiguousarray(padded[:, 1 - down : 1 - down + _SIDE, 1 - right : 1 - right + _SIDE])
        for down, right in _MOVES
    )
    # (9, unsure, 10): the view as it is, and moved.
    views = np.stack([answers[unsure], *(classifier.probabilities(view) for view in moved)])
    means = np.maximum(np.exp(np.log(views + LEAST_SHARE).mean(axis=0)) - LEAST_SHARE, 0)
    answers = answers.copy()
    answers[unsure] = means / means.sum(axis=1, keepdims=True)
    return answers
