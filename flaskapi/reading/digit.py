"""From image bytes to the digit in the image: the steps in order."""

import base64
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from flaskapi.digits.normalize import Looks, normalize_looks
from flaskapi.errors import FlaskapiError, ModelUnavailableError, NoDigitFoundError
from flaskapi.reading.looks import see_one
from flaskapi.reading.predictions import DigitReading, Prediction
from flaskapi.reading.protocols import Classifier, Detector, Limits, Probabilities
from flaskapi.reading.second_look import look_twice
from flaskapi.reading.views import View, find_views
from flaskapi.steps import step

CHUNK = 64  # pictures in one call of the network
CHUNK_S = 0.1  # a call has fewer if so many take longer than this to arrive and to prepare

CHUNK_PX = 8_000_000  # or if its pictures, which are kept until then, have more pixels than this

# Of the classifier and the detector, as exponents of their opinions on an uncertain digit.
OPINION_WEIGHTS = np.array([0.7, 0.5])
# Less from the classifier may be no digit at all; the detector takes a round thing for a 0.
DIGIT_FROM = 0.7
LEAST_SHARE = 1e-4  # of a digit, so that neither opinion rules it out
CONTRADICTION = 0.3  # a look contradicts the surest one if it names another digit this surely

# A stroke on paper, 96x96, for `warm_up`.
STROKE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAGAAAABgCAAAAADH8yjkAAAAT0lEQVR42u3ZMQoAIAwDwFb8/5fr4gPqIIhcli6B"
    "GzomK+5mBAAAAAAAgEbmSTn3LT8AAAAAAAAAAAAAAAAAAAAAAP8CacsEAAAAAOAJYAFchAO/s1IU3QAAAABJRU5E"
    "rkJggg=="
)


class _Prepared(NamedTuple):
    """A picture, ready to be classified."""

    view: View  # the first that shows ink
    looks: list[Looks]  # of each view that shows ink


def predict_digit(
    image: bytes, classifier: Classifier, limits: Limits, detector: Detector | None = None
) -> DigitReading:
    """Read the one digit in an image file.

    A picture that is turned according to EXIF is read in both orientations, and the surer answer is
    given. If both are certain of different digits, as for a 6 and a 9, EXIF decides, and the answer
    is uncertain.

    Args:
        image: a whole image file.
        classifier: gives the probabilities.
        limits: see `Limits`.
        detector: gives a second opinion on an uncertain digit, from the whole picture.

    Raises:
        FlaskapiError: one of the kinds that `decode_image`, `normalize_looks` and
            `Classifier.probabilities` name.
    """
    (answer,) = _classify([_prepare(image, limits)], classifier, limits, detector)
    if isinstance(answer, Exception):
        raise answer
    return answer


def predict_digits(
    images: Iterable[bytes | FlaskapiError],
    classifier: Classifier,
    limits: Limits,
    detector: Detector | None = None,
) -> Iterator[DigitReading | Exception]:
    """Read the digit in each of many image files, as `predict_digit` does, in order.

    Only a few images are taken at a time, and no bytes are kept, so memory does not grow with their
    number. The first answer is given before the second image is taken.

    Args:
        images: the files; an error is passed on in its place.
        classifier: gives the probabilities.
        limits: see `Limits`.
        detector: see `predict_digit`.

    Yields:
        For each image its reading, or its error; an error that is no `FlaskapiError` is a bug of
        this project.

    Raises:
        ModelUnavailableError: there is no model.
    """
    for chunk in _chunks(_prepare(image, limits) for image in images):
        yield from _classify(chunk, classifier, limits, detector)


def _chunks(
    prepared: Iterable[_Prepared | Exception],
) -> Iterator[list[_Prepared | Exception]]:
    chunk: list[_Prepared | Exception] = []
    size, kept_px, begun_s = 1, 0, time.monotonic()
    for one in prepared:
        chunk.append(one)
        kept_px += 0 if isinstance(one, Exception) else one.view.pixels.size
        if len(chunk) >= size or kept_px > CHUNK_PX or time.monotonic() - begun_s > CHUNK_S:
            yield chunk
            chunk, size, kept_px, begun_s = [], CHUNK, 0, time.monotonic()
    if chunk:
        yield chunk


def _prepare(image: bytes | FlaskapiError, limits: Limits) -> _Prepared | Exception:
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


def _normalize(image: bytes, limits: Limits) -> _Prepared:
    """Prepare each view that shows ink."""
    for views in find_views(image, limits.max_pixels):
        seen = []
        for view in views:
            try:
                with step("prepare"):
                    seen.append((view, normalize_looks(view.pixels)))
            except NoDigitFoundError as error:
                missing = error
        if seen:
            return _Prepared(seen[0][0], [looks for _, looks in seen])
    raise missing


def _classify(
    chunk: Sequence[_Prepared | Exception],
    classifier: Classifier,
    limits: Limits,
    detector: Detector | None,
) -> Iterator[DigitReading | Exception]:
    """Classify all views of all pictures in one call, and give each picture its answer.

    Uncertain digits are classified again, moved by a pixel. Of those that stay uncertain the
    detector is asked, too.
    """
    pixels = [
        look.pixels
        for one in chunk
        if not isinstance(one, Exception)
        for looks in one.looks
        for look in looks.all
    ]
    predictions: Iterator[Prediction] = iter(())
    if pixels:
        batch = np.array(pixels).reshape(-1, 28, 28, 1)  # (n, 28, 28) -> (n, 28, 28, 1)
        probabilities = look_twice(classifier, batch)  # (n, 10)
        predictions = iter(conclude(probabilities, classifier, limits.uncertain_below))
    for one in chunk:
        if isinstance(one, Exception):
            yield one
            continue
        reading = _choose([_agree(looks, predictions) for looks in one.looks])
        # Of two views, EXIF's and the stored one, each may be the right one.
        if reading.prediction.uncertain and detector is not None and len(one.looks) == 1:
            reading = _ask(detector, one.view, reading, limits.uncertain_below)
        yield reading


def _ask(
    detector: Detector, view: View, reading: DigitReading, uncertain_below: float
) -> DigitReading:
    """Combine an uncertain reading with what the detector sees in the whole picture.

    It has learned what rules, cells, slashes and grain look like. What may be no digit to the
    classifier stays uncertain. So does ink out of which a line was cut, and a stroke that may be a
    slash beside the digit.
    """
    prediction = reading.prediction
    if prediction.digit == 1 and "several" in reading.normalized.noticed:
        return reading
    try:
        with step("find"):
            seen = see_one(view, detector)
    except ModelUnavailableError:  # the detector's; digits are read without it
        return reading
    if seen is None:
        return reading
    opinions = np.array([prediction.probabilities, seen.probabilities], np.float64)  # (2, 10)
    shares = np.exp(OPINION_WEIGHTS @ np.log(np.maximum(opinions, LEAST_SHARE)))  # (10,)
    shares *= seen.presence / shares.sum()
    row = (shares + (1 - seen.presence) / len(shares)).round(4).tolist()
    confidence = max(row)
    return reading._replace(
        prediction=prediction._replace(
            digit=row.index(confidence),
            confidence=confidence,
            probabilities=row,
            uncertain=confidence < uncertain_below
            or prediction.confidence < DIGIT_FROM
            or reading.normalized.is_doubted,
        )
    )


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
