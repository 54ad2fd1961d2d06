from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from PIL import Image

from flaskapi.digits.normalize import normalize_digit
from flaskapi.errors import (
    FlaskapiError,
    InvalidImageError,
    NoDigitFoundError,
    TooLargeError,
    UnsupportedImageError,
)
from flaskapi.reading import digit as module
from flaskapi.reading.digit import CHUNK, CHUNK_PX, conclude, predict_digit, predict_digits
from flaskapi.reading.predictions import Prediction
from flaskapi.reading.protocols import Detector, Limits
from flaskapi.reading.reader import Reader
from flaskapi.serving.detector import NoDetector

DRAWN = draw_digit(3)
PNG = encode(draw_digit(3, side=28))
LIMITS = Limits(1_000_000, 0.8)


def test_an_image_becomes_one_prediction_of_the_classifier() -> None:
    prediction, _ = predict_digit(encode(DRAWN), FixedClassifier(3, 0.9), LIMITS)
    assert (
        Prediction(3, 0.9, [0, 0, 0, 0.9, 0.1, 0, 0, 0, 0, 0], False, FixedClassifier.version, 0)
        == prediction
    )


def test_a_printed_reading_fits_a_screen() -> None:
    """The network's input would fill 28 lines; its type and shape are shown instead."""
    shown = repr(Reader(FixedClassifier(3, 0.9), FixedDetector(), LIMITS).digit(encode(DRAWN)))
    assert len(shown) < 500
    assert "digit=3" in shown
    assert "pixels=<float32 (28, 28)>, noticed=(" in shown


def test_the_classifier_is_asked_once_with_the_prepared_digit() -> None:
    classifier = FixedClassifier(3, 0.99)
    predict_digit(encode(DRAWN), classifier, LIMITS)
    (batch,) = classifier.batches
    assert (np.float32, (1, 28, 28, 1)) == (batch.dtype, batch.shape)
    np.testing.assert_array_equal(normalize_digit(DRAWN).pixels, batch[0, :, :, 0])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"words", UnsupportedImageError),
        (encode(DRAWN)[:500], InvalidImageError),
        (encode(np.zeros((1001, 1000), np.uint8)), TooLargeError),
        (encode(np.full((50, 50), 90, np.uint8)), NoDigitFoundError),
    ],
    ids=["no image", "half an image", "too many pixels", "blank"],
)
def test_what_cannot_be_prepared_is_not_classified(data: bytes, error: type[FlaskapiError]) -> None:
    classifier = FixedClassifier()
    with pytest.raises(error):
        predict_digit(data, classifier, LIMITS)
    assert [] == classifier.batches


def test_a_picture_far_larger_than_needed_reads_like_a_small_one() -> None:
    classifier = FixedClassifier(3, 0.99)
    for side in (512, 4096):
        predict_digit(encode(draw_digit(3, side=side)), classifier, Limits(20_000_000, 0.8))
    small, large = classifier.batches
    assert float(np.abs(small - large).mean()) < 0.02


class TwoViews(FixedClassifier):
    """Says of every first picture, whatever it is, that it is a 3, of every second that it is a 4,
    as surely as it is told.
    """

    def __init__(self, *confidences: float) -> None:
        super().__init__()
        self._rows = np.zeros((2, 10), np.float32)
        self._rows[(0, 1), (3, 4)] = confidences
        self._rows[:, 9] = 1 - self._rows.sum(axis=1)

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch)
        return np.resize(self._rows, (len(batch), 10))


