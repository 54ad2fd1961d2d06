"""The shipped models read numbers; how their answers are put together is in `test_number.py`."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import encode, write_digits
from PIL import Image

from flaskapi.digits import Box
from flaskapi.errors import ModelUnavailableError
from flaskapi.reading.predictions import NumberPrediction
from flaskapi.reading.protocols import Limits
from flaskapi.reading.reader import Reader
from flaskapi.serving.classifier import OnnxClassifier
from flaskapi.serving.detector import NoDetector, OnnxDetector

MODELS = Path(__file__).parents[2] / "models"


def read(image: np.ndarray | bytes, shipped: dict[str, Any]) -> NumberPrediction:
    data = image if isinstance(image, bytes) else encode(image)
    return Reader(**shipped, limits=Limits(20_000_000, 0.5)).number(data)


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return {
        "classifier": OnnxClassifier(MODELS / "my_model.onnx"),
        "detector": OnnxDetector(MODELS / "detector.onnx"),
    }


def photograph(*lines: str, shadow: float = 0.5, dark_on_light: bool = True) -> np.ndarray:
    """Numbers written with a pen on paper, under a shadow from a corner, with a camera's grain."""
    ink = np.zeros((110 * len(lines) + 80, 900), np.uint8)
    for place, line in enumerate(lines):
        write_digits(ink, line, left=60, top=60 + 110 * place)
    down, right = np.mgrid[: ink.shape[0], : ink.shape[1]] / sum(ink.shape)
    paper = 225 * (1 - shadow * (down + right)) * (1 - 0.7 * ink / 255)
    picture = np.clip(paper + np.random.default_rng(0).normal(0, 3, ink.shape), 0, 255).astype(
        np.uint8
    )
    return picture if dark_on_light else 255 - picture


@pytest.mark.parametrize(
    "written", ["5550123", "0123456789", "07700 900123", "020 7946 018", "4171 382 695"]
)
def test_the_shipped_models_read_phone_numbers(shipped: dict[str, Any], written: str) -> None:
    prediction = read(photograph(written), shipped)
    assert written.replace(" ", "") == prediction.number
    assert [prediction.number] == prediction.lines


@pytest.mark.parametrize("dark_on_light", [True, False], ids=["dark on light", "light on dark"])
@pytest.mark.parametrize("shadow", [0, 0.7])
def test_the_shipped_models_read_lines_on_any_paper(
    shipped: dict[str, Any], dark_on_light: bool, shadow: float
) -> None:
    prediction = read(
        photograph("2468", "1357", shadow=shadow, dark_on_light=dark_on_light), shipped
    )
    assert ["2468", "1357"] == prediction.lines


@pytest.mark.parametrize("falls_to", [0.5, 0.25])
def test_the_shipped_models_read_what_lies_half_in_the_shadow(
    shipped: dict[str, Any], falls_to: float
) -> None:
    page = photograph("0551234678", shadow=0)
    light = falls_to + (1 - falls_to) / (1 + np.exp((np.arange(page.shape[1]) - 450) / 40))
    prediction = read((page * light).astype(np.uint8), shipped)
    assert "0551234678" == prediction.number


@pytest.mark.parametrize("margin", [6, 25])
def test_the_shipped_models_read_what_stands_in_a_box(shipped: dict[str, Any], margin: int) -> None:
    page = np.pad(photograph("0551234678", shadow=0), 40, constant_values=200)
    cv2.rectangle(page, (margin, margin), (page.shape[1] - margin, len(page) - margin), 40, 4)
    assert "0551234678" == read(page, shipped).number


def test_the_boxes_of_the_shipped_detector_are_those_of_the_ink(shipped: dict[str, Any]) -> None:
    """Or nearly: they have more than half of their area in common."""
    written = "98765432"
    prediction = read(photograph(written), shipped)
    assert written == prediction.number
    for place, digit in enumerate(written):
        ink = np.zeros((190, 900), np.uint8)
        write_digits(ink, " " * place + digit, left=60, top=60)
        assert (
            overlap(
                prediction.digits[place].box, Box(*cv2.boundingRect((ink > 60).astype(np.uint8)))
            )
            > 0.5
        ), digit


@pytest.mark.parametrize("orientation", [1, 3])
def test_a_number_that_is_another_upside_down_is_uncertain_where_exif_says_that_it_is_turned(
    shipped: dict[str, Any], orientation: int
) -> None:
    """As `/predict` answers to a 6: some telephones write an orientation into photographs that are
    upright.
    """
    exif = Image.Exif()
    exif[0x0112] = orientation
    page = Image.fromarray(photograph("66866", shadow=0))
    prediction = read(encode(page, exif=exif), shipped)
    assert ("66866" if orientation == 1 else "99899") == prediction.number
    assert prediction.uncertain is (orientation == 3)


def overlap(a: Box, b: Box) -> float:
    """The area that two boxes have in common, over that which they have together."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    common = max(width, 0) * max(height, 0)
    return common / (a.width * a.height + b.width * b.height - common)


def test_a_known_number_is_cut_into_its_digits(shipped: dict[str, Any]) -> None:
    """Each as the classifier sees it, and reads it."""
    reader = Reader(**shipped)
    digits = reader.cut_number(encode(photograph("0123456789")), "0123456789")
    assert digits is not None
    assert (28, 28) == digits[0].shape
    answers = reader.classifier.probabilities(np.array(digits).reshape(-1, 28, 28, 1))
    assert list(range(10)) == answers.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("number", "is_cut"),
    [("5550123", True), ("5550173", True), ("5559973", False), ("555012", True), ("5551", False)],
    ids=["as read", "one read otherwise", "three", "one too many seen", "three too many"],
)
def test_a_number_that_is_known_otherwise_is_cut_after_one_correction(
    shipped: dict[str, Any], number: str, is_cut: bool
) -> None:
    digits = Reader(**shipped).cut_number(encode(photograph("5550123")), number)
    assert is_cut == (digits is not None)
    assert not is_cut or (digits is not None and len(number) == len(digits))


@pytest.mark.parametrize("image", [b"no picture", encode(np.full((60, 200), 255, np.uint8))])
def test_what_shows_no_number_is_not_cut(shipped: dict[str, Any], image: bytes) -> None:
    assert Reader(**shipped).cut_number(image, "12") is None


def test_without_a_detector_no_number_is_cut(shipped: dict[str, Any]) -> None:
    """That is no matter of the picture, and is said."""
    reader = Reader(shipped["classifier"], NoDetector("There is none."))
    with pytest.raises(ModelUnavailableError, match="There is none"):
        reader.cut_number(encode(photograph("5550123")), "5550123")
