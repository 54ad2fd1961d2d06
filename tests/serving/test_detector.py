"""The shipped detector finds digits in pages of any size, and what is none is told in clear
words.
"""

import hashlib
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from fakes import write_digits

from flaskapi.digits.page import PADDING_PX
from flaskapi.errors import ModelUnavailableError
from flaskapi.reading.candidates import find_candidates
from flaskapi.serving.classifier import load_classifier
from flaskapi.serving.detector import NoDetector, OnnxDetector, load_detector

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def shipped() -> OnnxDetector:
    return OnnxDetector(MODELS / "detector.onnx")


def page(
    digits: str, *, left: float = 30, top: float = 16, shape: tuple[int, int] = (64, 256)
) -> np.ndarray:
    """Digits about 32 pixels high, as the detector has learned them."""
    ink = np.zeros(shape, np.uint8)
    write_digits(ink, digits, left, top, height=30, pen=3)
    return ink.astype(np.float32) / 255


@pytest.mark.parametrize("shape", [(16, 16), (32, 64), (64, 256), (208, 48)])
def test_a_page_of_any_size_is_answered_cell_by_cell(
    shipped: OnnxDetector, shape: tuple[int, int]
) -> None:
    answer = shipped.detect(np.random.default_rng(0).random(shape, np.float32))
    assert (np.float32, (shape[0] // 4, shape[1] // 2, 15)) == (answer.dtype, answer.shape)
    assert np.isfinite(answer).all()


@pytest.mark.parametrize("digit", "023456789")
def test_the_shipped_detector_finds_a_digit_and_names_it(shipped: OnnxDetector, digit: str) -> None:
    best, *others = find_candidates(shipped.detect(page(digit)), 1.0)
    assert int(digit) == int(best.probabilities.argmax())
    assert best.presence > 0.5 > max((other.presence for other in others), default=0)
    x, y = (
        (best.edges[0] + best.edges[2]) / 2 + PADDING_PX,
        (best.edges[1] + best.edges[3]) / 2 + PADDING_PX,
    )
    assert (x, y) == pytest.approx((30 + 8, 16 + 15), abs=4)


def test_the_shipped_detector_finds_a_1(shipped: OnnxDetector) -> None:
    """Which is no more than a stroke, among others."""
    for written in ("213", "417", "5123"):
        found = [
            candidate
            for candidate in find_candidates(shipped.detect(page(written)), 1.0)
            if candidate.presence > 0.5
        ]
        assert sorted(map(int, written)) == sorted(
            int(candidate.probabilities.argmax()) for candidate in found
        ), written


def test_the_shipped_detector_finds_nothing_on_an_empty_page(shipped: OnnxDetector) -> None:
    grain = np.random.default_rng(0).normal(0, 0.02, (64, 256)).clip(0, 1).astype(np.float32)
    for empty in (np.zeros((64, 256), np.float32), grain):
        assert [] == [
            candidate
            for candidate in find_candidates(shipped.detect(empty), 1.0)
            if candidate.presence > 0.3
        ]


def test_the_shipped_detector_says_what_it_is(shipped: OnnxDetector) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[0-9a-f]{8}", shipped.version)
    assert (shipped.version, "detector") == (shipped.card["version"], shipped.card["network"])
    assert (
        hashlib.sha256((MODELS / "detector.h5").read_bytes()).hexdigest() == shipped.card["sha256"]
    )


def test_the_shipped_detector_is_loaded_without_building_anything(
    tmp_path: Path, shipped: OnnxDetector
) -> None:
    assert shipped.version == load_detector(MODELS / "detector.h5", tmp_path).version
    assert [] == list(tmp_path.iterdir())


def test_several_threads_may_ask_at_once(shipped: OnnxDetector) -> None:
    pages = [page(digits) for digits in ("12", "345", "6789", "")]
    expected = [shipped.detect(each) for each in pages]
    wrong: list[int] = []

    def ask(which: int) -> None:
        wrong.extend(
            which
            for _ in range(10)
            if not np.allclose(expected[which], shipped.detect(pages[which]), atol=1e-4)
        )

    threads = [threading.Thread(target=ask, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_a_classifier_is_no_detector_and_a_detector_no_classifier(tmp_path: Path) -> None:
    """Both are told in words, not in those of ONNX Runtime or Python."""
    with pytest.raises(
        ModelUnavailableError,
        match=r"^my_model\.onnx: its output is not a detector's; is it another kind of "
        r"model\?$",
    ):
        load_detector(MODELS / "my_model.h5", tmp_path)
    with pytest.raises(
        ModelUnavailableError,
        match=r"^detector\.onnx: its output is not ten probabilities; is it another",
    ):
        load_classifier(MODELS / "detector.h5", tmp_path)


def test_a_missing_detector_is_told_in_words_that_a_client_may_read(tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnavailableError, match=r"^nowhere\.h5 cannot be read: No such file or directory\.$"
    ):
        load_detector(tmp_path / "nowhere.h5", tmp_path / "cache")


def test_a_compiled_form_without_its_marks_cannot_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "detector.onnx"
    broken.write_bytes(b"I am no model.")
    monkeypatch.setattr("flaskapi.serving.model.find_compiled", lambda *_: broken)
    with pytest.raises(
        ModelUnavailableError, match=r"^detector\.h5: its compiled form cannot be loaded: "
    ):
        load_detector(tmp_path / "detector.h5", tmp_path / "cache")


def test_where_there_is_no_detector_every_question_is_answered_with_the_reason() -> None:
    nothing = NoDetector("detector.h5 cannot be read: No such file or directory.")
    assert "none" == nothing.version
    with pytest.raises(ModelUnavailableError, match="No such file"):
        nothing.detect(np.zeros((16, 16), np.float32))
    with pytest.raises(ModelUnavailableError, match="No such file"):
        nothing.card  # noqa: B018 asking is the test
