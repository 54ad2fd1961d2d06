"""What whoever runs the service asks it: does it live, is it ready, which model answers."""

from typing import Any

from flask import Blueprint, Flask, Response

from flaskapi.errors import ModelUnavailableError
from flaskapi.web.errors import problem
from flaskapi.web.services import services

blueprint = Blueprint("operations", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/health/live")
def live() -> dict[str, str]:
    """The process runs; nothing else is looked at."""
    return {"status": "live"}


@blueprint.get("/health/ready")
def ready() -> dict[str, Any] | Response:
    """Everything that an answer needs is there, each part by name."""
    try:
        version = services().classifier.card["version"]
    except ModelUnavailableError as error:
        checks = {"model": {"status": "unavailable", "detail": str(error)}}
        return problem("model-unavailable", 503, str(error), checks=checks)
    return {"status": "ready", "checks": {"model": {"status": "ok", "version": version}}}


@blueprint.get("/model")
def model() -> dict[str, Any]:
    """The card of the model that serves."""
    return services().classifier.card