def test_a_picture_that_exif_says_is_turned_is_read_both_ways_and_the_surer_is_answered() -> None:
    """Some phones write an orientation into photographs whose pixels are upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    classifier = TwoViews(0.6, 0.7)
    prediction, normalized = predict_digit(encode(DRAWN, exif=exif), classifier, LIMITS)
    batch = classifier.batches[0]
    turned, stored = (
        normalize_digit(np.ascontiguousarray(np.rot90(DRAWN, -1))).pixels,
        normalize_digit(DRAWN).pixels,
    )
    np.testing.assert_array_equal(np.stack([turned, stored]), batch[..., 0])
    assert (4, 0.7) == (prediction.digit, prediction.confidence)
    np.testing.assert_array_equal(stored, normalized.pixels)


@pytest.mark.parametrize(
    ("confidences", "answer"),
    [((0.9, 0.95), (3, True)), ((0.9, 0.7), (3, False)), ((0.7, 0.75), (4, True))],
)
def test_where_both_ways_are_sure_of_different_digits_exif_is_followed_and_the_answer_uncertain(
    confidences: tuple[float, float], answer: tuple[int, bool]
) -> None:
    """A 6 upside down is a 9."""
    exif = Image.Exif()
    exif[0x0112] = 3
    prediction = predict_digit(encode(DRAWN, exif=exif), TwoViews(*confidences), LIMITS).prediction
    assert answer == (prediction.digit, prediction.uncertain)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF"])
def test_ink_as_light_as_its_paper_is_seen_by_its_colour(form: str) -> None:
    red, green = np.array([230, 60, 40]), np.array([40, 156, 40])
    colours = np.where(DRAWN[..., np.newaxis] < 128, red, green).astype(np.uint8)
    assert 1 >= abs(int(np.ptp(Image.fromarray(colours).convert("L")))), (
        "the test's colours differ in luminance"
    )
    classifier = FixedClassifier()
    predict_digit(encode(Image.fromarray(colours), form), classifier, LIMITS)
    expected = normalize_digit(DRAWN).pixels
    assert np.corrcoef(expected.ravel(), classifier.batches[0].ravel())[0, 1] > 0.9


def test_what_the_network_saw_comes_with_what_was_noticed() -> None:
    classifier = FixedClassifier()
    normalized = predict_digit(encode(DRAWN), classifier, LIMITS).normalized
    np.testing.assert_array_equal(classifier.batches[0][0, :, :, 0], normalized.pixels)
    assert ("inverted",) == normalized.noticed


def rows(*firsts: float) -> np.ndarray:
    return np.array([[first, 1 - first, *[0] * 8] for first in firsts], np.float32)


def test_predictions_are_plain_python_values_rounded_to_four_decimals() -> None:
    (prediction,) = conclude(rows(0.123456789), FixedClassifier(), 0.8)
    assert (
        Prediction(1, 0.8765, [0.1235, 0.8765, *[0.0] * 8], False, FixedClassifier.version, 0)
        == prediction
    )
    assert [int, float, list, bool, str, int] == [type(value) for value in prediction]
    assert {float} == {type(value) for value in prediction.probabilities}


def test_less_confidence_than_the_threshold_is_uncertain() -> None:
    assert [True, False, False] == [
        prediction.uncertain
        for prediction in conclude(rows(0.7498, 0.75, 0.76), FixedClassifier(), 0.75)
    ]


def test_each_row_has_its_prediction_in_order() -> None:
    assert [0, 1, 0] == [
        prediction.digit for prediction in conclude(rows(0.9, 0.2, 0.6), FixedClassifier(), 0.8)
    ]
    assert [] == list(conclude(np.zeros((0, 10), np.float32), FixedClassifier(), 0.8))


class Seeing(FixedClassifier):
    """Answers each picture by its ink alone, so that answers show which picture they are for."""

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch)
        return np.eye(10, dtype=np.float32)[[int(picture.sum()) % 10 for picture in batch]]


def test_many_images_have_the_answers_that_each_has_alone_in_order_and_few_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bad ones among them, ones that were no image from the start, and ones that are looked at in
    two ways.
    """
    monkeypatch.setattr(module, "CHUNK_S", 60)
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [
        encode(draw_digit(place % 10, side=40), exif=exif if place % 7 == 0 else None)
        for place in range(150)
    ]
    images[20:20] = [b"words", images[0][:100], TooLargeError("too large")]
    classifier = Seeing()
    answers = list(predict_digits(images, classifier, LIMITS))
    assert 4 == len(classifier.batches)
    assert 1 + 150 // 7 + 150 == sum(map(len, classifier.batches))
    assert [UnsupportedImageError, InvalidImageError, TooLargeError] == [
        type(answer) for answer in answers[20:23]
    ]
    for image, answer in zip(images, answers, strict=True):
        if isinstance(answer, Exception):
            assert answer.__traceback__ is None, "it would keep the picture in memory"
        else:
            assert predict_digit(image, Seeing(), LIMITS).prediction == answer.prediction


