"""What classifier and detector have in common: a compiled model with its card, or why there is
none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from flaskapi.arrays import Floats
from flaskapi.errors import ModelUnavailableError
from flaskapi.serving.compiled import find_compiled, open_session, read_card, read_metadata


class Model:
    """A compiled model. Several threads may call it at once.

    `shape` is the shape of its input without the batch. A side that may have any length is no
    number.
    """

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)
        source = self._session.get_inputs()[0]
        self._input, self.shape = source.name, source.shape[1:]
        self.card: dict[str, Any] = read_card(read_metadata(self._session))
        self.version: str = self.card["version"]

    def run(self, batch: Floats) -> Floats:
        """Return the model's answers to a batch of its input."""
        answer: Floats = self._session.run(None, {self._input: batch})[0]
        return answer


class NoModel:
    """Takes the place of a model that could not be loaded. The service runs and gives the reason,
    but answers nothing.
    """

    version = "none"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    @property
    def card(self) -> dict[str, Any]:
        raise ModelUnavailableError(self.reason)


Kind = TypeVar("Kind", bound=Model)


def load_model(kind: Callable[[Path], Kind], model_path: Path, cache_path: Path) -> Kind:
    """Load a model file for serving. A missing compiled form is built.

    Raises:
        ModelUnavailableError: it cannot be loaded; the text gives the reason.
    """
    try:
        return kind(find_compiled(model_path, cache_path))
    except ModelUnavailableError:
        raise
    except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
        raise ModelUnavailableError(
            f"{model_path.name}: its compiled form cannot be loaded: {error}"
        ) from error
