"""Measures of answers to labelled images: accuracy, confusion, calibration, and the uncertain
share.
"""

import abc
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from flaskapi.labels import DIGITS

LINE_END = "|"  # between the lines of a number, in labels and answers
CALIBRATION_BINS = (
    15  # of equal width, as in Guo et al., "On Calibration of Modern Neural Networks" (2017)
)


class Outcome(NamedTuple):
    """One image and its answer. Both are strings of digits, with `|` between lines; a digit is a
    number of length one.
    """

    name: str
    label: str | None  # what it is; None: no digit
    said: str | None  # what the service said; None: it found none, or refused the file
    confidence: float = 0.0
    uncertain: bool = True
    problem: str = ""  # why there is no digit
    refused: bool = (
        False  # the file could not be read at all, which is no answer about what it shows
    )

    @property
    def right(self) -> bool:
        """A digit or number is right if the answer names it, whatever its lines. An image of no
        digit is right if no digit is named with certainty.
        """
        if self.label is None:
            return self.uncertain and not self.refused
        return self.said is not None and _joined(self.said) == _joined(self.label)

    @property
    def errors(self) -> int:
        """How many digits must be inserted, deleted or changed to turn the answer into the truth
        (Levenshtein distance).
        """
        label, said = _joined(self.label or ""), _joined(self.said or "")
        # Of making the first n digits said of the first m of the label.
        costs = list(range(len(said) + 1))
        for m, digit in enumerate(label, 1):
            before, costs = costs, [m]
            for n, other in enumerate(said, 1):
                costs.append(min(before[n] + 1, costs[-1] + 1, before[n - 1] + (digit != other)))
        return costs[-1]


class Bin(NamedTuple):
    """The answers whose confidence lies in one range."""

    answers: int
    confidence: float
    accuracy: float


class Evaluation(abc.ABC):
    """The measures of some outcomes, of digits or of numbers. Shares are from 0 to 1, and 0 if
    there are no outcomes.
    """

    of: ClassVar[str]
    by: ClassVar[str]  # what `groups` are told apart by

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = outcomes
        self.written = [outcome for outcome in outcomes if outcome.label is not None]
        self.others = [outcome for outcome in outcomes if outcome.label is None]

    @property
    def wrong(self) -> int:
        """How many were read as another digit or number, or not at all. A refused file counts as
        wrong.
        """
        return sum(not outcome.right for outcome in self.written)

    @property
    def accuracy(self) -> float:
        return _share(outcome.right for outcome in self.written)

    @property
    def uncertain_share(self) -> float:
        return _share(outcome.uncertain for outcome in self.written)

    @property
    def wrong_of_certain(self) -> float:
        """The share of certain answers that are wrong."""
        return _share(not outcome.right for outcome in self.written if not outcome.uncertain)

    @property
    def rejected_share(self) -> float:
        """The share of images of no digit that were answered as uncertain or refused."""
        return _share(outcome.right for outcome in self.others)

    @property
    @abc.abstractmethod
    def groups(self) -> dict[str, list[Outcome]]:
        """The outcomes with a digit or number, in groups that differ in difficulty. A group may be
        empty.
        """

    @property
    def accuracy_by_group(self) -> dict[str, float | None]:
        """The accuracy in each group; None for an empty one."""
        return {
            name: _share(outcome.right for outcome in group) if group else None
            for name, group in self.groups.items()
        }

    @property
    def bins(self) -> list[Bin]:
        """The reliability diagram: the answers that name something, grouped by confidence."""
        read = [
            (outcome.confidence, outcome.right)
            for outcome in self.written
            if outcome.said is not None
        ]
        confidence, right = np.array(read, np.float64).reshape(-1, 2).T
        places = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        groups = [places == place for place in range(CALIBRATION_BINS)]
        return [
            Bin(int(g.sum()), float(confidence[g].mean()), float(right[g].mean()))
            if g.any()
            else Bin(0, 0.0, 0.0)
            for g in groups
        ]

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: the mean distance of confidence from accuracy over the
        bins, weighted by their counts.
        """
        bins = self.bins
        total = sum(bin.answers for bin in bins)
        return (
            sum(bin.answers * abs(bin.confidence - bin.accuracy) for bin in bins) / total
            if total
            else 0.0
        )

    @property
    def mistakes(self) -> list[Outcome]:
        """The outcomes that are not right, the most confident first."""
        return sorted(
            (outcome for outcome in self.outcomes if not outcome.right),
            key=lambda outcome: -outcome.confidence,
        )

    def figures(self) -> dict[str, int | float]:
        """The measures as plain numbers, rounded to significant digits, for a model card."""
        figures: dict[str, int | float] = {}
        if self.written:
            figures |= {
                self.of: len(self.written),
                "wrong": self.wrong,
                "accuracy": round(self.accuracy, 6),
                "uncertain": round(self.uncertain_share, 6),
            }
            figures |= {
                "wrong_of_certain": round(self.wrong_of_certain, 6),
                "calibration_error": round(self.calibration_error, 6),
            }
        if self.others:
            figures |= {"others": len(self.others), "rejected": round(self.rejected_share, 6)}
        return figures


class DigitEvaluation(Evaluation):
    """The measures over single digits; labels and answers are of one digit."""

    of, by = "digits", "digit"

    @property
    def groups(self) -> dict[str, list[Outcome]]:
        return {
            digit: [outcome for outcome in self.written if outcome.label == digit]
            for digit in "0123456789"
        }

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """`(11, 11)`: a row for each true digit, a column for each answered digit. The last of each
        stands for no digit.
        """
        counts = np.zeros((DIGITS + 1, DIGITS + 1), np.int64)
        for outcome in self.outcomes:
            counts[_place(outcome.label), _place(outcome.said)] += 1
        return counts


class NumberEvaluation(Evaluation):
    """The measures of numbers. A number is right if all its digits are."""

    of, by = "numbers", "length"

    @property
    def groups(self) -> dict[str, list[Outcome]]:
        lengths = [len(_joined(outcome.label or "")) for outcome in self.written]
        pairs = list(zip(lengths, self.written, strict=True))
        return {
            str(length): [outcome for its, outcome in pairs if its == length]
            for length in sorted(set(lengths))
        }

    @property
    def lines_accuracy(self) -> float:
        """How many numbers are right and divided into the right lines."""
        return _share(outcome.said == outcome.label for outcome in self.written)

    @property
    def digit_error_rate(self) -> float:
        """Digits to insert, delete or change, over digits written. In a number that was not read,
        all digits are missing.
        """
        total = sum(len(_joined(outcome.label or "")) for outcome in self.written)
        return sum(outcome.errors for outcome in self.written) / total if total else 0.0


Kind = TypeVar("Kind", bound=Evaluation)


def together(evaluations: Mapping[str, Kind], leave_out: Collection[str] = ()) -> dict[str, Kind]:
    """One evaluation over all sets but some, under a name that says so. There is none if that would
    be a single set.
    """
    parts = [evaluation for name, evaluation in evaluations.items() if name not in leave_out]
    name = f"all but {', '.join(leave_out)}" if leave_out else "all together"
    return (
        {name: type(parts[0])([outcome for part in parts for outcome in part.outcomes])}
        if len(parts) > 1
        else {}
    )


def _joined(lines: str) -> str:
    return lines.replace(LINE_END, "")


def _place(digit: str | None) -> int:
    return DIGITS if digit is None else int(digit)


def _share(hits: Iterable[bool]) -> float:
    values = list(hits)
    return sum(values) / len(values) if values else 0.0
