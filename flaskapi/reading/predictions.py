"""The answers, as plain Python values."""

from collections.abc import Sequence
from typing import NamedTuple

from flaskapi.digits import Box, NormalizedDigit


class Prediction(NamedTuple):
    """The answer for one digit. `probabilities` has one entry for each digit, 0 to 9."""

    digit: int
    confidence: float
    probabilities: list[float]
    uncertain: bool
    model: str
    generation: int


class DigitReading(NamedTuple):
    """The answer for one digit, and the network's input."""

    prediction: Prediction
    normalized: NormalizedDigit


class NumberDigit(NamedTuple):
    """One digit of a number; its box is in pixels of the image that was sent, upright."""

    digit: int
    confidence: float
    uncertain: bool
    box: Box


class Alternative(NamedTuple):
    """Another reading of the number."""

    number: str
    confidence: float


class NumberMark(NamedTuple):
    """A mark between the digits of a number; its box is in the same pixels as a digit's."""

    kind: str
    confidence: float
    box: Box


class NumberPrediction(NamedTuple):
    """The answer for a number; `number` is all `lines` together."""

    number: str
    confidence: float
    uncertain: bool
    lines: list[str]
    digits: list[NumberDigit]
    model: str
    generation: int
    alternatives: list[Alternative]
    written: str = ""  # digits and the marks between them, a newline between lines
    marks: Sequence[NumberMark] = ()
    groups: Sequence[Sequence[str]] = ()  # for each line, the digits that stand together
    passes: bool | None = None  # whether it passes the requested check; None: there was none
