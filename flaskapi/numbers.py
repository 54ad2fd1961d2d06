"""From the bytes of a larger image to the number that is written in it: the order of the steps."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from flaskapi.errors import ModelUnavailableError
from flaskapi.recognition import Classifier


class Detector(Protocol):
    """A loaded model that finds digits in a larger picture."""

    def detect(self, page: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Look over a page, `float32 (height, width)` in [0, 1], 1 the ink.

        Raises:
            ModelUnavailableError: there is no model; the text says why.
        """


class Box(NamedTuple):
    """Where a digit is, in pixels of the image that was sent (upright), from its top left corner."""

    x: int
    y: int
    width: int
    height: int


class NumberDigit(NamedTuple):
    """One digit of a number."""

    digit: int
    confidence: float
    uncertain: bool
    box: Box


class NumberPrediction(NamedTuple):
    """The answer for a number, in plain Python values; `number` is all `lines` together."""

    number: str
    confidence: float
    uncertain: bool
    lines: list[str]
    digits: list[NumberDigit]
    model: str


def predict_number(
    image: bytes, classifier: Classifier, detector: Detector, *, max_pixels: int, uncertain_below: float
) -> NumberPrediction:
    """Read the number in an image file.

    Raises:
        FlaskapiError: one of the kinds that `predict_digit` names.
    """
    raise ModelUnavailableError("Numbers are not read yet.")
