"""From image bytes to predictions: the order of the steps, and what a classifier must be able to
do.
"""

import base64
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from flaskapi.digits import Image, NormalizedDigit
from flaskapi.digits.decode import decode_image
from flaskapi.digits.normalize import normalize_digit
from flaskapi.errors import FlaskapiError, ModelUnavailableError, NoDigitFoundError
from flaskapi.reading.second_look import look_twice

Batch = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]
Seen = TypeVar("Seen")

# A larger picture is reduced to this while it is decoded; a digit a fortieth as high still has 25
# pixels.
DECODED_SIDE_PX = 1024
CHUNK = 64  # pictures that the network is shown at once
CHUNK_S = 0.1  # it is shown fewer where that many take longer than this to arrive and to prepare

# A stroke on paper, 96x96, for `warm_up`.
STROKE = base64.b64decode(
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

    @property
    def generation(self) -> int:
        """Counts what was promoted to serve; 0 where nothing was."""

    def probabilities(self, batch: Batch) -> Probabilities:
        """Classify `float32 (n, 28, 28, 1)` in [0, 1], 1 the ink, as `float32 (n, 10)` whose rows
        sum to 1.

        Raises:
            ModelUnavailableError: there is no model; the text says why.
        """


class Prediction(NamedTuple):
    """The answer for one digit, in plain Python values. `probabilities` has one entry for each
    digit, 0 to 9.
    """

    digit: int
    confidence: float
    probabilities: list[float]
    uncertain: bool
    model: str
    generation: int


class Reading(NamedTuple):
    """The answer for one digit, and what the network saw of it."""

    prediction: Prediction
    normalized: NormalizedDigit


def predict_digit(
    image: bytes, classifier: Classifier, *, max_pixels: int, uncertain_below: float
) -> Reading:
    """Read the one digit in an image file.

    A picture that EXIF data say is turned is read in both ways, and the surer answer is given;
    where both are sure of different digits, as a 6 and a 9 are, it is what EXIF says, and
    uncertain.

    Raises:
        FlaskapiError: one of the kinds that `decode_image`, `normalize_digit` and
            `Classifier.probabilities` name.
    """
    (answer,) = _classify([_prepare(image, max_pixels=max_pixels)], classifier, uncertain_below)
    if isinstance(answer, Exception):
        raise answer
    return answer


def predict_digits(
    images: Iterable[bytes | FlaskapiError],
    classifier: Classifier,
    *,
    max_pixels: int,
    uncertain_below: float,
) -> Iterator[Reading | Exception]:
    """Read the digit in each of many image files, as `predict_digit` does, in their order.

    Only some images are taken at a time, and no bytes are kept, so that memory does not grow with
    their number; the first answer is there before the second image is taken.

    Args:
        images: the files; what is an error already is passed on in its place.

    Yields:
        For each image its reading, or what was wrong with it; one that is no `FlaskapiError` is a
        fault of ours.

    Raises:
        ModelUnavailableError: there is no model.
    """
    for chunk in _chunks(_prepare(image, max_pixels=max_pixels) for image in images):
        yield from _classify(chunk, classifier, uncertain_below)


def _chunks(
    prepared: Iterable[list[NormalizedDigit] | Exception],
) -> Iterator[list[list[NormalizedDigit] | Exception]]:
    chunk: list[list[NormalizedDigit] | Exception] = []
    size, begun_s = 1, time.monotonic()
    for views in prepared:
        chunk.append(views)
        if len(chunk) >= size or time.monotonic() - begun_s > CHUNK_S:
            yield chunk
            chunk, size, begun_s = [], CHUNK, time.monotonic()
    if chunk:
        yield chunk


def _prepare(image: bytes | FlaskapiError, *, max_pixels: int) -> list[NormalizedDigit] | Exception:
    if isinstance(image, FlaskapiError):
        return image
    try:
        return look_at(image, lambda view, _: normalize_digit(view), max_pixels=max_pixels)
    except FlaskapiError as error:
        error.__cause__ = error.__context__ = (
            None  # each would keep the picture in memory, as long as the chunk is collected
        )
        return error.with_traceback(None)
    except Exception as error:  # a fault of ours must not take the other images with it
        return error


def _classify(
    chunk: Sequence[list[NormalizedDigit] | Exception],
    classifier: Classifier,
    uncertain_below: float,
) -> Iterator[Reading | Exception]:
    """Show the network all views of all pictures at once, what it is not sure of twice, and give
    each picture its answer.
    """
    pixels = [view.pixels for views in chunk if not isinstance(views, Exception) for view in views]
    predictions: Iterator[Prediction] = iter(())
    if pixels:
        probabilities = look_twice(classifier, np.array(pixels).reshape(-1, 28, 28, 1))
        predictions = iter(conclude(probabilities, classifier, uncertain_below))
    for views in chunk:
        yield (
            views
            if isinstance(views, Exception)
            else _choose([Reading(next(predictions), view) for view in views])
        )


def _choose(readings: Sequence[Reading]) -> Reading:
    """Choose between what EXIF data tell, which comes first, and the picture as it is stored, where
    there are two views.
    """
    told, *stored = readings
    if not stored:
        return told
    surer = max(readings, key=lambda reading: reading.prediction.confidence)
    all_sure = not any(reading.prediction.uncertain for reading in readings)
    if all_sure and surer.prediction.digit != told.prediction.digit:
        return told._replace(prediction=told.prediction._replace(uncertain=True))
    return surer


def look_at(image: bytes, see: Callable[[Image, bool], Seen], *, max_pixels: int) -> list[Seen]:
    """Look at a picture in each way that there is: by its colours only where there is nothing to
    see by its lightness.

    Args:
        image: a whole image file.
        see: takes a view, and whether it is the picture as stored where EXIF data say that it is
            turned; may raise NoDigitFoundError.
        max_pixels: see `decode_image`.

    Raises:
        NoDigitFoundError: there is nothing to see in any of them.
        FlaskapiError: what `decode_image` raises.
    """
    seen: list[Seen] = []
    for by_colour in (False, True):
        for place, view in enumerate(
            decode_image(
                image, max_pixels=max_pixels, max_side_px=DECODED_SIDE_PX, by_colour=by_colour
            )
        ):
            try:
                seen.append(see(view, place > 0))
            except NoDigitFoundError as error:
                missing = error
        if seen:
            return seen
    raise missing


def conclude(
    probabilities: Probabilities, classifier: Classifier, uncertain_below: float
) -> Sequence[Prediction]:
    """Turn rows of probabilities into predictions of the classifier that gave them, rounded to what
    means anything: four decimals.
    """
    predictions, model = [], (classifier.version, classifier.generation)
    for row in probabilities.astype(np.float64).round(4).tolist():
        confidence = max(row)
        predictions.append(
            Prediction(row.index(confidence), confidence, row, confidence < uncertain_below, *model)
        )
    return predictions


def warm_up(classifier: Classifier) -> None:
    """Take every step once, so that what libraries do at first use is not done in somebody's
    request.
    """
    with contextlib.suppress(ModelUnavailableError):
        predict_digit(STROKE, classifier, max_pixels=96 * 96, uncertain_below=0)
