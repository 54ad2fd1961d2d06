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

    A picture that EXIF data say is turned is read in both ways, and the surer answer is given; where both are sure of different
    digits, as a 6 and a 9 are, it is what EXIF says, and uncertain.

    Raises:
        FlaskapiError: one of the kinds that `decode_image`, `normalize_digit` and `Classifier.probabilities` name.
    """
    normalized = _normalize(image, max_pixels=max_pixels)
    batch = np.array([digit.pixels for digit in normalized]).reshape(-1, 28, 28, 1)
    predictions = conclude(classifier.probabilities(batch), classifier.version, uncertain_below)
    told, *stored = map(Reading, predictions, normalized)
    if not stored:
        return told
    surer = max(told, *stored, key=lambda reading: reading.prediction.confidence)
    all_sure = not any(reading.prediction.uncertain for reading in (told, *stored))
    if all_sure and surer.prediction.digit != told.prediction.digit:
        return told._replace(prediction=told.prediction._replace(uncertain=True))
    return surer


def _normalize(image: bytes, *, max_pixels: int) -> list[NormalizedDigit]:
    """Prepare each way of looking at the picture; by its colours only where there is nothing to see by its lightness."""
    normalized: list[NormalizedDigit] = []
    for by_colour in (False, True):
        for view in decode_image(image, max_pixels=max_pixels, max_side_px=DECODED_SIDE_PX, by_colour=by_colour):
            try:
                normalized.append(normalize_digit(view))
            except NoDigitFoundError as error:
                missing = error
        if normalized:
            return normalized
    raise missing


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
