"""The detector that serves: it finds the digits on a page."""

from pathlib import Path

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.digits.page import VALUES
from flaskapi.errors import ModelUnavailableError
from flaskapi.serving.model import Model, NoModel, load_model


class OnnxDetector(Model):
    """A detector loaded from an ONNX file. A file that cannot answer fails when it is loaded."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        takes_pages = not any(isinstance(side, int) for side in self.shape[:2])
        if not takes_pages or self.detect(np.zeros((32, 64), np.float32)).shape != (8, 32, VALUES):
            raise ModelUnavailableError(
                f"{path.name}: its output is not a detector's; is it another kind of model?"
            )

    def detect(self, page: Floats) -> Floats:
        """Look for digits on a page, `float32 (height, width)`. Returns `float32 (height / 4, width
        / 2, 15)`.
        """
        answer = self.run(page[np.newaxis, :, :, np.newaxis])[0]
        return answer.reshape(len(answer), -1, VALUES)


class NoDetector(NoModel):
    """Takes the place of a detector that could not be loaded: digits are read, numbers are not."""

    def detect(self, page: Floats) -> Floats:
        raise ModelUnavailableError(self.reason)


def load_detector(model_path: Path, cache_path: Path) -> OnnxDetector:
    """Load a detector; see `load_model`."""
    return load_model(OnnxDetector, model_path, cache_path)
