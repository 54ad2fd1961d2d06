"""What every view may need, made once by `create_app`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from flask import Request, current_app, request

from flaskapi.digits import Digit
from flaskapi.reading.protocols import Classifier, Detector, Limits
from flaskapi.reading.reader import Reader
from flaskapi.submissions import Store
from flaskapi.web.metrics import Metrics

if TYPE_CHECKING:
    from flaskapi.versions.registry import Registry


class Observer(Protocol):
    """A candidate that answers beside the classifier that serves."""

    def offer(self, submission_id: UUID, pixels: Digit) -> None:
        """Show it what the network saw of a digit that was kept. Returns at once."""


class Models(Protocol):
    """What classifies in this process, which may be another from one request to the next."""

    @property
    def refused(self) -> str:
        """Why the version that is to serve does not, if so."""

    @property
    def broken(self) -> dict[str, str]:
        """The versions that broke while they served, each with the reason."""

    @property
    def shadow(self) -> Observer | None:
        """The candidate, if there is one."""

    def take(self) -> Classifier:
        """Give the classifier for one request."""

    def watch(self) -> None:
        """See to it that this process follows what is promoted. Costs next to nothing where it
        does.
        """

    def processes(self) -> list[dict[str, Any]]:
        """What each process of this server serves."""


@dataclass(frozen=True)
class Services:
    """The parts of a running service."""

    models: Models
    detector: Detector
    limits: Limits
    store: Store
    metrics: Metrics
    registry: "Registry"

    @property
    def classifier(self) -> Classifier:
        """The classifier for one request, which asks for it once: the next time it may be
        another.
        """
        return self.models.take()

    @property
    def reader(self) -> Reader:
        """What reads for one request, with the classifier of this moment."""
        return Reader(self.models.take(), self.detector, self.limits)


def services() -> Services:
    """The services of the application that handles this request."""
    found: Services = current_app.extensions["flaskapi"]
    return found


def this_request() -> Request:
    """The request itself, for what asks it much: each look through Flask's stand-in takes a call
    of three functions.
    """
    return request._get_current_object()  # type: ignore[attr-defined]  # Werkzeug's proxy has it
