"""From image bytes to the one digit in it: the order of the steps."""

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

CHUNK = 64  # pictures that the network is shown at once
CHUNK_S = 0.1  # it is shown fewer where that many take longer than this to arrive and to prepare

CONTRADICTION = 0.3  # the confidence of a look that names another digit than the surest one

# A stroke on paper, 96x96, for `warm_up`.
STROKE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAGAAAABgCAAAAADH8yjkAAAAT0lEQVR42u3ZMQoAIAwDwFb8/5fr4gPqIIhcli6B"
    "GzomK+5mBAAAAAAAgEbmSTn3LT8AAAAAAAAAAAAAAAAAAAAAAP8CacsEAAAAAOAJYAFchAO/s1IU3QAAAABJRU5E"
    "rkJggg=="
)


def predict_digit(image: bytes, classifier: Classifier, limits: Limits) -> DigitReading:
    """Read the one digit in an image file.

    A picture that EXIF data say is turned is read in both ways, and the surer answer is given.
    Where both are sure of different digits, as a 6 and a 9 are, EXIF is followed, and the answer
    is uncertain.

    Args:
        image: a whole image file.
        classifier: answers.
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
    """Read the digit in each of many image files, as `predict_digit` does, in their order.

    Only some images are taken at a time, and no bytes are kept, so that memory does not grow with
    their number. The first answer is there before the second image is taken.

    Args:
        images: the files; what is an error already is passed on in its place.
        classifier: answers.
        limits: see `Limits`.

    Yields:
        For each image its reading, or what was wrong with it; one that is no `FlaskapiError` is a
        fault of ours.

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
        # Each would keep the picture in memory, as long as the chunk is collected.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    except Exception as error:  # a fault of ours must not take the other images with it
        return error


def _normalize(image: bytes, limits: Limits) -> list[Looks]:
    """Prepare each view in which there is something to see."""
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
    """Show the network all views of all pictures at once, and give each picture its answer.

    What the network is not sure of it is shown twice.
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

    It is uncertain where another look contradicts, or where its ink was cut with a line.
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
    # A slash or a bracket beside a fainter digit is more like a 1 than both are like that digit.
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
    """Choose between the picture as EXIF data tell, which comes first, and as it is stored."""
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
    """Turn rows of probabilities into predictions of the classifier that gave them.

    Args:
        probabilities: `float32 (n, 10)`; they are rounded to what means anything, four decimals.
        classifier: whose they are.
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
    """Take every step once: what libraries do at first use is not for somebody's request."""
    with contextlib.suppress(ModelUnavailableError):
        predict_digit(STROKE, classifier, Limits(max_pixels=96 * 96, uncertain_below=0))
