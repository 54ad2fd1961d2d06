"""An image becomes a number: its digits in reading order, each with its box in the image that was
sent.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from PIL import Image, ImageOps

from flaskapi.digits import Box
from flaskapi.digits.page import lift_page
from flaskapi.errors import (
    FlaskapiError,
    InvalidImageError,
    ModelUnavailableError,
    NoDigitFoundError,
    TooLargeError,
    UnsupportedImageError,
)
from flaskapi.reading.digit import predict_digit
from flaskapi.reading.looks import HIGHEST_PX, MOST_SEEN_PX
from flaskapi.reading.number import warm_up
from flaskapi.reading.predictions import Alternative, NumberPrediction
from flaskapi.reading.protocols import Limits
from flaskapi.reading.reader import Reader
from flaskapi.serving.detector import NoDetector

MODELS = Path(__file__).parents[2] / "models"
LIMITS = Limits(20_000_000, 0.5)
SQUARES = [(60, 80), (150, 70), (240, 90), (330, 60), (420, 75)]
SIDES = (40, 60)  # width and height


def squares(
    places: list[tuple[int, int]] = SQUARES, *, shape: tuple[int, int] = (220, 540), times: int = 1
) -> np.ndarray:
    """Pieces of ink, dark on light, where `FixedDetector` finds a digit each, as upright and as
    high as digits are.
    """
    page = np.full((shape[0] * times, shape[1] * times), 255, np.uint8)
    for x, y in places:
        corners = [
            (times * (x + right), times * (y + down))
            for right, down in ((0, 0), (SIDES[0], SIDES[1]))
        ]
        cv2.rectangle(page, corners[0], (corners[1][0] - 1, corners[1][1] - 1), 0, -1)
    return page


def read(image: np.ndarray | Image.Image | bytes, **changes: Any) -> NumberPrediction:
    data = image if isinstance(image, bytes) else encode(image)
    limits = LIMITS._replace(uncertain_below=changes.pop("uncertain_below", 0.5))
    reader = Reader(
        changes.pop("classifier", None) or FixedClassifier(),
        changes.pop("detector", None) or FixedDetector(),
        limits,
    )
    return reader.number(data, **changes)


def assert_boxes(
    expected: list[tuple[int, int]],
    prediction: NumberPrediction,
    *,
    times: float = 1,
    within_px: float = 4,
) -> None:
    boxes = [digit.box for digit in prediction.digits]
    np.testing.assert_allclose(
        np.array(boxes), np.array([(x, y, *SIDES) for x, y in expected]) * times, atol=within_px
    )


class Watched(FixedDetector):
    """Keeps how high the highest piece of ink was in each page that it looked at, in pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.highest: list[int] = []

    def detect(self, page: np.ndarray) -> np.ndarray:
        self.highest.append(
            max(
                cv2.connectedComponentsWithStats((page > 0.5).astype(np.uint8))[2][
                    1:, cv2.CC_STAT_HEIGHT
                ]
            )
        )
        return super().detect(page)


@pytest.mark.parametrize(("low", "looks"), [(60, 1), (40, 2), (20, 2)])
def test_low_digits_are_looked_at_larger_but_not_so_that_a_high_one_is_lost(
    low: int, looks: int
) -> None:
    """As zeros after a 1 are."""
    page, detector = np.full((220, 700), 255, np.uint8), Watched()
    page[60:140, 30:110] = 0
    for place in range(7):
        page[140 - low : 140, 140 + 70 * place : 140 + 70 * place + 25] = 0
    assert (
        "77777777"
        == read(page, detector=detector, classifier=FixedClassifier(confidence=0.9999)).number
    )
    assert looks == len(detector.highest)
    assert max(detector.highest) <= HIGHEST_PX + 1


class Neutral(FixedClassifier):
    """Has no opinion."""

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        return np.full((len(batch), 10), 0.1, np.float32)


