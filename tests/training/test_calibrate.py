"""Confidence after calibration is what it claims, and no answer changes."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from flaskapi.training.calibrate import calibrate, fit_logistic

pytestmark = pytest.mark.train


@pytest.mark.parametrize("too_sure", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_a_model_too_sure_or_too_modest(
    tiny_model: Callable[..., keras.Model], too_sure: float
) -> None:
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


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (2.5, 1.0), (0.4, -1.5)])
def test_the_slope_and_shift_that_logits_lack_are_found(slope: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20000)
    hits = rng.random(20000) < 1 / (1 + np.exp(-(slope * logits + shift)))
    assert fit_logistic(logits, hits) == pytest.approx((slope, shift), abs=0.1)


@pytest.mark.parametrize(
    "hits", [[True] * 4, [False] * 4, [False, False, True, True]], ids=["all", "none", "told apart"]
)
def test_whatever_happened_there_is_a_fit_of_finite_numbers(hits: list[bool]) -> None:
    """Even where the likeliest slope is without end."""
    assert np.isfinite(fit_logistic(np.array([-4.0, -1, 1, 4]), np.array(hits))).all()
