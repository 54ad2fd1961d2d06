"""What there is to know about answers whose truth is known: accuracy, confusion, calibration, and what was left uncertain."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DIGITS = 10
CALIBRATION_BINS = 15  # of equal width, as in Guo et al., "On Calibration of Modern Neural Networks" (2017)


class Outcome(NamedTuple):
    """One image and its answer."""

    name: str
    label: int | None  # what it is, 0 to 9; None: no digit
    digit: int | None  # what the service said; None: it found none, or refused the file
    confidence: float = 0.0
    uncertain: bool = True
    problem: str = ""  # why there is no digit
    refused: bool = False  # the file could not be read at all, which is no answer about what it shows

    @property
    def right(self) -> bool:
        """A digit is right when it is named; what is no digit, when none is named for sure."""
        return self.digit == self.label if self.label is not None else self.uncertain and not self.refused


class Bin(NamedTuple):
    """The answers whose confidence fell into one range."""

    answers: int
    confidence: float
    accuracy: float


class Evaluation:
    """The measures over some outcomes. Shares are from 0 to 1, and 0 where there is nothing to share."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = outcomes
        self.digits = [outcome for outcome in outcomes if outcome.label is not None]
        self.others = [outcome for outcome in outcomes if outcome.label is None]

    @property
    def wrong(self) -> int:
        """How many digits were read as another, or not at all."""
        return sum(not outcome.right for outcome in self.digits)

    @property
    def accuracy(self) -> float:
        return _share(outcome.right for outcome in self.digits)

    @property
    def uncertain_share(self) -> float:
        return _share(outcome.uncertain for outcome in self.digits)

    @property
    def wrong_of_certain(self) -> float:
        """Of the digits that were named for sure, how many are others."""
        return _share(not outcome.right for outcome in self.digits if not outcome.uncertain)

    @property
    def rejected_share(self) -> float:
        """Of what is no digit, how much was left uncertain or found to be none."""
        return _share(outcome.right for outcome in self.others)

    @property
    def accuracy_by_digit(self) -> list[float]:
        return [_share(outcome.right for outcome in self.digits if outcome.label == digit) for digit in range(DIGITS)]

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """`(11, 11)`: rows are what it was, columns what was said; the last of each stands for no digit."""
        counts = np.zeros((DIGITS + 1, DIGITS + 1), np.int64)
        for outcome in self.outcomes:
            counts[_place(outcome.label), _place(outcome.digit)] += 1
        return counts

    @property
    def bins(self) -> list[Bin]:
        """The reliability diagram: of the digits that were read, by confidence."""
        read = [(outcome.confidence, outcome.right) for outcome in self.digits if outcome.digit is not None]
        confidence, right = np.array(read, np.float64).reshape(-1, 2).T
        places = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        groups = [places == place for place in range(CALIBRATION_BINS)]
        return [Bin(int(g.sum()), float(confidence[g].mean()), float(right[g].mean())) if g.any() else Bin(0, 0.0, 0.0) for g in groups]

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: how far confidence is from accuracy, over the bins, weighted by their counts."""
        bins = self.bins
        total = sum(bin.answers for bin in bins)
        return sum(bin.answers * abs(bin.confidence - bin.accuracy) for bin in bins) / total if total else 0.0

    @property
    def mistakes(self) -> list[Outcome]:
        """What was not right, the surest first."""
        return sorted((outcome for outcome in self.outcomes if not outcome.right), key=lambda outcome: -outcome.confidence)

    def figures(self) -> dict[str, int | float]:
        """The measures as plain numbers, rounded to what means anything: for a model card."""
        figures: dict[str, int | float] = {}
        if self.digits:
            figures |= {
                "digits": len(self.digits),
                "wrong": self.wrong,
                "accuracy": round(self.accuracy, 6),
                "uncertain": round(self.uncertain_share, 6),
            }
            figures |= {"wrong_of_certain": round(self.wrong_of_certain, 6), "calibration_error": round(self.calibration_error, 6)}
        if self.others:
            figures |= {"others": len(self.others), "rejected": round(self.rejected_share, 6)}
        return figures


def together(evaluations: Mapping[str, Evaluation], leave_out: Collection[str] = ()) -> dict[str, Evaluation]:
    """One evaluation over all sets but some, under a name that says so; none where that would be a single set."""
    parts = [evaluation for name, evaluation in evaluations.items() if name not in leave_out]
    name = f"all but {', '.join(leave_out)}" if leave_out else "all together"
    return {name: Evaluation([outcome for part in parts for outcome in part.outcomes])} if len(parts) > 1 else {}


def _place(digit: int | None) -> int:
    return DIGITS if digit is None else digit


def _share(hits: Iterable[bool]) -> float:
    values = list(hits)
    return sum(values) / len(values) if values else 0.0
