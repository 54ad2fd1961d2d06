"""Calibrate confidence: of the answers with confidence 0.9, nine in ten are right."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Doubles, Floats
from flaskapi.artifacts.artifact import save_artifact
from flaskapi.artifacts.compile import compile_artifact
from flaskapi.artifacts.quantize import answer

COLDEST, HOTTEST, STEPS = 0.25, 4.0, 200
NEWTON_STEPS = 12


def calibrate(model: keras.Model, images: Floats, labels: npt.NDArray[np.integer]) -> float:
    """Scale the last layer so that the probabilities fit digits that the model has not learned
    from.

    One number, the temperature, divides the logits before the softmax (Guo, Pleiss, Sun,
    Weinberger: "On Calibration of Modern Neural Networks", ICML 2017). The last layer's weights are
    divided by it, so it costs nothing and is part of the model.

    Args:
        model: ends in a dense layer with softmax; changed in place.
        images: `float32`, of the model's input shape, varied as in training, held out of it.
        labels: `(n,)`, 0 to 9.

    Returns:
        The temperature: above 1, the model was overconfident.
    """
    temperature = fit_temperature(answer_as_served(model, images), labels)
    last = model.layers[-1]
    last.set_weights([weight / temperature for weight in last.get_weights()])
    return temperature


def answer_as_served(model: keras.Model, images: Floats) -> Floats:
    """The answers of a classifier's compiled form, `(n, 10)`, which may calculate with 8 bits.

    A temperature is not rounded, since the last layer is not.
    """
    if sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers) < 2:
        return model.predict(images, batch_size=500, verbose=0)  # nothing is quantized
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.h5"
        save_artifact(model, {}, source)
        # A model of another form is told so once it is saved, when that can be mended.
        compile_artifact(source, source.with_suffix(".onnx"), checks_form=False)
        return answer(source.with_suffix(".onnx"), images)


def fit_temperature(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]
) -> float:
    """The temperature at which probabilities, `(n, 10)`, fit labels, `(n,)`, best."""
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))
    temperatures = np.geomspace(COLDEST, HOTTEST, STEPS)
    return float(min(temperatures, key=lambda t: _negative_log_likelihood(logarithms / t, labels)))


def fit_logistic(
    logits: npt.NDArray[np.floating], hits: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The slope and shift that fit logits, `(n,)`, to the outcomes (Platt scaling, by Newton's
    method).
    """
    x = np.stack([logits, np.ones_like(logits)], axis=1).astype(np.float64)
    weights = np.array([1.0, 0.0])
    for _ in range(NEWTON_STEPS):
        expected = 1 / (1 + np.exp(-x @ weights))
        curvature = (x * (expected * (1 - expected))[:, np.newaxis]).T @ x + 1e-3 * np.eye(2)
        # Where logits tell all hits from all misses, or there is only one kind, the best fit is
        # without end: small steps stay finite.
        weights += np.clip(np.linalg.solve(curvature, x.T @ (hits - expected)), -1, 1)
    return float(weights[0]), float(weights[1])


def _negative_log_likelihood(logits: Doubles, labels: npt.NDArray[np.integer]) -> float:
    normalizer = np.log(
        np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    ) + logits.max(axis=1)
    return float((normalizer - logits[np.arange(len(labels)), labels]).mean())
