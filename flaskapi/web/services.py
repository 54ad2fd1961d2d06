"""The objects that views use, made once by `create_app`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from flask import Request, current_app, request

from flaskapi.digits import Digit
from flaskapi.reading.protocols import Classifier, Detector, Limits
from flaskapi.reading.reader import Reader
from flaskapi.submissions import Store

if TYPE_CHECKING:
    from flaskapi.versions.registry import Registry
    from flaskapi.web.metrics import Metrics


class Observer(Protocol):
    """A shadow version, which answers beside the serving classifier."""

    def offer(self, submission_id: UUID, pixels: Digit) -> None:
        """Show it the network input of a digit that was kept. Returns at once."""


class Models(Protocol):
    """The versions in this process: the classifier may change from one request to the next."""

    @property
    def refused(self) -> str:
        """Why the version that should serve does not; empty if it does."""

    @property
    def broken(self) -> dict[str, str]:
        """The versions that failed while they served, each with the reason."""

    @property
    def shadow(self) -> Observer | None:
        """The shadow version, if there is one."""

    def take(self) -> Classifier:
        """Give the classifier for one request."""

    def watch(self) -> None:
        """Make sure that this process follows promotions. It costs almost nothing if it already
        does.
        """

    def processes(self) -> list[dict[str, Any]]:
        """The version that each process of this server serves."""


@dataclass(frozen=True)
class Services:
    """The parts of a running service."""

    models: Models
    detector: Detector
    limits: Limits
    store: Store
    metrics: "Metrics"
    registry: "Registry"

    @property
    def classifier(self) -> Classifier:
        """The classifier for one request. Ask once for each request: the next time it may be
        another.
        """
        return self.models.take()

    @property
    def reader(self) -> Reader:
        """The reader for one request, with the current classifier."""
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
