"""How many digits with known labels a model reads correctly."""

from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Bytes
from flaskapi.labels import DIGITS

_TOGETHER = 500  # images that are answered at once: all of them take 100 MB more


class Confusion(NamedTuple):
    """`confusion` is `int64 (10, 10)`: a row for each label, a column for each answer."""

    confusion: npt.NDArray[np.int64]

    @property
    def total(self) -> int:
        return int(self.confusion.sum())

    @property
    def errors(self) -> int:
        return self.total - int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        return 1 - self.errors / self.total

    def __str__(self) -> str:
        head = "         " + "".join(f"{digit:>6}" for digit in range(DIGITS)) + "   (said)"
        rows = (
            f"  {digit} is   " + "".join(f"{n or '.':>6}" for n in row)
            for digit, row in enumerate(self.confusion)
        )
        return "\n".join(
            [f"{self.accuracy:.2%} of {self.total} right, {self.errors} wrong", head, *rows]
        )


def evaluate(model: keras.Model, images: Bytes, labels: Bytes) -> Confusion:
    """Let the model answer every image.

    Args:
        model: any Keras model for this task.
        images: `uint8 (n, 28, 28)`, 255 the ink.
        labels: `(n,)`, 0 to 9.
    """
    confusion = np.zeros((DIGITS, DIGITS), np.int64)
    for start in range(0, len(images), _TOGETHER):
        part = images[start : start + _TOGETHER].reshape(-1, *model.input_shape[1:])
        said = model.predict_on_batch(part.astype(np.float32) / np.float32(255)).argmax(axis=1)
        np.add.at(confusion, (labels[start : start + _TOGETHER], said), 1)
    return Confusion(confusion)
