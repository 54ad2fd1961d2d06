"""From image bytes to predictions: the order of the steps, and what a classifier must be able to do."""

import base64
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from flaskapi.digits import NormalizedDigit
from flaskapi.digits.decode import decode_image
from flaskapi.digits.normalize import normalize_digit
from flaskapi.errors import ModelUnavailableError, NoDigitFoundError

Batch = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]

DECODED_SIDE_PX = 1024  # a larger picture is reduced to this while it is decoded; see `decode_image`


# A stroke on paper, 96x96, for `warm_up`.
_STROKE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAGAAAABgCAAAAADH8yjkAAAAT0lEQVR42u3ZMQoAIAwDwFb8/5fr4gPqIIhcli6BGzomK+5mBAAAAAAAgEbmSTn3LT8AAAAAAAAAAAAAAAAAAAAAAP8CacsEAAAAAOAJYAFchAO/s1IU3QAAAABJRU5ErkJggg=="
)


class Classifier(Protocol):
    """A loaded model that answers."""

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the model: its version, data, training and accuracy."""

    @property
    def version(self) -> str:
        """Names the model in every prediction, as `2026-11-22-1a2b3c4d`."""

    def probabilities(self, batch: Batch) -> Probabilities:
        """Classify `float32 (n, 28, 28, 1)` in [0, 1], 1 the ink, as `float32 (n, 10)` whose rows sum to 1.

        Raises:
            ModelUnavailableError: there is no model; the text says why.
        """


class Prediction(NamedTuple):
    """The answer for one digit, in plain Python values. `probabilities` has one entry for each digit, 0 to 9."""

    digit: int
    confidence: float
    probabilities: list[float]
    uncertain: bool
    model: str


class Reading(NamedTuple):
    """The answer for one digit, and what the network saw of it."""

    prediction: Prediction
    normalized: NormalizedDigit


def predict_digit(image: bytes, classifier: Classifier, *, max_pixels: int, uncertain_below: float) -> Reading:
    """Read the one digit in an image file.

    Of a picture that EXIF data say is turned, both ways are read, and the surer answer is given.

    Raises:
        FlaskapiError: one of the kinds that `decode_image`, `normalize_digit` and `Classifier.probabilities` name.
    """
    normalized: list[NormalizedDigit] = []
    for view in decode_image(image, max_pixels=max_pixels, max_side_px=DECODED_SIDE_PX):
        try:
            normalized.append(normalize_digit(view))
        except NoDigitFoundError as error:
            missing = error
    if not normalized:
        raise missing
    batch = np.array([digit.pixels for digit in normalized]).reshape(-1, 28, 28, 1)
    predictions = conclude(classifier.probabilities(batch), classifier.version, uncertain_below)
    return max(map(Reading, predictions, normalized), key=lambda reading: reading.prediction.confidence)


def conclude(probabilities: Probabilities, version: str, uncertain_below: float) -> Sequence[Prediction]:
    """Turn rows of probabilities into predictions, rounded to what means anything: four decimals."""
    predictions = []
    for row in probabilities.astype(np.float64).round(4).tolist():
        confidence = max(row)
        predictions.append(Prediction(row.index(confidence), confidence, row, confidence < uncertain_below, version))
    return predictions


def warm_up(classifier: Classifier) -> None:
    """Take every step once, so that what libraries do at first use is not done in somebody's request."""
    with contextlib.suppress(ModelUnavailableError):
        predict_digit(_STROKE, classifier, max_pixels=96 * 96, uncertain_below=0)
