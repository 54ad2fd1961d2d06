"""The classifier that serves: ONNX Runtime over a compiled model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapi.errors import ModelUnavailableError
from flaskapi.serving.compiled import find_compiled, open_session, read_metadata

Floats = npt.NDArray[np.float32]


class OnnxClassifier:
    """Answers from an ONNX file. Safe to call from several threads at once."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)
        source = self._session.get_inputs()[0]
        self._input, self._shape = source.name, source.shape[1:]
        metadata = read_metadata(self._session)
        sha256 = metadata["artifact_sha256"]
        card = json.loads(metadata["model_card"])
        self.version = "-".join(part for part in (card.get("date"), sha256[:8]) if part)
        self.card: dict[str, Any] = {"version": self.version, "sha256": sha256} | card
        # One that cannot answer fails here, as it is loaded.
        takes_digits = all(isinstance(side, int) for side in self._shape)
        if not takes_digits or self.probabilities(np.zeros((1, 28, 28, 1), np.float32)).shape != (1, 10):
            raise ModelUnavailableError(f"{path.name}: does not answer ten probabilities; is it another kind of model?")

    def probabilities(self, batch: Floats) -> Floats:
        """Classify `float32 (n, 28, 28, 1)`; whatever the model's own input, one channel makes it a matter of shape."""
        answer: Floats = self._session.run(None, {self._input: batch.reshape(len(batch), *self._shape)})[0]
        return answer


class NoClassifier:
    """Stands where a model could not be loaded: the service lives, says why, and answers nothing."""

    version = "none"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @property
    def card(self) -> dict[str, Any]:
        raise ModelUnavailableError(self._reason)

    def probabilities(self, batch: Floats) -> Floats:
        raise ModelUnavailableError(self._reason)


def load_classifier(model_path: Path, cache_path: Path) -> OnnxClassifier:
    """Load a model file for serving, building its compiled form where that is missing.

    Raises:
        ModelUnavailableError: it cannot be; the text says why.
    """
    try:
        return OnnxClassifier(find_compiled(model_path, cache_path))
    except ModelUnavailableError:
        raise
    except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
        raise ModelUnavailableError(f"{model_path.name}: its compiled form cannot be loaded: {error}") from error
