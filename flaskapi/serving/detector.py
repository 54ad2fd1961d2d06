"""The detector that serves: ONNX Runtime over a compiled model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapi.errors import ModelUnavailableError
from flaskapi.serving.compiled import find_compiled, open_session, read_metadata

Floats = npt.NDArray[np.float32]


class OnnxDetector:
    """Finds digits by an ONNX file. Safe to call from several threads at once."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)
        metadata = read_metadata(self._session)
        card = json.loads(metadata["model_card"])
        self.version = "-".join(part for part in (card.get("date"), metadata["artifact_sha256"][:8]) if part)
        self.card: dict[str, Any] = {"version": self.version, "sha256": metadata["artifact_sha256"]} | card
        source = self._session.get_inputs()[0]
        self._input = source.name
        # One that cannot answer fails here, as it is loaded.
        takes_pages = not any(isinstance(side, int) for side in source.shape[1:3])
        if not takes_pages or self.detect(np.zeros((32, 64), np.float32)).shape != (8, 16, 15):
            raise ModelUnavailableError(f"{path.name}: does not answer as a detector does; is it another kind of model?")

    def detect(self, page: Floats) -> Floats:
        """Look over `float32 (height, width)`; gives `float32 (height / 4, width / 4, 15)`."""
        answer: Floats = self._session.run(None, {self._input: page[np.newaxis, :, :, np.newaxis]})[0]
        return answer[0]


class NoDetector:
    """Stands where a detector could not be loaded: digits are read, numbers are not."""

    version = "none"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @property
    def card(self) -> dict[str, Any]:
        raise ModelUnavailableError(self._reason)

    def detect(self, page: Floats) -> Floats:
        raise ModelUnavailableError(self._reason)


def load_detector(model_path: Path, cache_path: Path) -> OnnxDetector:
    """Load a detector for serving, building its compiled form where that is missing.

    Raises:
        ModelUnavailableError: it cannot be; the text says why.
    """
    try:
        return OnnxDetector(find_compiled(model_path, cache_path))
    except ModelUnavailableError:
        raise
    except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
        raise ModelUnavailableError(f"{model_path.name}: its compiled form cannot be loaded: {error}") from error
