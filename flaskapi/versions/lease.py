"""The classifier for one request, and what happens if it fails."""

import os
from typing import Any, NamedTuple, Protocol

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.errors import ModelUnavailableError
from flaskapi.reading.protocols import Classifier
from flaskapi.serving.classifier import NoClassifier
from flaskapi.versions.pointer import Served


class Loaded(NamedTuple):
    """A classifier, and the version and generation as which it serves."""

    served: Served
    classifier: Classifier

    @property
    def version(self) -> str:
        """The version's name in predictions."""
        return self.classifier.version

    def answer(self, batch: Floats) -> Floats:
        """Answer a batch, and refuse answers that are not numbers.

        Args:
            batch: `float32 (n, 28, 28, 1)`.

        Returns:
            `float32 (n, 10)`.

        Raises:
            ModelUnavailableError: an answer is infinite or NaN.
            Exception: a model may raise anything.
        """
        answers = self.classifier.probabilities(batch)
        if not np.isfinite(answers).all():
            raise ModelUnavailableError(
                f"{self.classifier.version} answered with values that are not numbers."
            )
        return answers


class _Leaves(Protocol):
    def fail_over(self, broken: Loaded, batch: Floats, error: Exception) -> tuple[Loaded, Floats]:
        """Answer with another version in place of one that failed; see `Fallback.answer`."""


class Lease:
    """A classifier for one request: one version throughout.

    If the version fails, the previous version answers the request.
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
        """Answer a batch; see `Classifier.probabilities` and `Fallback.answer`."""
        try:
            return self._loaded.answer(batch)
        except Exception as error:  # a model may raise anything
            if isinstance(self._loaded.classifier, NoClassifier) or isinstance(error, MemoryError):
                raise
            self._loaded, answers = self._switch.fail_over(self._loaded, batch, error)
            return answers


class Fixed:
    """A given classifier, in place of one from the registry."""

    refused = ""
    shadow = None

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier
        self.broken: dict[str, str] = {}

    def lease(self) -> Any:
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
