"""The detector's file: compiled, it answers as before; it is told from a classifier's, and what is
almost one is refused.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from trainings import small_detector

from flaskapi.artifacts import compile as compiling
from flaskapi.artifacts.artifact import save_artifact
from flaskapi.artifacts.compile import compile_artifact
from flaskapi.artifacts.keras_file import is_detector, load_artifact
from flaskapi.errors import ModelFileError, ModelUnavailableError
from flaskapi.serving.classifier import load_classifier
from flaskapi.serving.detector import load_detector
from flaskapi.training.networks import detector

pytestmark = pytest.mark.train

Build = Callable[..., keras.Model]
CARD = {"date": "2026-01-02", "network": "tiny detector"}


@pytest.fixture(scope="module")
def tiny_detector() -> keras.Model:
    """With nothing learned."""
    keras.utils.set_random_seed(0)
    return small_detector((None, None, 1))


def test_a_detector_answers_compiled_and_loaded_as_before(
    tmp_path: Path, tiny_detector: keras.Model
) -> None:
    source = tmp_path / "detector.h5"
    save_artifact(tiny_detector, CARD, source)
    compile_artifact(source, source.with_suffix(".onnx"))
    loaded = load_detector(source, tmp_path / "cache")
    assert f"2026-01-02-{hashlib.sha256(source.read_bytes()).hexdigest()[:8]}" == loaded.version
    assert CARD.items() <= loaded.card.items()
    for shape in ((16, 16), (64, 256), (208, 48)):
        page = np.random.default_rng(1).random(shape, np.float32)
        expected = tiny_detector.predict(page[np.newaxis, ..., np.newaxis], verbose=0).reshape(
            shape[0] // 4, shape[1] // 2, 15
        )
        np.testing.assert_allclose(loaded.detect(page), expected, atol=1e-4)


def test_the_network_itself_can_be_compiled(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = detector((None, None, 1))
    save_artifact(model, CARD, tmp_path / "detector.h5")
    compile_artifact(tmp_path / "detector.h5", tmp_path / "detector.onnx")
    page = np.random.default_rng(1).random((48, 112), np.float32)
    expected = model.predict(page[np.newaxis, ..., np.newaxis], verbose=0).reshape(12, 56, 15)
    np.testing.assert_allclose(
        load_detector(tmp_path / "detector.h5", tmp_path / "cache").detect(page),
        expected,
        atol=1e-3,
    )


def test_a_detector_is_told_from_a_classifier_by_its_form(
    tmp_path: Path, tiny_detector: keras.Model, tiny_model: Build
) -> None:
    assert is_detector(tiny_detector)
    assert is_detector(detector((None, None, 1)))
    assert not is_detector(tiny_model())
    save_artifact(tiny_detector, CARD, tmp_path / "detector.h5")
    assert is_detector(load_artifact(tmp_path / "detector.h5"))


@pytest.mark.parametrize(
    ("shape", "outputs"), [((None, None, 3), 30), ((None, None, 1), 15), ((64, 256, 1), 30)]
)
def test_what_is_almost_a_detector_is_refused(
    tmp_path: Path, shape: tuple[int | None, ...], outputs: int
) -> None:
    """Of colour, with other answers, of one size only."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Conv2D(outputs, 3, 4, "same")])
    save_artifact(model, CARD, tmp_path / "detector.h5")
    with pytest.raises(
        ModelFileError, match=r"^detector\.h5: this model has input .* and output .*; needed are "
    ):
        load_artifact(tmp_path / "detector.h5")


def test_a_detector_whose_compiled_form_answers_otherwise_is_refused(
    tmp_path: Path, tiny_detector: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the smallest difference, and none, is too large.
    monkeypatch.setattr(compiling, "DETECTOR_TOLERANCE", 0.0)
    save_artifact(tiny_detector, CARD, tmp_path / "detector.h5")
    with pytest.raises(ModelFileError, match="the compiled form differs from Keras"):
        compile_artifact(tmp_path / "detector.h5", tmp_path / "detector.onnx")
    assert ["detector.h5"] == [path.name for path in tmp_path.iterdir()]


def test_a_detector_of_weights_that_are_no_numbers_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(30, 3, 4, "same")])
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    save_artifact(model, CARD, tmp_path / "detector.h5")
    with pytest.raises(ModelFileError, match=r"^detector\.h5: the outputs are not numbers\.$"):
        compile_artifact(tmp_path / "detector.h5", tmp_path / "detector.onnx")


def test_neither_kind_serves_as_the_other(
    tmp_path: Path, tiny_detector: keras.Model, tiny_model: Build
) -> None:
    for name, model in (
        ("detector", tiny_detector),
        ("my_model", tiny_model()),
        ("flat", tiny_model((784,))),
    ):
        save_artifact(model, CARD, tmp_path / f"{name}.h5")
        compile_artifact(tmp_path / f"{name}.h5", tmp_path / f"{name}.onnx")
    with pytest.raises(
        ModelUnavailableError,
        match="its output is not ten probabilities; is it another kind of model",
    ):
        load_classifier(tmp_path / "detector.h5", tmp_path / "cache")
    for name in ("my_model", "flat"):
        with pytest.raises(
            ModelUnavailableError,
            match="its output is not a detector's; is it another kind of model",
        ):
            load_detector(tmp_path / f"{name}.h5", tmp_path / "cache")
