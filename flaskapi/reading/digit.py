"""From image bytes to the digit in the image: the steps in order."""

import base64
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from flaskapi.digits.normalize import Looks, normalize_looks
from flaskapi.errors import FlaskapiError, ModelUnavailableError, NoDigitFoundError
from flaskapi.reading.predictions import DigitReading, Prediction
from flaskapi.reading.protocols import Classifier, Limits, Probabilities
from flaskapi.reading.second_look import look_twice
from flaskapi.reading.views import find_views
from flaskapi.steps import step

CHUNK = 64  # pictures in one call of the network
CHUNK_S = 0.1  # a call has fewer if so many take longer than this to arrive and to prepare

CONTRADICTION = 0.3  # a look contradicts the surest one if it names another digit this surely

# A stroke on paper, 96x96, for `warm_up`.
STROKE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAGAAAABgCAAAAADH8yjkAAAAT0lEQVR42u3ZMQoAIAwDwFb8/5fr4gPqIIhcli6B"
    "GzomK+5mBAAAAAAAgEbmSTn3LT8AAAAAAAAAAAAAAAAAAAAAAP8CacsEAAAAAOAJYAFchAO/s1IU3QAAAABJRU5E"
    "rkJggg=="
)


def predict_digit(image: bytes, classifier: Classifier, limits: Limits) -> DigitReading:
    """Read the one digit in an image file.

    A picture that is turned according to EXIF is read in both orientations, and the surer answer is
    given. If both are certain of different digits, as for a 6 and a 9, EXIF decides, and the answer
    is uncertain.
    Args:
        image: a whole image file.
        classifier: gives the probabilities.
        limits: see `Limits`.

    Raises:
        FlaskapiError: one of the kinds that `decode_image`, `normalize_looks` and
            `Classifier.probabilities` name.
    """
    (answer,) = _classify([_prepare(image, limits)], classifier, limits)
    if isinstance(answer, Exception):
        raise answer
    return answer


def predict_digits(
    images: Iterable[bytes | FlaskapiError], classifier: Classifier, limits: Limits
) -> Iterator[DigitReading | Exception]:
    """Read the digit in each of many image files, as `predict_digit` does, in order.

    Only a few images are taken at a time, and no bytes are kept, so memory does not grow with their
    number. The first answer is given before the second image is taken.

    Args:
        images: the files; an error is passed on in its place.
        classifier: gives the probabilities.
        limits: see `Limits`.

    Yields:
        For each image its reading, or its error; an error that is no `FlaskapiError` is a bug of
        this project.

    Raises:
        ModelUnavailableError: there is no model.
    """
    for chunk in _chunks(_prepare(image, limits) for image in images):
        yield from _classify(chunk, classifier, limits)


def _chunks(
    prepared: Iterable[list[Looks] | Exception],
) -> Iterator[list[list[Looks] | Exception]]:
    chunk: list[list[Looks] | Exception] = []
    size, begun_s = 1, time.monotonic()
    for views in prepared:
        chunk.append(views)
        if len(chunk) >= size or time.monotonic() - begun_s > CHUNK_S:
            yield chunk
            chunk, size, begun_s = [], CHUNK, time.monotonic()
    if chunk:
        yield chunk


def _prepare(image: bytes | FlaskapiError, limits: Limits) -> list[Looks] | Exception:
    if isinstance(image, FlaskapiError):
        return image
    try:
        return _normalize(image, limits)
    except FlaskapiError as error:
        # Each error would keep its picture in memory until the chunk is complete.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    except Exception as error:  # a bug of ours must not affect the other images
        return error


def _normalize(image: bytes, limits: Limits) -> list[Looks]:
    """Prepare each view that shows ink."""
    for views in find_views(image, limits.max_pixels):
        seen = []
        for view in views:
            try:
                with step("prepare"):
                    seen.append(normalize_looks(view.pixels))
            except NoDigitFoundError as error:
                missing = error
        if seen:
            return seen
    raise missing


def _classify(
    chunk: Sequence[list[Looks] | Exception], classifier: Classifier, limits: Limits
) -> Iterator[DigitReading | Exception]:
    """Classify all views of all pictures in one call, and give each picture its answer.

    Uncertain digits are classified again, moved by a pixel.
    """
    pixels = [
        look.pixels
        for views in chunk
        if not isinstance(views, Exception)
        for looks in views
        for look in looks.all
    ]
    predictions: Iterator[Prediction] = iter(())
    if pixels:
        batch = np.array(pixels).reshape(-1, 28, 28, 1)  # (n, 28, 28) -> (n, 28, 28, 1)
        probabilities = look_twice(classifier, batch)  # (n, 10)
        predictions = iter(conclude(probabilities, classifier, limits.uncertain_below))
    for views in chunk:
        if isinstance(views, Exception):
            yield views
        else:
            yield _choose([_agree(looks, predictions) for looks in views])


def _agree(looks: Looks, predictions: Iterator[Prediction]) -> DigitReading:
    """Choose the surest of several looks at one view.

    It is uncertain if another look contradicts it, or if a line was cut out of its ink.
    """
    likely = [DigitReading(next(predictions), look) for look in looks.likely]
    otherwise = [DigitReading(next(predictions), look) for look in looks.otherwise]
    if all(reading.prediction.uncertain for reading in likely):
        likely += otherwise
    surest = max(likely, key=_sureness)
    contradicted = any(
        reading.prediction.confidence > CONTRADICTION
        and not reading.normalized.is_doubted
        and reading.prediction.digit != surest.prediction.digit
        for reading in likely
    )
    # A slash or a bracket beside a fainter digit looks more like a 1 than both look like the digit.
    is_slash = surest.prediction.digit == 1 and all(
        "several" in reading.normalized.noticed for reading in likely
    )
    if contradicted or is_slash or surest.normalized.is_doubted:
        return surest._replace(prediction=surest.prediction._replace(uncertain=True))
    return surest


def _sureness(reading: DigitReading) -> tuple[bool, float]:
    prediction, is_doubted = reading.prediction, reading.normalized.is_doubted
    return not prediction.uncertain and not is_doubted, prediction.confidence


def _choose(readings: Sequence[DigitReading]) -> DigitReading:
    """Choose between the picture turned by EXIF, which comes first, and the picture as stored."""
    told, *stored = readings
    if not stored:
        return told
    surer = max(readings, key=lambda reading: reading.prediction.confidence)
    all_sure = not any(reading.prediction.uncertain for reading in readings)
    if all_sure and surer.prediction.digit != told.prediction.digit:
        return told._replace(prediction=told.prediction._replace(uncertain=True))
    return surer


def conclude(
    probabilities: Probabilities, classifier: Classifier, uncertain_below: float
) -> Sequence[Prediction]:
    """Turn rows of probabilities into predictions.

    Args:
        probabilities: `float32 (n, 10)`; they are rounded to four decimals, more mean nothing.
        classifier: the model that gave them.
        uncertain_below: an answer with less confidence is marked `uncertain`.
    """
    predictions, model = [], (classifier.version, classifier.generation)
    for row in probabilities.astype(np.float64).round(4).tolist():
        confidence = max(row)
        predictions.append(
            Prediction(row.index(confidence), confidence, row, confidence < uncertain_below, *model)
        )
    return predictions


def warm_up(classifier: Classifier) -> None:
    """Take every step once, so that no request pays for the first use of a library."""
    with contextlib.suppress(ModelUnavailableError):
        predict_digit(STROKE, classifier, Limits(max_pixels=96 * 96, uncertain_below=0))
