"""The part of a model that serves: without layers for training only, and in 32 bits."""

from typing import Any

import keras

# Of the layers whose names begin so, those that change nothing when a model answers.
_ONLY_TRAINED = ("Random", "RandAugment", "AugMix", "CutMix", "MixUp", "Solarization")
_CHANGES = {"RandomCrop", "RandomFourierFeatures"}
_NUMBERS = "float32"


def as_served(model: keras.Model) -> keras.Model:
    """Return a model with the same answers, in 32 bits, without layers that only change pictures in
    training. Those have no compiled form. A model without any is returned itself.
    """
    layers = list(_all_layers(model))
    if not any(_only_trains(layer) or _is_mixed(layer) for layer in layers):
        return model
    served = keras.models.clone_model(model, clone_function=_copy, recursive=True)
    served.set_weights(model.get_weights())
    # Else a batch normalization in it is exported as it trains (Keras 3.15).
    served.trainable = False
    return served


def _all_layers(model: keras.Model) -> Any:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _only_trains(layer: keras.Layer) -> bool:
    kind = type(layer).__name__
    return kind.startswith(_ONLY_TRAINED) and kind not in _CHANGES


def _is_mixed(layer: keras.Layer) -> bool:
    return bool(layer.compute_dtype not in (_NUMBERS, "int32", "uint8", "bool", "string"))


def _copy(layer: keras.Layer) -> keras.Layer:
    if _only_trains(layer):
        return keras.layers.Identity(name=layer.name)
    config = layer.get_config()
    if _is_mixed(layer):
        config["dtype"] = _NUMBERS
    return type(layer).from_config(config)
