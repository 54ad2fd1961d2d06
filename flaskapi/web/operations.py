"""What whoever runs the service asks it: does it live, is it ready, which model answers."""

import contextlib
from typing import Any

from flask import Blueprint, Flask, Response, current_app

from flaskapi.errors import ModelUnavailableError, StoreUnavailableError
from flaskapi.web.errors import problem
from flaskapi.web.services import services

blueprint = Blueprint("operations", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)
    app.before_request(app.extensions["flaskapi"].models.watch)


@blueprint.get("/health/live")
def live() -> dict[str, str]:
    """The process runs; nothing else is looked at."""
    return {"status": "live"}


@blueprint.get("/health/ready")
def ready() -> dict[str, Any] | Response:
    """Everything that an answer needs is there, each part by name."""
    checks, missing = {}, ""
    classifier, models = services().classifier, services().models
    for name, part in (("model", classifier), ("detector", services().detector)):
        try:
            checks[name] = {"status": "ok", "version": part.card["version"]}
        except ModelUnavailableError as error:
            checks[name] = {"status": "unavailable", "detail": str(error)}
            missing = missing or str(error)
    checks["model"] |= {"generation": classifier.generation}
    checks["model"] |= {
        name: value
        for name, value in (("refused", models.refused), ("broken", models.broken))
        if value
    }
    checks["store"], unkept, lasting = _check_store()
    answer = {"checks": checks, "processes": models.processes()}
    if missing:
        return problem("model-unavailable", 503, missing, **answer)
    if unkept and (lasting or current_app.config["STORE"] == "required"):
        return problem("store-unavailable", 503, unkept, **answer)
    return {"status": "ready"} | answer


def _check_store() -> tuple[dict[str, Any], str, bool]:
    """What is said of the store, why nothing can be kept, if so, and whether that lasts.

    The service is not ready then only where a store is required, or a person has to act.
    """
    if current_app.config["STORE"] == "off":
        return {"status": "off"}, "", False
    try:
        return {"status": "ok"} | services().store.check(), "", False
    except StoreUnavailableError as error:
        return {"status": "unavailable", "detail": str(error)}, str(error), error.lasting


@blueprint.get("/model")
def model() -> dict[str, Any]:
    """The card of the model that serves, with that of the detector in it."""
    classifier = services().classifier
    card: dict[str, Any] = (
        {"version": classifier.version, "generation": classifier.generation}
        | classifier.card
        | {"detector": None}
    )
    with contextlib.suppress(ModelUnavailableError):
        card["detector"] = services().detector.card
    return card