def test_images_are_taken_no_further_ahead_than_the_network_is_shown_at_once() -> None:
    taken = 0

    def images() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield PNG

    answers = predict_digits(images(), FixedClassifier(), LIMITS)
    next(answers)
    assert 1 == taken
    for _ in range(300):
        next(answers)
    assert taken <= 301 + CHUNK


class Detecting(FixedDetector):
    """Counts what it is asked."""

    asked = 0

    def detect(self, page: np.ndarray) -> np.ndarray:
        self.asked += 1
        return super().detect(page)


CERTAIN_FROM_95 = Limits(20_000_000, 0.95)


def test_a_certain_digit_is_not_shown_to_the_detector() -> None:
    detector = Detecting(7)
    predict_digit(PNG, FixedClassifier(7, 0.99), CERTAIN_FROM_95, detector)
    assert 0 == detector.asked


@pytest.mark.parametrize(
    ("seen", "confidence", "expected", "is_certain"),
    [
        pytest.param(7, 0.9, 7, True, id="they agree"),
        pytest.param(3, 0.9, 7, False, id="they do not, and the surer one is named"),
        pytest.param(8, 0.55, 8, False, id="the other one that the classifier saw"),
        pytest.param(7, 0.65, 7, False, id="perhaps no digit at all"),
    ],
)
def test_an_uncertain_digit_is_what_both_networks_take_it_for(
    seen: int, confidence: float, expected: int, is_certain: bool
) -> None:
    detector = Detecting(seen)
    classifier = FixedClassifier(7, confidence)
    prediction = predict_digit(PNG, classifier, CERTAIN_FROM_95, detector).prediction
    assert (1, expected) == (detector.asked, prediction.digit)
    assert is_certain == (not prediction.uncertain)
    assert prediction.confidence == max(prediction.probabilities)
    assert abs(sum(prediction.probabilities) - 1) < 0.001


def test_a_detector_that_hardly_sees_a_digit_makes_nothing_certain() -> None:
    hesitant = FixedDetector(7, presence=0.5)
    reading = predict_digit(PNG, FixedClassifier(7, 0.94), CERTAIN_FROM_95, hesitant)
    assert reading.prediction.uncertain


@pytest.mark.parametrize("detector", [FixedDetector(7, presence=-9.0), NoDetector("none")])
def test_without_a_detectors_opinion_the_classifiers_stands(detector: Detector) -> None:
    alone, asked = (
        predict_digit(PNG, FixedClassifier(7, 0.9), CERTAIN_FROM_95, one)
        for one in (None, detector)
    )
    assert alone.prediction == asked.prediction


def test_a_stroke_beside_a_digit_stays_uncertain_whatever_the_detector_sees() -> None:
    picture = draw_digit(3, side=120)
    cv2.line(picture, (8, 110), (20, 10), int(picture.min()), 5)
    classifier = FixedClassifier(1, 0.9)
    reading = predict_digit(encode(picture), classifier, CERTAIN_FROM_95, FixedDetector(1))
    assert "several" in reading.normalized.noticed
    assert reading.prediction.uncertain


def test_pictures_that_are_kept_for_the_detector_are_few() -> None:
    """A picture of a megapixel is not kept until 64 of them have come."""
    large = encode(draw_digit(3, side=1024))
    taken = 0

    def images() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield large

    answers = predict_digits(images(), FixedClassifier(), CERTAIN_FROM_95)
    for _ in range(2):
        next(answers)
    assert taken <= 1 + 1 + CHUNK_PX // 1024**2


def test_of_a_picture_that_may_be_turned_the_detector_is_not_asked() -> None:
    """It would see one of two views, and the answer may be of the other."""
    exif = Image.Exif()
    exif[0x0112] = 3
    detector = Detecting(7)
    turned = encode(DRAWN, exif=exif)
    alone, asked = (
        predict_digit(turned, FixedClassifier(7, 0.9), CERTAIN_FROM_95, one)
        for one in (None, detector)
    )
    assert (0, alone.prediction) == (detector.asked, asked.prediction)


def test_what_may_be_the_side_of_a_cell_stays_uncertain_whatever_the_detector_sees() -> None:
    cell = np.full((92, 264), 255, np.uint8)
    cell[:50, 262:] = 40
    reading = predict_digit(
        encode(cell), FixedClassifier(1, 0.99), CERTAIN_FROM_95, FixedDetector(1)
    )
    assert reading.normalized.is_doubted
    assert reading.prediction.uncertain
