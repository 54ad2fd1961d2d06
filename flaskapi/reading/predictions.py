"""What is answered, in plain Python values."""

from collections.abc import Sequence
from typing import NamedTuple

from flaskapi.digits import Box, NormalizedDigit


class Prediction(NamedTuple):
    """The answer for one digit. `probabilities` has one entry for each
    digit, 0 to 9.
    """

    digit: int
    confidence: float
    probabilities: list[float]
    uncertain: bool
    model: str
    generation: int


class DigitReading(NamedTuple):
    """The answer for one digit, and what the network saw of it."""

    prediction: Prediction
    normalized: NormalizedDigit


class NumberDigit(NamedTuple):
    """One digit of a number; its box is in pixels of the image that was sent, upright."""

    digit: int
    confidence: float
    uncertain: bool
    box: Box


class Alternative(NamedTuple):
    """Another way to read the number."""

    number: str
    confidence: float


class NumberMark(NamedTuple):
    """Something between the digits of a number; its box is as a digit's."""

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
    written: str = ""  # digits and the signs between them, a newline between lines
    marks: Sequence[NumberMark] = ()
    groups: Sequence[Sequence[str]] = ()  # of each line, digits that stand together
    passes: bool | None = None  # the check that the caller named; None: none was named