class Doubting(FixedDetector):
    """Hesitates between a 7 and a 4, or finds nothing; as sure of the 7, a logit, as it is told for
    each look in turn, None for nothing.
    """

    def __init__(self, *sevens: float | None) -> None:
        super().__init__()
        self.left = list(sevens)

    def detect(self, page: np.ndarray) -> np.ndarray:
        answer, seven = super().detect(page), self.left.pop(0)
        answer[..., 1:11] = -20
        answer[..., 8], answer[..., 5] = (seven or 0), 0
        if seven is None:
            answer[..., 0] = -9
        return answer


@pytest.mark.parametrize(
    ("sevens", "number"),
    [
        ((9,), "77777"),  # sure: one look is enough
        ((0.1, -4, -4), "44444"),
        ((0.1, -4, 6), "77777"),  # the surer of the others
        ((-1, None, 4), "77777"),
        ((-1, None, None), "44444"),
    ],
)
def test_an_unsure_reading_is_looked_at_twice_more_and_all_looks_are_put_together(
    sevens: tuple[float | None, ...], number: str
) -> None:
    detector = Doubting(*sevens)
    prediction = read(squares(), detector=detector, classifier=Neutral(), alternatives=1)
    assert number == prediction.number
    assert [] == detector.left
    assert_boxes(SQUARES, prediction)
    assert prediction.confidence + sum(other.confidence for other in prediction.alternatives) <= 1


class Replaced(FixedClassifier):
    """Reads a 7 until it is asked so often; then another version, which reads a 4, takes its
    place.
    """

    def __init__(self, calls: int) -> None:
        super().__init__(7, 0.9)
        self._left = calls

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        self._left -= 1
        if self._left < 0 and self.version != "another":
            FixedClassifier.__init__(self, 4, 0.9)
            self.version = "another"
        return super().probabilities(batch)


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_all_looks_are_of_one_version(calls: int) -> None:
    """Whichever of them it breaks in."""
    prediction = read(squares(), detector=Doubting(*[0.0] * 6), classifier=Replaced(calls))
    assert ("44444", "another") == (prediction.number, prediction.model)


def test_what_the_caller_knows_decides_between_what_all_looks_saw() -> None:
    prediction = read(
        squares(),
        detector=Doubting(0.1, -30, 30),
        classifier=Neutral(),
        pattern="7dddd",
        uncertain_below=0,
    )
    assert ("77777", False) == (prediction.number, prediction.uncertain)
    prediction = read(
        squares(),
        detector=Doubting(0.1, 0.1, 0.1),
        classifier=Neutral(),
        pattern="d" * 9,
        uncertain_below=0,
    )
    assert (5, True) == (len(prediction.number), prediction.uncertain)


def test_the_digits_of_a_line_become_a_number() -> None:
    prediction = read(squares())
    assert ("77777", ["77777"], False, FixedClassifier.version) == (
        prediction.number,
        prediction.lines,
        prediction.uncertain,
        prediction.model,
    )
    assert [7] * 5 == [digit.digit for digit in prediction.digits]
    assert [] == prediction.alternatives
    assert_boxes(SQUARES, prediction)


def test_all_values_are_plain_so_that_they_can_be_sent() -> None:
    prediction = read(squares(), alternatives=2)
    (digit, *_), (other, *_) = prediction.digits, prediction.alternatives
    assert [str, float, bool, list, list, str, int, list, str, list, list] == [
        type(value) for value in prediction[:-1]
    ]
    assert prediction.passes is None
    assert [int, float, bool, Box] == [type(value) for value in digit]
    assert {int} == {type(value) for value in digit.box}
    assert [str, float] == [type(value) for value in other]


