"""The compiled form answers as Keras does and says what it was made of; a failure leaves nothing
behind.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from trainings import legacy_answers

from flaskapi.artifacts import compile as compiling
from flaskapi.artifacts.artifact import save_artifact
from flaskapi.artifacts.compile import compile_artifact
from flaskapi.errors import ModelFileError

pytestmark = pytest.mark.train

Build = Callable[..., keras.Model]
CARD = {"date": "2026-01-02", "network": "tiny"}


def answers(compiled: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime says to `float32 (n, 28, 28, 1)`."""
    session = onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    return session.run(None, {source.name: images.reshape(-1, *source.shape[1:])})[0]


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 28, 28), (28, 28), (784,)])
def test_a_model_of_any_input_shape_answers_compiled_as_before(
    tmp_path: Path, tiny_model: Build, shape: tuple[int, ...]
) -> None:
    model, images = tiny_model(shape), np.random.default_rng(1).random((5, 28, 28, 1), np.float32)
    save_artifact(model, CARD, tmp_path / "my_model.h5")
    compile_artifact(tmp_path / "my_model.h5", tmp_path / "my_model.onnx")
    expected = model.predict(images.reshape(5, *shape), verbose=0)
    np.testing.assert_allclose(answers(tmp_path / "my_model.onnx", images), expected, atol=1e-5)
    for size in (1, 3):
        assert (size, 10) == answers(tmp_path / "my_model.onnx", images[:size]).shape, (
            "the batch may be of any size"
        )


@pytest.mark.parametrize("order", ["last", "first"])
def test_a_model_of_keras_2_2_2_answers_compiled_as_it_did_then(
    legacy: Callable[[str], Path], order: str
) -> None:
    path, (images, expected) = legacy(order), legacy_answers(order)
    compile_artifact(path, path.with_suffix(".onnx"))
    np.testing.assert_allclose(answers(path.with_suffix(".onnx"), images), expected, atol=1e-5)


def test_the_compiled_form_names_the_artifact_and_bears_its_card(
    tmp_path: Path, tiny_model: Build
) -> None:
    source, target = tmp_path / "my_model.h5", tmp_path / "elsewhere.onnx"
    save_artifact(tiny_model(), CARD, source)
    compile_artifact(source, target)
    metadata = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    assert hashlib.sha256(source.read_bytes()).hexdigest() == metadata["artifact_sha256"]
    assert CARD == json.loads(metadata["model_card"])
    assert {source, target} == set(tmp_path.iterdir())


def test_a_model_without_softmax_is_refused(tmp_path: Path, tiny_model: Build) -> None:
    save_artifact(tiny_model(activation=None), CARD, tmp_path / "my_model.h5")
    refuse(tmp_path / "my_model.h5", "my_model.h5: the 10 outputs .*last layer must be a softmax")


def test_ten_answers_that_do_not_sum_to_1_are_refused(tmp_path: Path, tiny_model: Build) -> None:
    save_artifact(tiny_model(activation="sigmoid"), CARD, tmp_path / "my_model.h5")
    refuse(tmp_path / "my_model.h5", "are not probabilities")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, tiny_model: Build) -> None:
    model = tiny_model()
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    save_artifact(model, CARD, tmp_path / "my_model.h5")
    refuse(tmp_path / "my_model.h5", "my_model.h5: ")


def test_a_compiled_form_that_answers_otherwise_is_refused(
    tmp_path: Path, tiny_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the smallest difference, and none, is too large.
    monkeypatch.setattr(compiling, "TOLERANCE", 0.0)
    save_artifact(tiny_model(), CARD, tmp_path / "my_model.h5")
    refuse(tmp_path / "my_model.h5", "my_model.h5: the compiled form differs from Keras")


def test_a_file_that_is_no_model_and_one_that_is_missing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("I am no model.")
    refuse(tmp_path / "text.h5", "text.h5: not a Keras model file")
    refuse(tmp_path / "missing.h5", "missing.h5: no such file")


def refuse(source: Path, reason: str) -> None:
    """The error says why, what was compiled before stays, and no other file appears."""
    target = source.with_suffix(".onnx")
    target.write_bytes(b"old")
    before = set(source.parent.iterdir())
    with pytest.raises(ModelFileError, match=reason):
        compile_artifact(source, target)
    assert (before, b"old") == (set(source.parent.iterdir()), target.read_bytes())
