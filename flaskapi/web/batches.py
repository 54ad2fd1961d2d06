"""`/batches`: requests with many images that a worker answers, `python -m flaskapi batches`.

`POST /predict/batch` takes one in if its caller prefers so (RFC 7240): what arrived is kept, and
nothing is acknowledged before.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, Flask, Response, current_app, json, jsonify, request, url_for
from werkzeug.http import parse_list_header

from flaskapi.contract import documents, queries
from flaskapi.contract.answers import encode_result, write_moment
from flaskapi.contract.headers import PREFER
from flaskapi.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    StoreUnavailableError,
    UnauthorizedError,
)
from flaskapi.submissions.identifiers import new_id
from flaskapi.web.access import find_bearer, key_if_required
from flaskapi.web.batch_forms import (
    BEGIN_DOCUMENT,
    FORMS,
    LINES,
    NDJSON,
    content_type,
    end_document,
)
from flaskapi.web.client import lasting_client
from flaskapi.web.cors import is_foreign_page
from flaskapi.web.described import described
from flaskapi.web.forms_of_answer import JSON, wanted_form
from flaskapi.web.items import read_again, read_items, receive_items
from flaskapi.web.payload import read_query
from flaskapi.web.request_id import HEADER, request_id
from flaskapi.web.services import services, this_request

if TYPE_CHECKING:
    from flaskapi.submissions.batches import Batch, Sender
    from flaskapi.submissions.keys import Key

blueprint = Blueprint("batches", __name__)
_ASYNC = "respond-async"
# What an answer depends on beside body and query.
_HEADERS = ("Content-Type", "Content-Encoding", "User-Agent")
_WAITS = (
    "A worker answers it, which you start on the server: .venv/bin/python -m flaskapi batches "
    "--watch."
)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


def wants_later() -> bool:
    """Does the caller prefer to be answered later? Without a store the preference is ignored, as
    RFC 7240 allows, and for pages of other origins, of which nothing is kept.
    """
    preferences = parse_list_header(request.headers.get(PREFER, ""))
    names = {one.partition(";")[0].strip().lower() for one in preferences}
    return _ASYNC in names and current_app.config["STORE"] != "off" and not is_foreign_page()


def accept(query: dict[str, str]) -> Response | None:
    """Take in a batch for a worker. Its body is received and its first image is looked for, so that
    a request which cannot be read is refused at once.

    Returns:
        202 and where to watch it; or None if the store cannot keep it, so that it must be answered
        now, from `read_again`.

    Raises:
        RateLimitedError: its sender has too much here.
        FlaskapiError: there is no image in it.
    """
    from flaskapi.submissions import batches

    size = receive_items(this_request())
    with contextlib.closing(read_items(read_again(this_request()))) as items:
        next(items, None)
    config, store, id = current_app.config, services().store, new_id()
    headers = {name: value for name in _HEADERS if (value := request.headers.get(name))}
    sent = {
        "query": query,
        "root": request.root_path,
        "headers": headers | {HEADER: request_id()},
        "keep": query.get("keep") != "false" or config["STORE"] == "required",
    }
    allowed = batches.Allowed(config["MAX_ASYNC_BATCHES"], config["MAX_ASYNC_BYTES"])
    try:
        batches.begin(store, id, sent, _sender(), size, allowed)
        batches.send(store, id, read_again(this_request()).environ["wsgi.input"])
        batches.admit(store, id)
        found = _find(id)
    except StoreUnavailableError as error:
        current_app.logger.error("a batch is answered at once, for it cannot be kept: %s", error)
        return None
    response = jsonify(_describe(found))
    response.status_code = 202
    response.headers["Location"] = url_for("batches.watch_batch", id=id)
    response.headers["Preference-Applied"] = _ASYNC
    return response


@blueprint.get("/batches/<uuid:id>")
@described(documents.BatchState)
@key_if_required
def watch_batch(id: UUID) -> dict[str, Any]:
    """How far a batch is that a worker answers."""
    read_query(request)
    return _describe(_find(id))


@blueprint.get("/batches/<uuid:id>/results")
@described(FORMS, errors=(ConflictError,))
@key_if_required
def fetch_results(id: UUID) -> Response:
    """What `POST /predict/batch` would have answered, once the batch has ended."""
    read_query(request)
    found = _find(id)
    if found.finished_at is None:
        raise ConflictError(f"The batch has not ended; it is {found.state}. Ask again later.")
    form = wanted_form(NDJSON)
    lines = _read_lines(found)
    first = next(lines, "")  # an error of the store has its own status
    write = _write_document if form == JSON else _write_lines
    return Response(write(found, form, _chain(first, lines)), content_type=content_type(form))


@blueprint.delete("/batches/<uuid:id>")
@described(None, status=204)
@key_if_required
def cancel_batch(id: UUID) -> Response:
    """Cancel a batch, or erase its results; images that were kept stay."""
    from flaskapi.submissions import batches

    read_query(request)
    batches.erase(services().store, _find(id).id)
    return Response(status=204)


def _find(id: UUID) -> "Batch":
    """The batch of an id, for its sender and for operators; one that was sent without a key is for
    whoever has the id.
    """
    from flaskapi.submissions import batches

    is_off = current_app.config["STORE"] == "off"
    found = None if is_off else batches.get(services().store, id)
    if found is not None and found.key_name is not None:
        key = find_bearer()
        if key is None or not (key.name == found.key_name or key.opens("operate")):
            found = None
    if found is None:
        raise NotFoundError(f"There is no batch with the id {id}, or it has expired.")
    return found


def _sender() -> "Sender":
    from flaskapi.submissions.batches import Sender

    key: Key | None = None
    # Where none is needed, a bad key is none.
    with contextlib.suppress(ForbiddenError, UnauthorizedError):
        key = find_bearer()
    return Sender(key.name, None) if key else Sender(None, lasting_client())


def _describe(found: "Batch") -> dict[str, Any]:
    moments = {name: getattr(found, name) for name in ("requested_at", "heard_at", "finished_at")}
    left, images = found.seconds_left, found.images
    keep = timedelta(days=current_app.config["KEEP_BATCH_DAYS"])
    is_over = found.finished_at is not None
    progress = 1.0 if images == found.answered else found.answered / images if images else None
    return {
        "id": str(found.id),
        "state": found.state,
        "images": images,
        "answered": found.answered,
        "failed": found.failed,
        "progress": None if progress is None else round(progress, 3),
        "seconds_left": None if left is None else round(left, 1),
        **{name: write_moment(moment) if moment else None for name, moment in moments.items()},
        "expires_at": write_moment((found.finished_at or found.requested_at) + keep),
        "results": url_for("batches.fetch_results", id=found.id) if is_over else None,
        **({"error": found.error} if found.error else {}),
        **({"note": _note_on_worker()} if found.state == "requested" else {}),
    }


def _note_on_worker() -> str:
    from flaskapi.submissions import batches

    outlook = batches.look(services().store, datetime.now(UTC))
    if outlook.worker_is_alive:
        return f"A worker is there; {outlook.waiting:,} batches wait for one."
    return f"No worker was heard of in the last minute. {_WAITS}"


def _read_lines(found: "Batch") -> Iterator[str]:
    """The answers, lines of JSON, many in one text."""
    from flaskapi.submissions import batches

    for piece in batches.read_pieces(services().store, found.id, batches.ANSWERED):
        yield piece.decode()


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _write_document(found: "Batch", form: str, texts: Iterator[str]) -> Iterator[str]:
    yield BEGIN_DOCUMENT
    between = ""
    for text in texts:
        yield between + ",".join(text.splitlines())
        between = ","
    error = f',"error":{encode_result(found.error)}' if found.error else ""
    yield end_document(found.answered - found.failed, found.failed, error)


def _write_lines(found: "Batch", form: str, texts: Iterator[str]) -> Iterator[str]:
    route = queries.read_route(found.request["query"])
    head, to_line = LINES[form](route)
    yield head
    for text in texts:
        lines = text.splitlines()
        yield text if form == NDJSON else "".join(to_line(json.loads(line)) for line in lines)
    if found.error:
        yield to_line({"error": found.error})
