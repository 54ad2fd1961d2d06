"""`/retrainings`: request a retraining and follow it. The worker `python -m flaskapi retrain
--watch` runs it; no web process ever trains.
"""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Flask, Response, jsonify, request, url_for

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.answers import write_moment
from flaskapi.errors import ConflictError, InvalidRequestError, NotFoundError
from flaskapi.web.access import operator_name, operators_only
from flaskapi.web.described import described
from flaskapi.web.payload import read_document, read_query
from flaskapi.web.services import services
from flaskapi.web.submissions import read_cursor, write_cursor

if TYPE_CHECKING:
    from flaskapi.submissions.retrainings import Retraining

blueprint = Blueprint("retrainings", __name__)
_WAITS = (
    "A worker runs it, which you start on the server: .venv/bin/python -m flaskapi retrain --watch."
)
USUAL = 20  # on one page


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/retrainings")
@described(documents.RetrainingList, query=queries.RETRAININGS)
@operators_only
def list_retrainings() -> dict[str, Any]:
    """A page of retrainings, the newest first, without their logs."""
    from flaskapi.submissions import retrainings

    query = read_query(request, queries.RETRAININGS)
    limit = int(query.get("limit", USUAL))
    found = retrainings.list_newest(services().store, limit + 1, read_cursor(query.get("cursor")))
    following = None
    if len(found) > limit:
        following_query = urlencode(query | {"cursor": write_cursor(found[limit - 1].id)})
        following = f"{url_for('.list_retrainings')}?{following_query}"
    return {"retrainings": [_summarize(one) for one in found[:limit]], "next": following}


@blueprint.post("/retrainings")
@described(
    documents.RETRAINING,
    status=202,
    body=bodies.RETRAINING_WISH,
    headers={"Location": "where to watch it"},
)
@operators_only
def ask() -> Response:
    """Store a request for a retraining, and give the address to follow it."""
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions import retrainings

    read_query(request)
    identifier = retrainings.request(services().store, _read_options(), operator_name())
    response = jsonify(_describe(_find(identifier)))
    response.status_code = 202
    response.headers["Location"] = url_for("retrainings.watch", id=identifier)
    return response


@blueprint.get("/retrainings/<uuid:id>")
@described(documents.RETRAINING)
@operators_only
def watch(id: UUID) -> dict[str, Any]:
    """The progress of a retraining, or its result."""
    read_query(request)
    return _describe(_find(id))


@blueprint.delete("/retrainings/<uuid:id>")
@described(documents.RETRAINING, errors=(ConflictError,))
@operators_only
def withdraw(id: UUID) -> dict[str, Any]:
    """Withdraw a retraining that has not ended."""
    from flaskapi.submissions import retrainings

    read_query(request)
    found = _find(id)
    if not retrainings.withdraw(services().store, id):
        raise ConflictError(f"The retraining has ended: {found.state}. Nothing can be withdrawn.")
    return _describe(_find(id))


def _find(id: UUID) -> "Retraining":
    from flaskapi.submissions import retrainings

    found = retrainings.get(services().store, id)
    if found is None:
        raise NotFoundError(f"There is no retraining with the id {id}.")
    return found


def _read_options() -> dict[str, Any]:
    """The options in the body, which may be empty: `since`, a day, and `promote`, whether a better
    model serves at once.

    Raises:
        InvalidRequestError: the body has something else; the text names it.
    """
    if not request.get_data():
        return {}
    body = read_document(request)
    if not isinstance(body, dict):
        raise InvalidRequestError(
            'The JSON is not an object. Send nothing, or JSON such as {"since": "2026-11-22", '
            '"promote": false}.'
        )
    if unknown := set(body) - {"since", "promote"}:
        raise InvalidRequestError(f"{min(unknown)!r} is unknown; use 'since' or 'promote'.")
    if not isinstance(body.get("promote", True), bool):
        raise InvalidRequestError("'promote' must be true or false.")
    if "since" in body:
        try:
            body["since"] = date.fromisoformat(body["since"]).isoformat()
        except (TypeError, ValueError):
            raise InvalidRequestError("'since' must be a day, such as 2026-11-22.") from None
    return body


def _summarize(found: "Retraining") -> dict[str, Any]:
    """The same as `_describe` without its long members: the log, and lists of ids."""
    described = {name: value for name, value in _describe(found).items() if name != "log"}
    if found.figures:
        described["figures"] = {
            name: value for name, value in found.figures.items() if not name.endswith("_ids")
        }
    return described


def _note_on_worker() -> str:
    from flaskapi.submissions import retrainings

    outlook = retrainings.look(services().store, datetime.now(UTC))
    if outlook.worker_is_alive:
        return f"A worker is there; {outlook.waiting:,} retrainings wait for one."
    return f"No worker was heard of in the last three minutes. {_WAITS}"


def _describe(found: "Retraining") -> dict[str, Any]:
    left = found.seconds_left
    moments = {name: getattr(found, name) for name in ("requested_at", "heard_at", "finished_at")}
    return {
        "id": str(found.id),
        "state": found.state,
        "progress": round(found.progress, 3),
        "seconds_left": None if left is None else round(left, 1),
        "requested_by": found.requested_by,
        **{name: write_moment(moment) if moment else None for name, moment in moments.items()},
        "attempts": found.attempts,
        "options": found.options,
        "version": found.version,
        "figures": found.figures,
        "log": found.log,
        **({"note": _note_on_worker()} if found.state == "requested" else {}),
    }
