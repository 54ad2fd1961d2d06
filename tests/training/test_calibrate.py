"""Confidence after calibration is what it claims, and no answer changes."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from flaskapi.training.calibrate import calibrate

pytestmark = pytest.mark.train


@pytest.mark.parametrize("too_sure", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_a_model_too_sure_or_too_modest(tiny_model: Callable[..., keras.Model], too_sure: float) -> None:
    rng = np.random.default_rng(0)
    model = tiny_model()
    images = rng.random((4000, 28, 28, 1), np.float32)
    honest = model.predict(images, verbose=0)
    labels = np.array([rng.choice(10, p=row / row.sum()) for row in honest.astype(np.float64)])
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * too_sure, bias * too_sure])
    said = model.predict(images, verbose=0).argmax(axis=1)

    temperature = calibrate(model, images, labels)

    assert too_sure == pytest.approx(temperature, rel=0.25)
    calibrated = model.predict(images, verbose=0)
    np.testing.assert_array_equal(said, calibrated.argmax(axis=1))
    assert calibrated.max(axis=1).mean() == pytest.approx(honest.max(axis=1).mean(), abs=0.03)
