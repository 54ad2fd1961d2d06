"""The networks cost what they are said to cost, in either order of channels."""

import math

import keras
import numpy as np
import pytest

from flaskapi.training.networks import NETWORKS, Shape

pytestmark = pytest.mark.train

SHAPES = pytest.mark.parametrize(
    "shape", [(28, 28, 1), (1, 28, 28)], ids=["channels last", "channels first"]
)


def multiply_adds(model: keras.Model) -> int:
    """Multiplications for one image: each weight of a convolution once for every place, each of a
    dense layer once.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            outputs = math.prod(layer.output.shape[1:])
            total += math.prod(layer.kernel.shape) * outputs // layer.kernel.shape[-1]
    return total


@SHAPES
@pytest.mark.parametrize(
    ("name", "most_multiply_adds", "most_weights"),
    [("compact", 8_200_000, 290_000), ("tutorial", 900_000, 700_000)],
)
def test_a_network_stays_within_its_size(
    name: str, most_multiply_adds: int, most_weights: int, shape: Shape
) -> None:
    model = NETWORKS[name](shape)
    assert 0.9 * most_multiply_adds < multiply_adds(model) <= most_multiply_adds
    assert 0.9 * most_weights < model.count_params() <= most_weights


@SHAPES
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_answers_images_with_probabilities(name: str, shape: Shape) -> None:
    answers = NETWORKS[name](shape).predict(
        np.random.default_rng(0).random((3, *shape), np.float32), verbose=0
    )
    assert ((3, 10), np.float32) == (answers.shape, answers.dtype)
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    assert (answers >= 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_of_channels_changes_no_answer(name: str) -> None:
    """With the same weights, the two forms of a network are the same function."""
    keras.utils.set_random_seed(0)
    last, first = NETWORKS[name]((28, 28, 1)), NETWORKS[name]((1, 28, 28))
    first.set_weights(last.get_weights())
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    np.testing.assert_allclose(
        first.predict(images.reshape(-1, 1, 28, 28), verbose=0),
        last.predict(images, verbose=0),
        atol=1e-5,
    )


@SHAPES
def test_the_tutorial_network_is_the_classic_one(shape: Shape) -> None:
    """Conv2D(32, 3x3), MaxPooling2D(2), Dropout(.25), Flatten, Dense(128), Dropout(.5),
    Dense(10).
    """
    model = NETWORKS["tutorial"](shape)
    assert ["Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense", "Dropout", "Dense"] == [
        type(layer).__name__ for layer in model.layers
    ]
    convolution, pooling, light, _, hidden, heavy, output = model.layers
    assert (32, (3, 3), (1, 1), "valid", "relu") == (
        convolution.filters,
        convolution.kernel_size,
        convolution.strides,
        convolution.padding,
        convolution.activation.__name__,
    )
    assert ((2, 2), 0.25, 0.5) == (pooling.pool_size, light.rate, heavy.rate)
    assert (128, "relu", 10, "softmax") == (
        hidden.units,
        hidden.activation.__name__,
        output.units,
        output.activation.__name__,
    )
