"""Models as people save them: in Keras's own format, with layers that only training has, counted in
16 bits, trained on another form of pictures.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest

from flaskapi.artifacts.compile import compile_artifact
from flaskapi.artifacts.keras_file import load_artifact
from flaskapi.artifacts.served import as_served
from flaskapi.errors import ModelFileError
from flaskapi.handwriting.conventions import CONVENTIONS, Convention, draw_all

pytestmark = pytest.mark.train

Build = Callable[..., keras.Model]
IMAGES = np.random.default_rng(1).random((5, 28, 28, 1), np.float32)


def answers(compiled: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    session = onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    return session.run(None, {source.name: IMAGES.reshape(-1, *source.shape[1:])})[0]


def augmented(policy: str | None = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    shake = keras.Sequential([layers.RandomZoom(0.2), layers.RandomTranslation(0.1, 0.1)])
    given = keras.Input((28, 28, 1))
    seen = layers.Conv2D(4, 3, strides=2, activation="relu", dtype=policy)(
        layers.RandomRotation(0.1)(shake(given))
    )
    seen = layers.Dropout(0.5)(layers.BatchNormalization(dtype=policy)(seen))
    told = layers.Dense(10, dtype=policy)(layers.Flatten()(seen))
    return keras.Model(given, layers.Softmax(dtype="float32")(told))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("policy", [None, "mixed_float16"])
def test_layers_that_only_train_and_16_bits_are_left_out_of_what_serves(
    tmp_path: Path, suffix: str, policy: str | None
) -> None:
    model = augmented(policy)
    model.save(source := tmp_path / f"a_model{suffix}")
    compile_artifact(source, tmp_path / "a_model.onnx")
    expected = model.predict(IMAGES, verbose=0)
    tolerance = 1e-5 if policy is None else 1e-2
    np.testing.assert_allclose(answers(tmp_path / "a_model.onnx"), expected, atol=tolerance)


def test_a_model_without_any_of_that_stays_the_same(tiny_model: Build) -> None:
    model = tiny_model()
    assert as_served(model) is model


@pytest.mark.parametrize("name", ["my_model.h5", "my_model.keras", "my_model"])
def test_kerass_own_format_is_read_whatever_its_name(
    tmp_path: Path, tiny_model: Build, name: str
) -> None:
    """A registered version bears the name of the other format."""
    model = tiny_model()
    model.save(tmp_path / "saved.keras")
    (tmp_path / "saved.keras").rename(tmp_path / name)
    compile_artifact(tmp_path / name, tmp_path / "out.onnx")
    np.testing.assert_allclose(
        answers(tmp_path / "out.onnx"), model.predict(IMAGES, verbose=0), atol=1e-5
    )


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The same file with another configuration."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def dense(config: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any] = config["config"]["layers"][-1]
    assert "Dense" == layer["class_name"]
    return layer


def test_a_file_that_names_code_is_refused_and_its_code_not_run(
    tmp_path: Path, tiny_model: Build
) -> None:
    changes: dict[str, Callable[[dict[str, Any]], Any]] = {
        "a Lambda layer, which contains": lambda config: dense(config).update(class_name="Lambda"),
        "TorchModuleWrapper layer": lambda config: dense(config).update(
            class_name="TorchModuleWrapper"
        ),
        "the class 'system' of 'os'": lambda config: dense(config).update(
            module="os", class_name="system"
        ),
        "the class 'get_file' of 'keras.utils'": lambda config: dense(config).update(
            module="keras.utils", class_name="get_file"
        ),
        "the activation 'swoosh'": lambda config: dense(config)["config"].update(
            activation="swoosh"
        ),
        "the activation 'swish2'": lambda config: dense(config)["config"].update(
            activation={
                "module": "builtins",
                "class_name": "function",
                "config": "swish2",
                "registered_name": "function",
            }
        ),
        "the layer 'MyDense'": lambda config: dense(config).update(class_name="MyDense"),
        "TextVectorization, which may read files": lambda config: dense(config).update(
            class_name="TextVectorization"
        ),
    }
    for said, change in changes.items():
        tiny_model().save(path := tmp_path / "my_model.keras")
        with pytest.raises(ModelFileError) as caught:
            load_artifact(rewritten(path, change))
        assert said in str(caught.value)
        assert len(str(caught.value)) < 300


def test_a_custom_activation_in_an_h5_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("theirs")
    def wobble(x: Any) -> Any:
        return keras.ops.sin(x)

    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(9, activation=wobble),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.save(path := tmp_path / "my_model.h5")
    keras.saving.get_custom_objects().clear()
    with pytest.raises(ModelFileError, match=r"wobble.*not Keras's own") as caught:
        load_artifact(path)
    assert len(str(caught.value)) < 300


def test_archives_that_are_no_models_are_refused(tmp_path: Path, tiny_model: Build) -> None:
    tiny_model().save(whole := tmp_path / "whole.keras")
    cut, other, more = (tmp_path / f"{name}.keras" for name in ("cut", "other", "more"))
    cut.write_bytes(whole.read_bytes()[:-40])
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("7.png", b"")
    more.write_bytes(whole.read_bytes())
    with zipfile.ZipFile(more, "a") as archive:
        archive.writestr("assets/words.txt", b"")
    for path, said in ((cut, "damaged"), (other, "has no config.json"), (more, "assets/words.txt")):
        with pytest.raises(ModelFileError, match=said):
            load_artifact(path)


def test_a_saved_model_folder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ModelFileError, match=r"SavedModel format.*model.save\('my_model.h5'\)"):
        load_artifact(tmp_path)


def fit_lines(convention: Convention) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """The weights and biases of the one layer that names drawn digits in a form of pictures best,
    by least squares: training takes a hundred times as long.
    """
    digits, labels = draw_all()
    pixels = convention.make(digits).reshape(len(digits), -1)
    middle, scale = pixels.mean(), pixels.std()
    design = np.hstack([(pixels - middle) / scale, np.ones((len(pixels), 1))])
    named = np.where(labels[:, np.newaxis] == np.arange(10), 10, -10)
    ridge = design.T @ design + np.eye(design.shape[1])
    fitted = np.linalg.solve(ridge, design.T @ named).astype(np.float32)
    weights = fitted[:-1] / np.float32(scale)
    return [weights, fitted[-1] - np.float32(middle) * weights.sum(axis=0)]


@pytest.mark.parametrize(
    ("form", "shape"),
    [(1, (28, 28, 1)), (2, (28, 28, 1)), (7, (28, 28, 1)), (1, (784,)), (1, (1, 28, 28))],
)
def test_a_model_of_another_form_is_refused_and_serves_with_the_layer_that_is_advised(
    tmp_path: Path, form: int, shape: tuple[int, ...]
) -> None:
    convention = CONVENTIONS[form]
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.layers[-1].set_weights(fit_lines(convention))
    model.save(theirs := tmp_path / "theirs.h5")
    with pytest.raises(ModelFileError) as caught:
        compile_artifact(theirs, tmp_path / "theirs.onnx")
    assert convention.words in str(caught.value)
    assert not (tmp_path / "theirs.onnx").exists()
    _, _, advice = str(caught.value).partition("first: ")
    advised = advice.partition(".save(")[0]
    wrapped = eval(advised, {"keras": keras, "model": model})
    wrapped.save(tmp_path / "wrapped.h5")
    compile_artifact(tmp_path / "wrapped.h5", tmp_path / "wrapped.onnx")
