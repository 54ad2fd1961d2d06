"""What whoever runs the service asks it: does it live, is it ready, which model answers."""

import contextlib
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
    checks, missing = {}, ""
    for name, part in (("model", services().classifier), ("detector", services().detector)):
        try:
            checks[name] = {"status": "ok", "version": part.card["version"]}
        except ModelUnavailableError as error:
            checks[name] = {"status": "unavailable", "detail": str(error)}
            missing = missing or str(error)
    if missing:
        return problem("model-unavailable", 503, missing, checks=checks)
    return {"status": "ready", "checks": checks}


@blueprint.get("/model")
def model() -> dict[str, Any]:
    """The card of the model that serves, with that of the detector in it."""
    card: dict[str, Any] = services().classifier.card | {"detector": None}
    with contextlib.suppress(ModelUnavailableError):
        card["detector"] = services().detector.card
    return card
