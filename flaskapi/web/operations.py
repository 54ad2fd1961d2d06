"""For the people who run the service: does it run, is it ready, which model answers."""

import contextlib
from typing import Any

from flask import Blueprint, Flask, Response, current_app

from flaskapi.contract import documents
from flaskapi.errors import ModelUnavailableError, StoreUnavailableError
from flaskapi.web.access import is_known_operator
from flaskapi.web.described import described
from flaskapi.web.errors import problem
from flaskapi.web.scopes import open_to_all
from flaskapi.web.services import services

blueprint = Blueprint("operations", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)
    app.before_request(app.extensions["flaskapi"].models.watch)


@blueprint.get("/health/live")
@described(documents.Live, query=None)
@open_to_all
def live() -> dict[str, str]:
    """The process runs; nothing else is checked."""
    return {"status": "live"}


@blueprint.get("/health/ready")
@described(
    documents.READY,
    query=None,
    errors=(ModelUnavailableError, StoreUnavailableError),
    problem=documents.NOT_READY,
)
@open_to_all
def ready() -> dict[str, Any] | Response:
    """The state of each part that an answer needs.

    Callers see which part is unavailable. Operators also see the reason, and so does the log.
    """
    answer, name, reason = _look()
    if not is_known_operator():
        answer = _without_reasons(answer)
        reason = f"The {name.partition('-')[0]} is unavailable; the service's log has the reason."
    return problem(name, 503, reason, **answer) if name else {"status": "ready"} | answer


def _look() -> tuple[dict[str, Any], str, str]:
    """The state of each part; the problem if the service is not ready, and its reason."""
    checks: dict[str, dict[str, Any]] = {}
    missing = ""
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
        return answer, "model-unavailable", missing
    if unkept and (lasting or current_app.config["STORE"] == "required"):
        return answer, "store-unavailable", unkept
    return answer, "", ""


def _without_reasons(answer: dict[str, Any]) -> dict[str, Any]:
    """The same without reasons, which may name hosts, users or paths."""
    checks = {
        name: {key: _hide(key, value) for key, value in check.items() if key != "detail"}
        for name, check in answer["checks"].items()
    }
    processes = [
        {key: _hide(key, value) for key, value in process.items()}
        for process in answer["processes"]
    ]
    return {"checks": checks, "processes": processes}


def _hide(key: str, value: Any) -> Any:
    if key == "refused":
        return "unavailable"
    return dict.fromkeys(value, "unavailable") if key == "broken" else value


def _check_store() -> tuple[dict[str, Any], str, bool]:
    """The state of the store, the reason if nothing can be kept, and whether that lasts.

    It makes the service not ready only if the store is required, or a person must act.
    """
    if current_app.config["STORE"] == "off":
        return {"status": "off"}, "", False
    try:
        return {"status": "ok"} | services().store.check(), "", False
    except StoreUnavailableError as error:
        return {"status": "unavailable", "detail": str(error)}, str(error), error.lasting


@blueprint.get("/model")
@described(documents.ModelCard, query=None, errors=(ModelUnavailableError,))
@open_to_all
def model() -> dict[str, Any]:
    """The card of the serving model, including the card of the detector."""
    classifier = services().classifier
    card: dict[str, Any] = (
        {"version": classifier.version, "generation": classifier.generation}
        | classifier.card
        | {"detector": None}
    )
    with contextlib.suppress(ModelUnavailableError):
        card["detector"] = services().detector.card
    return card
