"""The classes that a model's configuration may name: Keras's own layers and their parts.

Keras builds the classes that a configuration names, so a stranger's file could name anything.
"""

from collections.abc import Iterator
from typing import Any

import keras

from flaskapi.errors import ModelFileError

_MODULES = {
    *("keras", "keras.layers", "keras.models", "keras.activations", "keras.initializers"),
    *("keras.regularizers", "keras.constraints", "keras.dtype_policies", "keras.random"),
    *("keras.optimizers", "keras.losses", "keras.metrics", "keras.engine.functional"),
}
_PACKAGES = "keras.src.models.", "keras.src.layers.", "keras.src.ops.", "keras.src.engine."
# They hold code, or read files and other libraries' modules.
_HOLDS_CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_READS_FILES = {"StringLookup", "IntegerLookup", "TextVectorization"}
_MODELS = {"Model", "Functional", "Sequential"}
_ACTIVATIONS = "activation", "recurrent_activation"


def check_allowed(name: str, config: dict[str, Any]) -> None:
    """Reject a configuration that names anything but Keras's own classes.

    Args:
        name: the file's name, for the message.
        config: of the whole model.

    Raises:
        ModelFileError: it names another class; the text says which, and why it is not loaded.
    """
    for part in walk(config):
        kind, module = str(part["class_name"]), part.get("module") or ""
        if kind in _HOLDS_CODE:
            article = "a" if kind == "Lambda" else "the"
            raise ModelFileError(
                f"{name}: this model has {article} {kind} layer, which contains code. Code from "
                f"model files is never run."
            )
        if kind in _READS_FILES:
            raise ModelFileError(
                f"{name}: this model has the layer {kind}, which may read files. Pictures of "
                f"digits need none."
            )
        if kind == "function":
            _check_activation(name, part["config"])
        elif module and module not in _MODULES and not module.startswith(_PACKAGES):
            raise _foreign(name, f"the class {kind[:60]!r} of {module[:60]!r}")
        elif module == "keras.layers" and not hasattr(keras.layers, kind):
            raise _foreign(name, f"the layer {kind[:60]!r}")
        if isinstance(part["config"], dict):
            for field in _ACTIVATIONS:
                _check_activation(name, part["config"].get(field))
    for layer in _layers(config):
        if not layer.get("module") and not _is_kerass_own(layer["class_name"]):
            raise _foreign(name, f"the layer {str(layer['class_name'])[:60]!r}")


def _is_kerass_own(kind: Any) -> bool:
    return kind in _MODELS or hasattr(keras.layers, str(kind).rpartition(">")[2])


def _check_activation(name: str, activation: Any) -> None:
    if not isinstance(activation, str):
        return
    try:
        keras.activations.get(activation)
    except Exception:  # ValueError, and others for what is no name at all
        raise _foreign(name, f"the activation {activation[:60]!r}") from None


def _foreign(name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"{name}: this model uses {what}, which is not Keras's own. A model file does not contain "
        f"its code, and no code is loaded. Use Keras's own classes, and save the model again."
    )


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a configuration, at any depth, that names a class."""
    if isinstance(node, dict):
        if "class_name" in node and "config" in node:
            yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def _layers(node: Any) -> Iterator[dict[str, Any]]:
    """The layers of a model, and of models within it."""
    inner = node.get("config") if isinstance(node, dict) else None
    listed = inner if isinstance(inner, list) else (inner or {}).get("layers", [])
    for layer in listed:
        if isinstance(layer, dict) and "class_name" in layer:
            yield layer
            yield from _layers(layer)
