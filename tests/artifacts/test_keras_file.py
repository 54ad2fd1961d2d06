"""Any model file for this task is read, however old; any other is refused, with what it is and what
is needed.
"""

import base64
import json
import marshal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trainings import legacy_answers, rewrite_config

from flaskapi.artifacts.keras_file import load_artifact
from flaskapi.errors import ModelFileError

pytestmark = pytest.mark.train

Config = dict[str, Any]
Legacy = Callable[[str], Path]
Build = Callable[..., keras.Model]


def as_it_is(path: Path) -> None:
    pass


def as_keras_2_2_3_wrote_it(path: Path) -> None:
    """From 2.2.3 on the layers stand in a dict."""
    rewrite_config(
        path,
        lambda config: config | {"config": {"name": "sequential_1", "layers": config["config"]}},
    )


def as_a_functional_model(path: Path) -> None:
    """As `Model(inputs, outputs)` was saved: each layer names the one before it."""

    def functional(config: Config) -> Config:
        shape = config["config"][0]["config"].pop("batch_input_shape")
        given: Config = {
            "batch_input_shape": shape,
            "dtype": "float32",
            "sparse": False,
            "name": "input_1",
        }
        layers = [
            {"class_name": "InputLayer", "config": given, "name": "input_1", "inbound_nodes": []}
        ]
        for layer in config["config"]:
            layers.append(
                layer
                | {
                    "name": layer["config"]["name"],
                    "inbound_nodes": [[[layers[-1]["name"], 0, 0, {}]]],
                }
            )
        ends = {"input_layers": [["input_1", 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
        return {"class_name": "Model", "config": {"name": "model_1", "layers": layers} | ends}

    rewrite_config(path, functional)


def as_theano_learnt_it(path: Path) -> None:
    """Theano's convolution turns the kernel by half a circle, so a model trained on it holds turned
    kernels.
    """
    with h5py.File(path, "r+") as file:
        file.attrs["backend"] = b"theano"
        (name,) = (name for name in file["model_weights"] if name.startswith("conv2d"))
        kernel = file[f"model_weights/{name}/{name}/kernel:0"]
        kernel[...] = kernel[()][::-1, ::-1]


def as_a_functional_model_of_theano(path: Path) -> None:
    as_a_functional_model(path)
    as_theano_learnt_it(path)


@pytest.mark.parametrize("order", ["last", "first"])
@pytest.mark.parametrize(
    "written",
    [
        as_it_is,
        as_keras_2_2_3_wrote_it,
        as_a_functional_model,
        as_theano_learnt_it,
        as_a_functional_model_of_theano,
    ],
)
def test_a_model_of_old_keras_answers_as_it_did_then(
    legacy: Legacy, order: str, written: Callable[[Path], None]
) -> None:
    path = legacy(order)
    written(path)
    before = path.read_bytes()
    model = load_artifact(path)
    images, expected = legacy_answers(order)
    actual = model.predict(images.reshape(-1, *model.input_shape[1:]), verbose=0)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert before == path.read_bytes(), "the file itself must stay as it is"


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 28, 28), (28, 28), (784,)])
def test_a_model_of_any_of_four_input_shapes_is_read(
    tmp_path: Path, tiny_model: Build, shape: tuple[int, ...]
) -> None:
    tiny_model(shape).save(tmp_path / "my_model.h5")
    assert (None, *shape) == load_artifact(tmp_path / "my_model.h5").input_shape


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (((32, 32, 3),), "input (32, 32, 3) and output (10,)"),
        (((28, 28, 3),), "input (28, 28, 3) and output (10,)"),
        (((None, 28, 1),), "input (None, 28, 1) and output"),
        (((784,), 26), "input (784,) and output (26,)"),
        (((784,), 1), "input (784,) and output (1,)"),
    ],
)
def test_a_model_of_another_shape_is_refused_with_the_shape_it_has_and_those_needed(
    tmp_path: Path, arguments: tuple[Any, ...], found: str
) -> None:
    shape, *outputs = arguments
    flat = keras.layers.GlobalMaxPooling2D() if None in shape else keras.layers.Flatten()
    model = keras.Sequential([keras.Input(shape), flat, keras.layers.Dense(*outputs or [10])])
    model.save(tmp_path / "my_model.h5")
    assert_refused(
        tmp_path / "my_model.h5",
        found,
        "needed are input (28, 28, 1), (1, 28, 28), (28, 28) or (784,) and output (10,)",
    )