@pytest.mark.parametrize("times", [1, 2, 4])
def test_boxes_are_in_pixels_of_the_image_that_was_sent_however_large_it_is(times: int) -> None:
    """Beyond 1024 pixels it is reduced before it is looked at."""
    assert_boxes(SQUARES, read(squares(times=times)), times=times, within_px=4 * times)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_boxes_of_a_photograph_are_those_of_the_image_turned_upright(form: str) -> None:
    """As EXIF says: with orientation 6 the first row of what is stored is the right side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(squares()).transpose(Image.Transpose.ROTATE_90)
    prediction = read(encode(turned, form, exif=exif))
    assert "77777" == prediction.number
    assert_boxes(SQUARES, prediction)


class LevelDetector(FixedDetector):
    """Finds nothing in a page that is higher than wide."""

    def detect(self, page: np.ndarray) -> np.ndarray:
        answer = super().detect(page)
        return answer if page.shape[0] < page.shape[1] else answer * 0 - 20


class GrowingDetector(LevelDetector):
    """Is surer with each look at a page."""

    def detect(self, page: np.ndarray) -> np.ndarray:
        self._presence += 0.5
        return super().detect(page)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("presence", [9.0, 1.0], ids=["sure", "looked at again"])
def test_where_exif_is_wrong_boxes_are_still_in_the_image_turned_as_it_says(
    orientation: int, presence: float
) -> None:
    """That is how every other program shows it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    prediction = read(
        encode(Image.fromarray(squares()), exif=exif),
        detector=GrowingDetector(presence=presence),
        classifier=FixedClassifier(7, 0.5),
    )
    assert "77777" == prediction.number
    for place, digit in zip(SQUARES, prediction.digits, strict=True):
        alone = Image.fromarray(squares([place]))
        alone.getexif()[0x0112] = orientation
        ink = 255 - np.asarray(ImageOps.exif_transpose(alone))
        np.testing.assert_allclose(np.array(digit.box), np.array(cv2.boundingRect(ink)), atol=4)


def test_boxes_stay_right_where_grain_is_met_by_halving_the_picture() -> None:
    grain = np.random.default_rng(0).normal(0, 18, (220, 540))
    noisy = np.clip(140 + 70 * (squares() / 255) + grain, 0, 255).astype(np.uint8)
    assert (110, 270) == lift_page(noisy).ink.shape
    assert_boxes(SQUARES, read(noisy), within_px=8)


@pytest.mark.parametrize("edge", [(0, 80), (500, 80), (200, 0), (200, 160)])
def test_boxes_lie_on_the_image(edge: tuple[int, int]) -> None:
    """Also of digits at its edges, to a pixel."""
    prediction = read(squares([(100, 80), (350, 80), edge]))
    assert 3 == len(prediction.digits)
    for digit in prediction.digits:
        x, y, width, height = digit.box
        assert (x >= 0, y >= 0, x + width <= 541, y + height <= 221) == (True,) * 4, digit.box


class LooseDetector(FixedDetector):
    """Finds boxes half as large again as the ink."""

    def detect(self, page: np.ndarray) -> np.ndarray:
        answer = super().detect(page)
        answer[..., 13:] += np.log(1.5)
        return answer


def test_a_detector_that_is_too_generous_leads_to_no_box_beyond_the_image() -> None:
    prediction = read(squares([(0, 0), (500, 160), (200, 160)]), detector=LooseDetector())
    for digit in prediction.digits:
        x, y, width, height = digit.box
        assert (x >= 0, y >= 0, x + width <= 541, y + height <= 221) == (True,) * 4, digit.box


def test_lines_are_read_one_below_the_other() -> None:
    upper, lower = [(60, 30), (150, 20), (240, 35)], [(70, 130), (160, 140)]
    prediction = read(squares(lower[::-1] + upper))
    assert ("77777", ["777", "77"]) == (prediction.number, prediction.lines)
    assert_boxes(upper + lower, prediction)


def test_light_ink_on_a_dark_ground_is_read_alike() -> None:
    assert read(squares()) == read(255 - squares())


def test_a_confidence_is_that_all_digits_are_right() -> None:
    """Of the number, the product of its digits'."""
    prediction = read(
        squares(), detector=FixedDetector(presence=3.0), classifier=FixedClassifier(7, 0.9)
    )
    (one,) = {digit.confidence for digit in prediction.digits}
    assert 0.9 < one < 1
    assert one**5 == pytest.approx(prediction.confidence, abs=1e-3)


