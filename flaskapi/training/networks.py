"""The networks that can be trained, each a function from an input shape to a Keras model."""

from collections.abc import Callable

import keras
from keras import layers

Shape = tuple[int, int, int]


def compact(shape: Shape) -> keras.Model:
    """Five convolutions and one dense layer: 8 million multiply-adds an image, 290,000 weights.

    The first shrinks the picture at once, so that the work is done on 12x12 and 6x6; batch normalization is folded into the
    convolutions when the model is compiled for serving.
    """
    data_format = _data_format(shape)
    axis = 1 if data_format == "channels_first" else -1
    plan = ((32, 5, 2, "valid"), (48, 3, 1, "same"), (72, 3, 2, "same"), (112, 3, 1, "same"), (144, 3, 1, "valid"))
    model = keras.Sequential([keras.Input(shape)], name="compact")
    for filters, size, stride, padding in plan:
        model.add(layers.Conv2D(filters, size, stride, padding, data_format, use_bias=False))
        model.add(layers.BatchNormalization(axis, momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.Flatten(data_format))
    model.add(layers.Dropout(0.4))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def tutorial(shape: Shape) -> keras.Model:
    """The classic small CNN of the tutorials: one convolution, one hidden layer, about 99 % right."""
    data_format = _data_format(shape)
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, 3, activation="relu", data_format=data_format),
            layers.MaxPooling2D(2, data_format=data_format),
            layers.Dropout(0.25),
            layers.Flatten(data_format),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="tutorial",
    )


def _data_format(shape: Shape) -> str:
    return "channels_first" if shape[0] == 1 else "channels_last"


NETWORKS: dict[str, Callable[[Shape], keras.Model]] = {"compact": compact, "tutorial": tutorial}
