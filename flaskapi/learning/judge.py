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
from flaskapi.sources.mnist import MNIST_NOISE

WORSE = 0.05  # a candidate that reads it worse than by noise is refused at this significance
MORE_ERRORS = 3  # over the model that it all began with, however many retrainings lie between
# That a candidate which is no better is promoted, by any of the retrainings of one serving model.
SIGNIFICANCE = 0.05
SPENDING = 2.2  # the power of its number by which each retraining may spend less of that
_SPENT = 1.4906  # the sum of 1, 1 / 2 ** 2.2, 1 / 3 ** 2.2 and so on, without end
MNIST_CALIBRATION_ERROR = 0.01  # that a candidate may have there
MORE_SURE_ERRORS = 0.01  # of labelled images, that may be wrong and sure, over those before
_TOGETHER = 100  # images in one call


class Pair(NamedTuple):
    """The answers of both models to the same image, the serving one first."""

    before: Outcome
    after: Outcome


class Judgement(NamedTuple):
    """A comparison on MNIST's test set and on labelled images that the candidate's like has not
    learned.
    """

    mnist: list[Pair]
    labelled: list[Pair]
    wrong_at_first: int | None = (
        # Of MNIST's test set, by the model of MODEL_PATH; None if that one serves.
        None
    )
    look: int = 1  # the number of this retraining of the model that serves

    @property
    def fixed(self) -> list[Pair]:
        """The images that the candidate reads correctly and the other model does not."""
        return [pair for pair in self.labelled if pair.after.right and not pair.before.right]

    @property
    def broken(self) -> list[Pair]:
        return [pair for pair in self.labelled if pair.before.right and not pair.after.right]

    @property
    def better(self) -> list[Pair]:
        """What the candidate answers better, in the order of `rank`."""
        return [pair for pair in self.labelled if rank(pair.after) > rank(pair.before)]

    @property
    def worse(self) -> list[Pair]:
        return [pair for pair in self.labelled if rank(pair.after) < rank(pair.before)]

    @property
    def p_value(self) -> float:
        return sign_test(len(self.better), len(self.worse))

    @property
    def needed(self) -> float:
        """What `p_value` must be below."""
        return spend(self.look)

    @property
    def reasons(self) -> list[str]:
        """Why the candidate must not serve; empty if it may."""
        return [*self._reasons_of_mnist(), *self._reasons_of_labels()]

    def _reasons_of_mnist(self) -> list[str]:
        (wrong, wrong_now), (_, unfit_now) = figures(self.mnist)
        fixed = sum(pair.after.right and not pair.before.right for pair in self.mnist)
        broken = fixed + wrong_now - wrong
        counted = max(broken - round(len(self.mnist) * MNIST_NOISE), 0)
        reasons = []
        if (p_value := sign_test(counted, fixed)) < WORSE:
            reasons.append(
                f"It misreads {wrong_now:,} images of MNIST's test set instead of {wrong:,}: more "
                f"than by chance, p = {p_value:.2g}."
            )
        if self.wrong_at_first is None:
            first, whose = wrong, "the model that serves"
        else:
            first, whose = self.wrong_at_first, "the model of MODEL_PATH"
        if wrong_now > first + MORE_ERRORS:
            reasons.append(
                f"It misreads {wrong_now:,} images of MNIST's test set, and {whose} {first:,}; at "
                f"most {MORE_ERRORS} more are allowed after any number of retrainings."
            )
        if unfit_now > MNIST_CALIBRATION_ERROR:
            reasons.append(
                f"Its calibration error on MNIST's test set is {unfit_now:.2%}; at most "
                f"{MNIST_CALIBRATION_ERROR:.0%} is allowed."
            )
        return reasons

    def _reasons_of_labels(self) -> list[str]:
        reasons = []
        if not self.p_value < self.needed:
            nth = "" if self.look == 1 else f" at retraining {self.look} of the same model"
            reasons.append(
                f"On labelled images it is not certainly better: {len(self.better)} are answered "
                f"better, {len(self.worse)} worse, p = {self.p_value:.2g}; it must be below "
                f"{self.needed:.2g}{nth}."
            )
        if len(self.broken) > len(self.fixed):
            reasons.append(
                f"Of the labelled images it breaks more than it fixes: {len(self.broken)} and "
                f"{len(self.fixed)}."
            )
        sure, sure_now = (
            (
                sum(rank(outcome) == 0 for outcome in outcomes)
                for outcomes in zip(*self.labelled, strict=True)
            )
            if self.labelled
            else (0, 0)
        )
        if sure_now > sure + MORE_SURE_ERRORS * len(self.labelled):
            reasons.append(
                f"Of the labelled images {sure_now:,} are certain and wrong instead of {sure:,}; "
                f"at most {MORE_SURE_ERRORS:.0%} more is allowed."
            )
        return reasons


def rank(outcome: Outcome) -> int:
    """How good an answer is to whoever asked: 0 wrong and sure, 1 wrong and uncertain, 2 right and
    uncertain, 3 right.
    """
    if outcome.right:
        return 2 if outcome.uncertain and outcome.label is not None else 3
    return 1 if outcome.uncertain else 0


def spend(look: int) -> float:
    """The significance at which retraining number `look` of one serving model is tested.

    All of them together spend `SIGNIFICANCE`, by Bonferroni's inequality, whatever depends on what
    (alpha spending: Lan, DeMets: "Discrete sequential boundaries for clinical trials", 1983). The
    first may promote where five answers are better and none is worse.
    """
    return float(SIGNIFICANCE / _SPENT / look**SPENDING)


def figures(pairs: Sequence[Pair]) -> tuple[tuple[int, int], tuple[float, float]]:
    """The number of errors, including pictures of no digit, and the calibration error, from 0 to 1;
    each before and after.
    """
    before, after = ([pair[place] for pair in pairs] for place in (0, 1))
    wrong = [sum(not outcome.right for outcome in outcomes) for outcomes in (before, after)]
    errors = [DigitEvaluation(outcomes).calibration_error for outcomes in (before, after)]
    return (wrong[0], wrong[1]), (errors[0], errors[1])


def sign_test(better: int, worse: int) -> float:
    """The exact one-sided sign test: how likely it is that of better + worse images at least
    `better` were answered better by chance.

    Of the images on which two models differ each would fall to either side as a coin does, if
    neither were better: the upper tail of the binomial distribution. Of right and wrong answers
    alone this is McNemar's test ("Note on the sampling error of the difference between correlated
    proportions", 1947).
    """
    differ = better + worse
    return sum(math.comb(differ, count) for count in range(better, differ + 1)) / 2**differ


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
    """Ask both models about the same images."""
    return pair_answers(ask(before, pixels), ask(after, pixels), labels, names, uncertain_below)


def pair_answers(
    before: Floats, after: Floats, labels: Bytes, names: Sequence[str], uncertain_below: float
) -> list[Pair]:
    """Compare what two models say of images, `(n, 10)` each, with what these are, `(n,)`."""
    return [
        Pair(*(_conclude(row, int(label), name, uncertain_below) for row in rows))
        for *rows, label, name in zip(before, after, labels, names, strict=True)
    ]


def _conclude(row: Floats, label: int, name: str, uncertain_below: float) -> Outcome:
    confidence = float(row.max())
    known = None if label == NO_DIGIT else str(label)
    return Outcome(name, known, str(int(row.argmax())), confidence, confidence < uncertain_below)
