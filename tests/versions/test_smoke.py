from pathlib import Path

import numpy as np
import pytest
from fakes import FixedClassifier

from flaskapi.arrays import Floats
from flaskapi.errors import ModelUnavailableError
from flaskapi.serving.classifier import OnnxClassifier
from flaskapi.versions.smoke import check_answers, draw_digits

MODELS = Path(__file__).parents[2] / "models"


def test_the_shipped_model_passes_and_reads_most_of_the_drawn_digits() -> None:
    """So that they are digits, and not any pictures."""
    shipped = OnnxClassifier(MODELS / "my_model.onnx")
    check_answers(shipped)
    assert 7 <= (shipped.probabilities(draw_digits()).argmax(axis=1) == np.arange(10)).sum()


class Wrong(FixedClassifier):
    def __init__(self, answer: float) -> None:
        super().__init__()
        self._row = np.full(10, answer, np.float32)


def test_what_fails_in_its_own_way_is_named_with_the_reason() -> None:
    """As ONNX Runtime does, whose errors are of no public kind."""

    class Broken(FixedClassifier):
        def probabilities(self, batch: Floats) -> Floats:
            raise RuntimeError("Non-zero status code returned while running Conv node.")

    with pytest.raises(ModelUnavailableError, match=r"cannot answer: Non-zero status .* Conv"):
        check_answers(Broken())


@pytest.mark.parametrize("answer", [np.nan, np.inf, 1.0, -0.1])
def test_what_answers_no_probabilities_does_not_pass(answer: float) -> None:
    with pytest.raises(ModelUnavailableError, match="no probabilities"):
        check_answers(Wrong(answer))
