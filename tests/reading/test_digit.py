from collections.abc import Iterator

import numpy as np
import pytest
from fakes import FixedClassifier, draw_digit, encode
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
from flaskapi.reading.digit import CHUNK, conclude, predict_digit, predict_digits
from flaskapi.reading.predictions import Prediction
from flaskapi.reading.protocols import Limits

DRAWN = draw_digit(3)
PNG = encode(draw_digit(3, side=28))
LIMITS = Limits(1_000_000, 0.8)


def test_an_image_becomes_one_prediction_of_the_classifier() -> None:
    prediction, _ = predict_digit(encode(DRAWN), FixedClassifier(3, 0.9), LIMITS)
    assert (
        Prediction(3, 0.9, [0, 0, 0, 0.9, 0.1, 0, 0, 0, 0, 0], False, FixedClassifier.version, 0)
        == prediction
    )


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
