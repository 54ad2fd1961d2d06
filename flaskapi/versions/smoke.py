"""A smoke test: a classifier must answer a few drawn digits before it may serve."""

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.errors import ModelUnavailableError
from flaskapi.reading.protocols import Classifier

# Seven rows of five dots for each digit, as on old displays.
_DOTS = (
    "01110 10001 10001 10001 10001 10001 01110,00100 01100 00100 00100 00100 00100 01110,01110 "
    "10001 00001 00110 01000 10000 11111,"
    "11110 00001 00001 01110 00001 00001 11110,00010 00110 01010 10010 11111 00010 00010,11111 "
    "10000 11110 00001 00001 10001 01110,"
    "00110 01000 10000 11110 10001 10001 01110,11111 00001 00010 00100 01000 01000 01000,01110 "
    "10001 10001 01110 10001 10001 01110,"
    "01110 10001 10001 01111 00001 00010 01100"
)


def draw_digits() -> Floats:
    """Draw 0 to 9, 21 pixels high, as `float32 (10, 28, 28, 1)` in [0, 1], 1 the ink."""
    digits = np.array(
        [[list(map(int, row)) for row in rows.split()] for rows in _DOTS.split(",")], np.float32
    )
    large = np.pad(np.kron(digits, np.ones((1, 3, 3), np.float32)), ((0, 0), (4, 5), (7, 8)))
    # Rounded: each pixel is the mean of the nine around it.
    return np.lib.stride_tricks.sliding_window_view(large, (3, 3), axis=(1, 2)).mean(
        axis=(3, 4), dtype=np.float32
    )[..., np.newaxis]


def check_answers(classifier: Classifier) -> None:
    """Check that a classifier answers with probabilities: ten digits at once, and one alone.

    Raises:
        ModelUnavailableError: it fails, or its answers are not probabilities.
    """
    digits = draw_digits()
    for batch in (digits, digits[7:8]):
        try:
            answers = classifier.probabilities(batch)
        except ModelUnavailableError:
            raise
        except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
            raise ModelUnavailableError(f"{classifier.version} cannot answer: {error}") from error
        whole = (
            answers.shape == (len(batch), 10)
            and np.isfinite(answers).all()
            and (answers >= 0).all()
        )
        if not whole or np.abs(answers.sum(axis=1) - 1).max() > 1e-3:
            raise ModelUnavailableError(
                f"{classifier.version} answers drawn digits with values that are no probabilities."
            )