@pytest.mark.parametrize("below", [0.0, 0.8, 0.97, 1.0])
def test_what_is_less_sure_than_the_threshold_is_uncertain_each_digit_by_itself(
    below: float,
) -> None:
    prediction = read(squares(), detector=FixedDetector(presence=1.5), uncertain_below=below)
    assert prediction.confidence < 0.8 < prediction.digits[0].confidence < 0.97, (
        "the thresholds tell nothing"
    )
    assert (prediction.confidence < below) is prediction.uncertain
    assert all((digit.confidence < below) is digit.uncertain for digit in prediction.digits)


class UnsureDetector(FixedDetector):
    """Takes each digit for a 7, or almost as much for a 3."""

    def detect(self, page: np.ndarray) -> np.ndarray:
        answer = super().detect(page)
        answer[..., 8], answer[..., 4] = 0.5, 0.4
        return answer


def test_both_models_have_a_say_in_which_digit_it_is() -> None:
    """A detector that is not sure is overruled by a classifier that is."""

    assert "77777" == read(squares(), detector=UnsureDetector()).number
    assert (
        "33333"
        == read(squares(), detector=UnsureDetector(), classifier=FixedClassifier(3, 0.99)).number
    )
    assert "77777" == read(squares(), classifier=FixedClassifier(3, 0.5)).number


def test_what_the_caller_knows_is_heeded() -> None:
    assert "73777" == read(squares(), pattern="d3ddd", detector=UnsureDetector()).number
    assert 4 == len(read(squares(), pattern="dddd").number)


@pytest.mark.parametrize("pattern", ["d" * 6, "d" * 64])
def test_where_no_reading_fits_what_the_caller_knows_the_plain_one_is_given_as_uncertain(
    pattern: str,
) -> None:
    prediction = read(squares(), pattern=pattern, uncertain_below=0.0)
    assert ("77777", True) == (prediction.number, prediction.uncertain)


def test_as_many_other_readings_are_given_as_are_asked_for() -> None:
    prediction = read(
        squares(),
        classifier=FixedClassifier(7, 0.6),
        detector=FixedDetector(presence=2.0),
        alternatives=4,
    )
    assert [Alternative] * 4 == [type(other) for other in prediction.alternatives]
    numbers = [prediction.number, *(other.number for other in prediction.alternatives)]
    confidences = [prediction.confidence, *(other.confidence for other in prediction.alternatives)]
    assert (5, sorted(confidences, reverse=True)) == (len(set(numbers)), confidences)
    assert all(numbers)


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("presence", [9.0, -9.0], ids=["found", "not found"])
def test_a_picture_of_one_digit_answers_as_for_one_digit(digit: int, presence: float) -> None:
    """With what the classifier says, whether the detector finds it or not; and with its box."""
    picture = draw_digit(digit, side=140)
    data = encode(picture)
    classifier = FixedClassifier(digit, 0.8)
    expected = predict_digit(data, classifier, LIMITS).prediction
    prediction = read(
        data, classifier=classifier, detector=FixedDetector((digit + 3) % 10, presence)
    )
    assert (str(expected.digit), expected.confidence) == (prediction.number, prediction.confidence)
    (one,) = prediction.digits
    np.testing.assert_allclose(one.box, cv2.boundingRect((picture < 128).astype(np.uint8)), atol=4)


def test_a_digit_in_pieces_is_one_digit_where_the_classifier_is_sure_of_it() -> None:
    """And the detector is not sure of each piece."""
    picture = draw_digit(7)
    picture[150:156] = 255
    assert 2 == cv2.connectedComponents((picture < 128).astype(np.uint8))[0] - 1
    for sureness, presence, number in ((0.99, 2.0, "7"), (0.5, 2.0, "11"), (1.0, 6.0, "11")):
        prediction = read(
            picture,
            classifier=FixedClassifier(7, sureness),
            detector=FixedDetector(1, presence=presence),
        )
        assert (number, len(number)) == (prediction.number, len(prediction.digits))


def test_what_is_no_digit_to_the_classifier_is_uncertain() -> None:
    classifier = FixedClassifier()
    classifier._row[:] = 0.1
    prediction = read(
        draw_digit(7), classifier=classifier, detector=FixedDetector(1), uncertain_below=0.6
    )
    assert ("1", True) == (prediction.number, prediction.uncertain)
    assert 0.5 < prediction.confidence


