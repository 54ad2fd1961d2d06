"""The networks that can be trained, each a function from an input shape to a Keras model."""

from collections.abc import Callable

import keras
from keras import layers

from flaskapi.digits.page import VALUES

Shape = tuple[int, int, int]


def compact(shape: Shape) -> keras.Model:
    """Five convolutions and one dense layer: 8 million multiply-adds an image, 290,000 weights.

    The first shrinks the picture at once, so that the work is done on 12x12 and 6x6; batch
    normalization is folded into the convolutions when the model is compiled for serving.
    """
    data_format = _data_format(shape)
    axis = 1 if data_format == "channels_first" else -1
    plan = (
        (32, 5, 2, "valid"),
        (48, 3, 1, "same"),
        (72, 3, 2, "same"),
        (112, 3, 1, "same"),
        (144, 3, 1, "valid"),
    )
    model = keras.Sequential([keras.Input(shape)], name="compact")
    for filters, size, stride, padding in plan:
        model.add(layers.Conv2D(filters, size, stride, padding, data_format, use_bias=False))
        model.add(layers.BatchNormalization(axis, momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.Flatten(data_format))
    model.add(layers.Dropout(0.4))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def teacher(shape: Shape) -> keras.Model:
    """Nine convolutions, two pairs of them with a way around: 42 million multiply-adds an image,
    660,000 weights.

    Too slow to serve with: what it says of digits, `compact` learns.
    """
    data_format = _data_format(shape)
    axis = 1 if data_format == "channels_first" else -1

    def convolve(
        inputs: keras.KerasTensor,
        filters: int,
        size: int = 3,
        stride: int = 1,
        padding: str = "same",
    ) -> keras.KerasTensor:
        convolved = layers.Conv2D(filters, size, stride, padding, data_format, use_bias=False)(
            inputs
        )
        return layers.BatchNormalization(axis, momentum=0.9)(convolved)

    def go_around(inputs: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        """He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition" (2016)."""
        return layers.ReLU()(
            layers.Add()([inputs, convolve(layers.ReLU()(convolve(inputs, filters)), filters)])
        )

    source = keras.Input(shape)
    inner = layers.ReLU()(convolve(source, 32, size=5))
    inner = go_around(layers.ReLU()(convolve(inner, 64, stride=2)), 64)
    inner = go_around(layers.ReLU()(convolve(inner, 112, stride=2)), 112)
    inner = layers.ReLU()(convolve(inner, 112))
    inner = layers.ReLU()(convolve(inner, 128, padding="valid"))
    inner = layers.Dropout(0.4)(layers.Flatten(data_format)(inner))
    return keras.Model(source, layers.Dense(10, activation="softmax")(inner), name="teacher")


def tutorial(shape: Shape) -> keras.Model:
    """The classic small CNN of the tutorials: one convolution, one hidden layer, about 99 %
    right.
    """
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


def detector(shape: tuple[int | None, int | None, int]) -> keras.Model:
    """Finds digits in a picture of any size whose sides are multiples of 16.

    Answers `float32 (n, height / 4, width / 4, 30)`: for the left and for the right half of each
    4x4 pixels whether the centre of a digit is there (a logit), which one (ten logits), and its box
    (see `draw_targets`). What is seen at an eighth and a sixteenth of the size flows back into the
    finer grid, as in Lin et al., "Feature Pyramid Networks for Object Detection" (2017). 14,000
    multiply-adds a pixel, 1.1 million weights.
    """
    source = keras.Input(shape)
    fine = _go_around(_convolve(_convolve(source, 32, size=5, stride=2), 48, stride=2))
    middle = _go_around(_convolve(fine, 112, stride=2))
    coarse = _go_around(_convolve(middle, 160, stride=2))
    middle = _convolve(
        layers.Add()([middle, layers.UpSampling2D()(_convolve(coarse, 112, size=1))]), 112
    )
    fine = _convolve(layers.Add()([fine, layers.UpSampling2D()(_convolve(middle, 48, size=1))]), 64)
    return keras.Model(source, layers.Conv2D(2 * VALUES, 1, name="answer")(fine), name="detector")


def _go_around(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Two convolutions with a way around them, as in `teacher`."""
    filters = inputs.shape[-1]
    convolved = layers.Conv2D(filters, 3, padding="same", use_bias=False)(
        _convolve(inputs, filters)
    )
    return layers.ReLU()(
        layers.Add()([inputs, layers.BatchNormalization(momentum=0.95)(convolved)])
    )


def _convolve(
    inputs: keras.KerasTensor, filters: int, *, size: int = 3, stride: int = 1
) -> keras.KerasTensor:
    convolved = layers.Conv2D(filters, size, stride, "same", use_bias=False)(inputs)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.95)(convolved))


def _data_format(shape: Shape) -> str:
    return "channels_first" if shape[0] == 1 else "channels_last"


NETWORKS: dict[str, Callable[[Shape], keras.Model]] = {
    "compact": compact,
    "teacher": teacher,
    "tutorial": tutorial,
}
