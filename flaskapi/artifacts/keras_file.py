"""Read any `.h5` or `.keras` model file for this task, of any Keras from 2.0 on, without running
code from it.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from flaskapi.artifacts.allowed import check_allowed, walk
from flaskapi.artifacts.keras_archive import is_archive, read_archive_config
from flaskapi.digits.page import VALUES
from flaskapi.errors import ModelFileError
from flaskapi.serving.missing import why_no_file

INPUT_SHAPES = ((28, 28, 1), (1, 28, 28), (28, 28), (784,))
DETECTOR_SHAPES = (None, None, 1), (None, None, 2 * VALUES)  # its input and its output
_LONGEST_REASON = 200
_NEEDED = (
    "needed are input (28, 28, 1), (1, 28, 28), (28, 28) or (784,) and output (10,)"
    f" of a classifier, or {DETECTOR_SHAPES[0]} and {DETECTOR_SHAPES[1]} of a detector, as "
    f"train_mnist.py makes them today"
)


def load_artifact(path: Path) -> keras.Model:
    """Load a Keras model for this task.

    Args:
        path: an HDF5 file by Keras 3, tf.keras 2 or standalone Keras 2.0 to 2.3, or a file in
            Keras's own format, `.keras`; the first bytes decide which.

    Returns:
        A model whose input is one of `INPUT_SHAPES` and whose output is 10 probabilities, or a
        detector.

    Raises:
        ModelFileError: it is anything else; the text says what it is and what is needed.
    """
    if path.is_dir():
        raise ModelFileError(why_no_file(path))
    if is_archive(path):
        config, version = read_archive_config(path)
        backend = ""
    else:
        config, version, backend = _read_config(path)
    try:
        _refuse(path, config, version)
        with _in_the_form_of_today(path, config, backend) as readable:
            model = keras.models.load_model(readable, compile=False, safe_mode=True)
    except ModelFileError:
        raise
    except Exception as error:  # Keras raises many kinds, with long texts, for what it cannot read
        raise ModelFileError(
            f"{path.name}: Keras {keras.__version__} cannot load this model of Keras {version}: "
            f"{_shorten(error)}"
        ) from error
    inputs, outputs = model.input_shape, model.output_shape
    if is_detector(model):
        return model
    if (
        not isinstance(inputs, tuple)
        or inputs[1:] not in INPUT_SHAPES
        or not isinstance(outputs, tuple)
        or outputs[1:] != (10,)
    ):
        raise ModelFileError(
            f"{path.name}: this model has input {_shape(inputs)} and output {_shape(outputs)}; "
            f"{_NEEDED}."
        )
    return model


def is_detector(model: keras.Model) -> bool:
    """Does this model find digits in larger pictures, rather than name one?"""
    shapes = (model.input_shape, model.output_shape)
    return (
        all(isinstance(shape, tuple) for shape in shapes)
        and tuple(shape[1:] for shape in shapes) == DETECTOR_SHAPES
    )


def _shape(shape: Any) -> str:
    return str(shape[1:]) if isinstance(shape, tuple) else str(shape)


def _read_config(path: Path) -> tuple[dict[str, Any], str, str]:
    try:
        with h5py.File(path, "r") as file:
            attributes = {
                name: _text(file.attrs.get(name, ""))
                for name in ("model_config", "keras_version", "backend")
            }
    except FileNotFoundError:
        raise ModelFileError(f"{path.name}: no such file.") from None
    except OSError as error:
        raise ModelFileError(
            f"{path.name}: not a Keras model file, or damaged: it is not whole in HDF5 form."
        ) from error
    try:
        config = json.loads(attributes["model_config"])
    except json.JSONDecodeError:
        raise ModelFileError(
            f"{path.name}: does not contain a whole model; save it with model.save('my_model.h5')."
        ) from None
    return config, attributes["keras_version"] or "unknown", attributes["backend"]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers of a model's configuration. Up to Keras 2.2.2 it was a bare list."""
    inner = config["config"]
    return inner if isinstance(inner, list) else inner.get("layers", [])


def _refuse(path: Path, config: dict[str, Any], version: str) -> None:
    check_allowed(path.name, config)
    settings = [part["config"] for part in walk(config) if isinstance(part["config"], dict)]
    if version.startswith("1.") or any(
        {"nb_filter", "dim_ordering"} & part.keys() for part in settings
    ):
        raise ModelFileError(
            f"{path.name}: saved by Keras 1, which can no longer be read. Train it again with "
            f"train_mnist.py."
        )


def _shorten(error: Exception) -> str:
    """The first sentence of Keras's message, which also contains the whole configuration."""
    text = str(error).strip().partition("\n")[0]
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


@contextlib.contextmanager
def _in_the_form_of_today(path: Path, config: dict[str, Any], backend: str) -> Iterator[Path]:
    """Return the file itself, or, if standalone Keras 2 wrote it, a copy that Keras 3 reads."""
    if is_archive(path):
        with tempfile.TemporaryDirectory() as folder:  # Keras chooses the format by the suffix
            yield Path(shutil.copyfile(path, Path(folder) / "model.keras"))
        return
    layers = _layers(config)
    names_its_input = config["class_name"] != "Sequential" or (
        layers and layers[0]["class_name"] == "InputLayer"
    )
    is_of_today = names_its_input and config["class_name"] != "Model" and backend != "theano"
    if is_of_today and path.suffix == ".h5":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        if is_of_today:
            yield copy
            return
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(_upgrade(config))
            if backend == "theano":
                _flip_kernels(
                    file,
                    [
                        layer["config"]["name"]
                        for layer in layers
                        if layer["class_name"] == "Conv2D"
                    ],
                )
        yield copy


def _upgrade(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as Keras 3 would write it: a dict, an input layer, and nothing that only
    training needs.
    """
    layers = [layer | {"config": _inference_only(layer["config"])} for layer in _layers(config)]
    if config["class_name"] == "Sequential" and layers and layers[0]["class_name"] != "InputLayer":
        shape = layers[0]["config"].pop("batch_input_shape", None)
        layers.insert(
            0,
            {
                "class_name": "InputLayer",
                "config": {"batch_shape": shape, "dtype": "float32", "name": "input"},
            },
        )
    inner = config["config"] if isinstance(config["config"], dict) else {"name": "sequential"}
    return {
        "class_name": {"Model": "Functional"}.get(config["class_name"], config["class_name"]),
        "config": inner | {"layers": layers},
    }


def _inference_only(config: dict[str, Any]) -> dict[str, Any]:
    """Remove initializers, regularizers and constraints: their names changed most, and loaded
    weights do not need them.
    """
    return {
        name: value
        for name, value in config.items()
        if not name.endswith(("_initializer", "_regularizer", "_constraint"))
    }


def _flip_kernels(file: h5py.File, names: list[str]) -> None:
    """Flip the kernels that Theano learned for its convolution, since Keras 3 correlates."""
    for name in names:
        group = file["model_weights"][name]
        for weight in group.attrs["weight_names"]:
            values = group[_text(weight)]
            if values.ndim == 4:
                values[...] = np.ascontiguousarray(values[()][::-1, ::-1])
