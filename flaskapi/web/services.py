"""What every view may need, made once by `create_app`."""

from dataclasses import dataclass

from flask import current_app

from flaskapi.numbers import Detector
from flaskapi.recognition import Classifier
from flaskapi.submissions import Store
from flaskapi.web.metrics import Metrics


@dataclass(frozen=True)
class Services:
    """The parts of a running service."""

    classifier: Classifier
    detector: Detector
    store: Store
    metrics: Metrics


def services() -> Services:
    """The services of the application that handles this request."""
    found: Services = current_app.extensions["flaskapi"]
    return found