def test_a_model_of_two_inputs_or_outputs_is_refused(tmp_path: Path) -> None:
    one, two = keras.Input((784,), name="one"), keras.Input((784,), name="two")
    answers = [keras.layers.Dense(10, name=f"dense_{source.name}")(source) for source in (one, two)]
    keras.Model([one, two], keras.layers.add(answers)).save(tmp_path / "inputs.h5")
    keras.Model(one, [answers[0], keras.layers.Dense(10)(one)]).save(tmp_path / "outputs.h5")
    assert_refused(tmp_path / "inputs.h5", "(None, 784), (None, 784)", "needed are input")
    assert_refused(tmp_path / "outputs.h5", "(None, 10), (None, 10)", "needed are input")


def assert_refused(path: Path, *reasons: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        load_artifact(path)
    assert str(caught.value).startswith(f"{path.name}: ")
    for reason in reasons:
        assert reason in str(caught.value)


def keras_1(config: Config) -> Config:
    """The names that Keras 1 had for a convolution's settings."""
    first = config["config"][0]
    return config | {
        "config": [
            {
                "class_name": "Convolution2D",
                "config": {"name": "c", "nb_filter": 8, "nb_row": 3, "dim_ordering": "tf"},
            },
            first,
        ]
    }


def test_a_model_of_keras_1_is_refused_by_its_configuration(legacy: Legacy) -> None:
    path = legacy("last")
    rewrite_config(path, keras_1)
    assert_refused(path, "saved by Keras 1", "Train it again with train_mnist.py")


def test_a_model_of_keras_1_is_refused_by_its_version(legacy: Legacy) -> None:
    path = legacy("last")
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = b"1.2.2"
    assert_refused(path, "saved by Keras 1")


def lambda_of(python: str) -> Config:
    """A Lambda layer that runs this expression, as Keras 2 stored it."""
    code = base64.b64encode(marshal.dumps(compile(python, "model", "eval"))).decode()
    return {
        "class_name": "Lambda",
        "config": {
            "name": "lambda_1",
            "function": [code, None, None],
            "function_type": "lambda",
            "arguments": {},
        },
    }


def beside(layer: Config, config: Config) -> Config:
    return config | {"config": [*config["config"], layer]}


def nested(layer: Config, config: Config) -> Config:
    return beside({"class_name": "Sequential", "config": [layer]}, config)


def wrapped(layer: Config, config: Config) -> Config:
    return beside(
        {"class_name": "TimeDistributed", "config": {"name": "t", "layer": layer}}, config
    )


@pytest.mark.parametrize("placed", [beside, nested, wrapped])
def test_a_model_that_holds_code_is_refused_and_the_code_is_not_run(
    legacy: Legacy, placed: Callable[[Config, Config], Config]
) -> None:
    path = legacy("last")
    trace = path.with_name("trace")
    layer = lambda_of(f"open({str(trace)!r}, 'w')")
    rewrite_config(path, lambda config: placed(layer, config))
    assert_refused(path, "Lambda layer", "Code from model files is never run")
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [b"", b"I am no model.\n", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(2000)]
)
def test_what_is_not_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "my_model.h5").write_bytes(content)
    assert_refused(tmp_path / "my_model.h5", "not a Keras model file")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(legacy: Legacy, share: float) -> None:
    path = legacy("last")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert_refused(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "my_model.h5", "no such file")
    (tmp_path / "folder.h5").mkdir()
    assert_refused(tmp_path / "folder.h5", "a folder, not a model file")


def test_weights_alone_are_refused_with_how_to_save_a_whole_model(
    tmp_path: Path, tiny_model: Build
) -> None:
    tiny_model().save_weights(tmp_path / "my.weights.h5")
    assert_refused(
        tmp_path / "my.weights.h5",
        "not contain a whole model",
        "save it with model.save('my_model.h5')",
    )


@pytest.mark.parametrize("backend", ["tensorflow", "theano"])
def test_a_model_without_its_weights_is_refused(legacy: Legacy, backend: str) -> None:
    path = legacy("last")
    with h5py.File(path, "r+") as file:
        file.attrs["backend"] = backend
        del file["model_weights"]
    assert_refused(path)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "config", "layers", "name", "batch_input_shape"]),
            inner,
            max_size=4,
        )
        | st.builds(
            lambda kind, config: {"class_name": kind, "config": config},
            st.sampled_from(["Sequential", "Model", "Functional", "Dense"]),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(config=JSON)
def test_no_configuration_breaks_the_reader(tmp_path: Path, config: Any) -> None:
    path = tmp_path / "my_model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    assert_refused(path)


def test_a_configuration_that_is_no_text_is_refused(legacy: Legacy) -> None:
    path = legacy("last")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = np.bytes_(b"\xff\xfe")
    assert_refused(path)