BLANKS = {
    "white": np.full((200, 300), 255, np.uint8),
    "grey": np.full((200, 300), 128, np.uint8),
    "one pixel": np.zeros((1, 1), np.uint8),
    "grain": np.random.default_rng(0).normal(200, 5, (200, 300)).astype(np.uint8),
    "a shadow": (220 - 100 * np.mgrid[:200, :300][1] / 300).astype(np.uint8),
    "colour": np.full((200, 300, 3), (200, 60, 60), np.uint8),
}


@pytest.mark.parametrize("blank", BLANKS.values(), ids=BLANKS)
def test_a_blank_picture_has_no_number(blank: np.ndarray) -> None:
    with pytest.raises(NoDigitFoundError, match=r"^No digit was found"):
        read(blank)


def test_a_picture_in_which_the_detector_finds_nothing_has_no_number() -> None:
    with pytest.raises(
        NoDigitFoundError, match=r"^No digit was found: nothing here looks like a digit\.$"
    ):
        read(squares(), detector=FixedDetector(presence=-9.0), classifier=FixedClassifier(7, 0.5))


def test_ink_as_light_as_its_paper_is_read_by_its_colour() -> None:
    page = np.full((220, 540, 3), (0, 180, 0), np.uint8)
    page[squares() == 0] = (255, 51, 0)
    grey = np.asarray(Image.fromarray(page).convert("L"))
    assert abs(int(grey.max()) - int(grey.min())) < 3
    assert_boxes(SQUARES, read(page))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"words", UnsupportedImageError),
        (encode(squares())[:200], InvalidImageError),
        (encode(np.zeros((5000, 4001), np.uint8)), TooLargeError),
    ],
    ids=["no image", "half an image", "too many pixels"],
)
def test_what_cannot_be_decoded_is_refused_before_any_model_is_asked(
    data: bytes, error: type[FlaskapiError]
) -> None:
    classifier = FixedClassifier()
    with pytest.raises(error):
        read(data, classifier=classifier, detector=NoDetector("never asked"))
    assert [] == classifier.batches


def test_without_a_detector_no_number_is_read() -> None:
    with pytest.raises(ModelUnavailableError, match="gone"):
        read(squares(), detector=NoDetector("gone"))


class CountingDetector(FixedDetector):
    """Counts the pages that it is shown."""

    pages = 0

    def detect(self, page: np.ndarray) -> np.ndarray:
        self.pages += 1
        return super().detect(page)


def test_both_models_are_asked_before_the_first_request_and_a_missing_one_stops_nothing() -> None:
    classifier, detector = FixedClassifier(), CountingDetector()
    warm_up(classifier, detector)
    assert detector.pages >= 1
    assert len(classifier.batches) >= 1
    warm_up(classifier, NoDetector("gone"))


class _Counting(FixedDetector):
    """Sees half of a digit wherever there is ink, and counts what it looks at."""

    def __init__(self) -> None:
        super().__init__(presence=0.5)
        self.seen_px: list[int] = []

    def detect(self, page: np.ndarray) -> np.ndarray:
        self.seen_px.append(page.size)
        return super().detect(page)


@pytest.mark.parametrize("orientation", [1, 6])
def test_all_looks_at_one_page_share_a_budget(orientation: int) -> None:
    """Nothing is sure on the page, so that without a budget it is looked at again and again."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    places = [(x, y) for x in range(10, 980, 24) for y in range(10, 980, 40)]
    page = np.full((1000, 1000), 255, np.uint8)
    for x, y in places:
        page[y : y + 28, x : x + 14] = 0
    detector = _Counting()
    read(encode(page, exif=exif), detector=detector)
    margins = 1.1  # around each page
    assert 0 < sum(detector.seen_px) <= margins * MOST_SEEN_PX


def test_a_small_page_that_is_not_sure_is_looked_at_again() -> None:
    detector = _Counting()
    read(squares(), detector=detector)
    assert len(detector.seen_px) >= 3
