"""The classifier that serves: it names the digit in a prepared picture."""

from pathlib import Path

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.errors import ModelUnavailableError
from flaskapi.serving.model import Model, NoModel, load_model


class OnnxClassifier(Model):
    """A classifier loaded from an ONNX file. A file that cannot answer fails when it is loaded."""

    generation = 0  # a `Switch` says as which it serves, where it was promoted

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        takes_digits = all(isinstance(side, int) for side in self.shape)
        if not takes_digits or self.probabilities(np.zeros((1, 28, 28, 1), np.float32)).shape != (
            1,
            10,
        ):
            raise ModelUnavailableError(
                f"{path.name}: its output is not ten probabilities; is it another kind of model?"
            )

    def probabilities(self, batch: Floats) -> Floats:
        """Classify `float32 (n, 28, 28, 1)`. The batch is reshaped to the model's own input."""
        return self.run(batch.reshape(len(batch), *self.shape))


class NoClassifier(NoModel):
    """Takes the place of a classifier that could not be loaded; it reads nothing."""

    generation = 0

    def probabilities(self, batch: Floats) -> Floats:
        raise ModelUnavailableError(self.reason)


def load_classifier(model_path: Path, cache_path: Path) -> OnnxClassifier:
    """Load a classifier; see `load_model`."""
    return load_model(OnnxClassifier, model_path, cache_path)
