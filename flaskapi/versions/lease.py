"""The classifier that one request is answered by, and what happens where it breaks."""

import os
from typing import Any, NamedTuple, Protocol

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.errors import ModelUnavailableError
from flaskapi.reading.protocols import Classifier
from flaskapi.serving.classifier import NoClassifier
from flaskapi.versions.pointer import Served


class Loaded(NamedTuple):
    """A classifier, and as what it serves."""

    served: Served
    classifier: Classifier

    @property
    def version(self) -> str:
        """The name by which predictions tell it."""
        return self.classifier.version

    def answer(self, batch: Floats) -> Floats:
        """Answer; what are no numbers is an error."""
        answers = self.classifier.probabilities(batch)
        if not np.isfinite(answers).all():
            raise ModelUnavailableError(
                f"{self.classifier.version} answered with something else than numbers."
            )
        return answers


class _Leaves(Protocol):
    def leave(self, broken: Loaded, batch: Floats, error: Exception) -> tuple[Loaded, Floats]:
        """Answer in place of a version that failed, or raise the error."""


class Lease:
    """A classifier for one request: one version throughout. Where that breaks, the request is
    answered by the one before it.
    """

    def __init__(self, switch: _Leaves, loaded: Loaded) -> None:
        self._switch, self._loaded = switch, loaded

    @property
    def version(self) -> str:
        return self._loaded.classifier.version

    @property
    def generation(self) -> int:
        return self._loaded.served.generation

    @property
    def card(self) -> dict[str, Any]:
        return self._loaded.classifier.card

    def probabilities(self, batch: Floats) -> Floats:
        try:
            return self._loaded.answer(batch)
        except Exception as error:  # whatever a model comes up with
            if isinstance(self._loaded.classifier, NoClassifier) or isinstance(error, MemoryError):
                raise
            self._loaded, answers = self._switch.leave(self._loaded, batch, error)
            return answers


class Fixed:
    """A classifier that was given, in place of one from the registry."""

    refused = ""
    shadow = None

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier
        self.broken: dict[str, str] = {}

    def take(self) -> Any:
        return self._classifier

    def watch(self) -> None:
        pass

    def processes(self) -> list[dict[str, Any]]:
        return [
            {
                "pid": os.getpid(),
                "version": self._classifier.version,
                "generation": self._classifier.generation,
            }
        ]
