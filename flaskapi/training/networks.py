"""The networks that can be trained, each a function from an input shape to a Keras model."""

from collections.abc import Callable

import keras
from keras import layers

from flaskapi.digits.page import VALUES

MOMENTUM = 0.95  # of the means and variances that the detector's normalization keeps

Shape = tuple[int, int, int]
Normalize = Callable[[], keras.layers.Layer]


class FusedNormalization(layers.BatchNormalization):  # type: ignore[misc] # Keras has no types
    """Batch normalization in one operation of TensorFlow during training; Keras needs nine.

    It is for channels last. The weights are those of Keras's own layer, which answers afterwards.
    """

    def __init__(self) -> None:
        super().__init__(momentum=MOMENTUM)
        self.autocast = False  # scale and shift stay float32 beside bfloat16 inputs

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None, mask: None = None
    ) -> keras.KerasTensor:
        """Normalize `(n, height, width, channels)`, and learn mean and variance when training."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        import tensorflow as tf

        normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        for kept, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(kept * self.momentum + new * (1 - self.momentum))
        return normalized


def compact(shape: Shape) -> keras.Model:
    """Five convolutions and one dense layer: 8 million multiply-adds an image, 290,000 weights.

    The first convolution reduces the picture, so that the work is done on 12x12 and 6x6. Batch
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
    """Nine convolutions, with two residual connections: 42 million multiply-adds an image, 660,000
    weights.

    It is too slow to serve; `compact` learns from its answers.
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


def _normalize() -> keras.layers.Layer:
    return layers.BatchNormalization(momentum=MOMENTUM)


def detector(
    shape: tuple[int | None, int | None, int],
    normalize: Normalize = _normalize,
) -> keras.Model:
    """Finds digits in a picture of any size whose sides are multiples of 16.

    Answers `float32 (n, height / 4, width / 4, 30)`: for the left and for the right half of each
    4x4 pixels whether the centre of a digit is there (a logit), which one (ten logits), and its box
    (see `draw_targets`). What is seen at an eighth and a sixteenth of the size flows back into the
    finer grid, as in Lin et al., "Feature Pyramid Networks for Object Detection" (2017). 14,000
    multiply-adds a pixel, 1.1 million weights.

    Args:
        shape: of a page: height, width (None: any) and 1.
        normalize: makes a layer that normalizes a batch.
    """

    def convolve(
        inputs: keras.KerasTensor, filters: int, *, size: int = 3, stride: int = 1
    ) -> keras.KerasTensor:
        convolved = layers.Conv2D(filters, size, stride, "same", use_bias=False)(inputs)
        return layers.ReLU()(normalize()(convolved))

    def go_around(inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Two convolutions with a way around them, as in `teacher`."""
        filters = inputs.shape[-1]
        convolved = layers.Conv2D(filters, 3, padding="same", use_bias=False)(
            convolve(inputs, filters)
        )
        return layers.ReLU()(layers.Add()([inputs, normalize()(convolved)]))

    source = keras.Input(shape)
    fine = go_around(convolve(convolve(source, 32, size=5, stride=2), 48, stride=2))
    middle = go_around(convolve(fine, 112, stride=2))
    coarse = go_around(convolve(middle, 160, stride=2))
    middle = convolve(
        layers.Add()([middle, layers.UpSampling2D()(convolve(coarse, 112, size=1))]), 112
    )
    fine = convolve(layers.Add()([fine, layers.UpSampling2D()(convolve(middle, 48, size=1))]), 64)
    return keras.Model(source, layers.Conv2D(2 * VALUES, 1, name="answer")(fine), name="detector")


def _data_format(shape: Shape) -> str:
    return "channels_first" if shape[0] == 1 else "channels_last"


NETWORKS: dict[str, Callable[[Shape], keras.Model]] = {
    "compact": compact,
    "teacher": teacher,
    "tutorial": tutorial,
}
