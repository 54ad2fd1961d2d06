"""Is a candidate better than the serving model? Both answer the same images, in their compiled
forms.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.evaluation.measures import DigitEvaluation, Outcome
from flaskapi.labels import NO_DIGIT
from flaskapi.reading.protocols import Classifier
from flaskapi.reading.second_look import look_twice

# Additional errors that a candidate may make on MNIST's test set, compared with the serving model
# and with the model of MODEL_PATH.
MORE_ERRORS = 2
SIGNIFICANCE = 0.05
MNIST_CALIBRATION_ERROR = 0.01  # the largest that a candidate may have there
MORE_CALIBRATION_ERROR = (
    0.02  # that it may have on held-back images, over that of the model that serves
)
_TOGETHER = 100  # images in one call


class Pair(NamedTuple):
    """The answers of both models to the same image, the serving one first."""

    before: Outcome
    after: Outcome


class Judgement(NamedTuple):
    """A comparison on MNIST's test set and on held-back labelled images."""

    mnist: list[Pair]
    held_back: list[Pair]
    wrong_at_first: int | None = (
        # Of MNIST's test set, by the model of MODEL_PATH; None if that one serves.
        None
    )

    @property
    def fixed(self) -> list[Pair]:
        """The images that the candidate reads correctly and the other model does not."""
        return [pair for pair in self.held_back if pair.after.right and not pair.before.right]

    @property
    def broken(self) -> list[Pair]:
        return [pair for pair in self.held_back if pair.before.right and not pair.after.right]

    @property
    def p_value(self) -> float:
        return mcnemar(len(self.fixed), len(self.broken))

    @property
    def reasons(self) -> list[str]:
        """Why the candidate must not serve; empty if it may."""
        (wrong, wrong_now), (_, unfit_now) = figures(self.mnist)
        (_, _), (unfit_held_back, unfit_held_back_now) = figures(self.held_back)
        reasons = []
        if wrong_now > wrong + MORE_ERRORS:
            reasons.append(
                f"It misreads {wrong_now:,} images of MNIST's test set instead of {wrong:,}; at "
                f"most {MORE_ERRORS} more are allowed."
            )
        if self.wrong_at_first is not None and wrong_now > self.wrong_at_first + MORE_ERRORS:
            reasons.append(
                f"It misreads {wrong_now:,} images of MNIST's test set, the model of MODEL_PATH "
                f"{self.wrong_at_first:,};"
                f" at most {MORE_ERRORS} more are allowed after any number of retrainings."
            )
        if not self.p_value < SIGNIFICANCE:
            reasons.append(
                f"On held-back images it is not certainly better: {len(self.fixed)} fixed, "
                f"{len(self.broken)} broken,"
                f" p = {self.p_value:.2g}; it must be below {SIGNIFICANCE:g}."
            )
        if unfit_now > MNIST_CALIBRATION_ERROR:
            reasons.append(
                f"Its calibration error on MNIST's test set is {unfit_now:.2%}; at most "
                f"{MNIST_CALIBRATION_ERROR:.0%} is allowed."
            )
        if unfit_held_back_now > unfit_held_back + MORE_CALIBRATION_ERROR:
            reasons.append(
                f"Its calibration error on held-back images is {unfit_held_back_now:.1%} instead "
                f"of {unfit_held_back:.1%};"
                f" at most {MORE_CALIBRATION_ERROR:.0%} more is allowed."
            )
        return reasons


def figures(pairs: Sequence[Pair]) -> tuple[tuple[int, int], tuple[float, float]]:
    """The number of errors, including pictures of no digit, and the calibration error, from 0 to 1;
    each before and after.
    """
    before, after = ([pair[place] for pair in pairs] for place in (0, 1))
    wrong = [sum(not outcome.right for outcome in outcomes) for outcomes in (before, after)]
    errors = [DigitEvaluation(outcomes).calibration_error for outcomes in (before, after)]
    return (wrong[0], wrong[1]), (errors[0], errors[1])


def mcnemar(fixed: int, broken: int) -> float:
    """The exact one-sided McNemar test: the probability that of fixed + broken images at least
    `fixed` were fixed by chance.

    If neither model were better, each image on which they differ would fall to either side like a
    coin: the upper tail of the binomial distribution (McNemar: "Note on the sampling error of the
    difference between correlated proportions", 1947).
    """
    differ = fixed + broken
    return sum(math.comb(differ, count) for count in range(fixed, differ + 1)) / 2**differ


def ask(classifier: Classifier, pixels: Bytes) -> Floats:
    """Give a model's probabilities, `float32 (n, 10)`, for `uint8 (n, 28, 28)`, 255 is ink, as a
    caller would get them.
    """
    parts = [pixels[start : start + _TOGETHER] for start in range(0, len(pixels), _TOGETHER)]
    batches = [(part.astype(np.float32) / np.float32(255)).reshape(-1, 28, 28, 1) for part in parts]
    return np.concatenate(
        [np.zeros((0, 10), np.float32), *(look_twice(classifier, batch) for batch in batches)]
    )


def count_wrong(classifier: Classifier, pixels: Bytes, labels: Bytes) -> int:
    """Count the images, `uint8 (n, 28, 28)`, 255 is ink, that a model reads differently from their
    labels, `uint8 (n,)`, 0 to 9.
    """
    return int((ask(classifier, pixels).argmax(axis=1) != labels).sum())


def compare(
    before: Classifier,
    after: Classifier,
    pixels: Bytes,
    labels: Bytes,
    names: Sequence[str],
    uncertain_below: float,
) -> list[Pair]:
    """Let both models answer the same images."""
    outcomes = [
        [
            _conclude(row, int(label), name, uncertain_below)
            for row, label, name in zip(ask(model, pixels), labels, names, strict=True)
        ]
        for model in (before, after)
    ]
    return [Pair(*pair) for pair in zip(*outcomes, strict=True)]


def _conclude(row: Floats, label: int, name: str, uncertain_below: float) -> Outcome:
    confidence = float(row.max())
    known = None if label == NO_DIGIT else str(label)
    return Outcome(name, known, str(int(row.argmax())), confidence, confidence < uncertain_below)
