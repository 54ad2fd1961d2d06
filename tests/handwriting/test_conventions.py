import numpy as np
import pytest

from flaskapi.arrays import Floats
from flaskapi.handwriting.conventions import (
    CONVENTIONS,
    Classify,
    Convention,
    draw_all,
    explain,
    find_convention,
)


def trained_on(form: Convention) -> Classify:
    """A classifier that names the drawn digit to which a picture is nearest, all in one form."""
    digits, labels = draw_all()
    known = form.make(digits).reshape(len(digits), -1)

    def classify(batch: Floats) -> Floats:
        apart = ((batch.reshape(len(batch), 1, -1) - known) ** 2).sum(axis=2)
        return np.eye(10, dtype=np.float32)[labels[apart.argmin(axis=1)]]

    return classify


@pytest.mark.parametrize("form", CONVENTIONS[1:], ids=lambda form: form.words)
def test_a_form_that_a_classifier_reads_is_found_and_named(form: Convention) -> None:
    """Its message gives the layers that make it of this service's form."""
    finding = find_convention(trained_on(form))
    if finding is None:  # so alike that it reads this service's form as well
        digits, labels = draw_all()
        assert 0.7 < (trained_on(form)(digits).argmax(axis=1) == labels).mean()
        return
    digits, labels = draw_all()
    read = trained_on(form)(finding.convention.make(digits)).argmax(axis=1)
    assert (read == labels).all()
    assert 1 == finding.share > finding.own_share + 0.2
    assert finding.convention.words in explain(finding)
    assert f"28, 1)), {finding.convention.layers}, model]" in explain(finding)


def test_each_layer_that_is_advised_makes_the_form() -> None:
    """By what Keras's layers do, without Keras: `Rescaling(scale, offset)`, `Permute`."""
    digits, _ = draw_all()
    for form in CONVENTIONS[1:]:
        made = digits
        names = {
            "Rescaling": lambda scale, offset=0: ("scale", scale, offset),
            "Permute": lambda order: ("order", order, 0),
        }
        keras = type("keras", (), {"layers": type("layers", (), names)})
        for kind, value, offset in eval(f"[{form.layers}]", {"keras": keras}):
            made = made * value + offset if kind == "scale" else made.transpose(0, *value)
        np.testing.assert_allclose(form.make(digits), made, atol=1e-4)


def test_of_what_reads_this_form_or_none_nothing_is_said() -> None:
    assert find_convention(trained_on(CONVENTIONS[0])) is None
    rng = np.random.default_rng(0)
    assert find_convention(lambda batch: rng.random((len(batch), 10), np.float32)) is None
    assert find_convention(lambda batch: np.full((len(batch), 10), 0.1, np.float32)) is None


def test_drawn_digits_have_the_form_of_this_service() -> None:
    digits, labels = draw_all()
    assert (len(labels), 28, 28, 1) == digits.shape
    assert (np.float32, 0, 1) == (digits.dtype, digits.min(), digits.max())
    assert list(range(10)) == sorted(set(labels.tolist()))
    assert 0.05 < digits.mean() < 0.2
