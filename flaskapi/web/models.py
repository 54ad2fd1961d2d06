"""`/models`: list the versions, promote one, roll back, start and end a shadow; for operators.

Nothing here compiles or trains: commands on the server do what takes longer than a request may.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, request, url_for

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.answers import write_moment
from flaskapi.errors import (
    ConflictError,
    InvalidRequestError,
    ModelUnavailableError,
    NotFoundError,
    VersionError,
)
from flaskapi.web.access import operator_name, operators_only
from flaskapi.web.described import described
from flaskapi.web.payload import as_whole, read_document, read_query
from flaskapi.web.services import services
from flaskapi.web.submissions import (
    describe_row,
    read_cursor,
    write_cursor,
)

if TYPE_CHECKING:
    from flaskapi.versions.overview import VersionOverview
    from flaskapi.versions.pointer import Pointer

blueprint = Blueprint("models", __name__)
USUAL = 20  # versions on one page: the card of each takes some milliseconds
_SHARE = 0.1
_UNREADABLE = (NotFoundError, ModelUnavailableError)
_CHANGES = (ConflictError,)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/models")
@described(documents.MODEL_LIST, query=queries.MODELS, errors=_UNREADABLE)
@operators_only
def list_models() -> dict[str, Any]:
    """The serving version, the one that a rollback would restore, the shadow, and a page of the
    versions, newest first. The first page begins with the file of MODEL_PATH.
    """
    # Not at the top: it loads ONNX Runtime, which a request for settings does not need.
    from flaskapi.versions.overview import describe_version

    query = read_query(request, queries.MODELS)
    limit, before = int(query.get("limit", USUAL)), query.get("before")
    registry, pointer = services().registry, _read_pointer()
    versions = registry.versions()[::-1]
    if before is not None:
        names = [version.name for version in versions]
        if before not in names:
            raise NotFoundError(f"The version {before} no longer exists; begin at the first page.")
        versions = versions[names.index(before) + 1 :]
    page = versions[:limit]
    listed = [None, *page] if before is None else page
    following = None
    if len(versions) > limit:
        following_query = urlencode(query | {"before": page[-1].name})
        following = f"{url_for('.list_models')}?{following_query}"
    return _describe_pointer(pointer) | {
        "processes": services().models.processes(),
        "models": [_describe(describe_version(registry, pointer, one)) for one in listed],
        "next": following,
    }


@blueprint.put("/models/serving")
@described(documents.PointerAnswer, body=bodies.PROMOTION, errors=(NotFoundError, *_CHANGES))
@operators_only
def promote() -> dict[str, Any]:
    """Promote a registered version, after it was loaded and tested."""
    from flaskapi.versions.pointer import MODEL_FILE

    read_query(request)
    name = _read_version(_read_object({"version"}))
    if name == MODEL_FILE:
        raise ConflictError(
            "The file of MODEL_PATH must first become a version, which takes longer than a request "
            "may. Run on the server: .venv/bin/python -m flaskapi models promote MODEL_PATH"
        )
    with _changing(f"promote {name}"):
        return _describe_pointer(services().registry.promote(name, operator_name() or "operator"))


@blueprint.post("/models/rollback")
@described(documents.PointerAnswer, body=bodies.ROLLBACK, errors=_CHANGES)
@operators_only
def roll_back() -> dict[str, Any]:
    """Let the previous version serve again. If the request names a generation, nothing changes
    unless that generation serves.
    """
    read_query(request)
    body = _read_object({"generation"}) if request.get_data() else {}
    generation = as_whole(body.get("generation"))
    if generation is not None and (type(generation) is not int or generation < 0):
        raise InvalidRequestError("'generation' must be a whole number.")
    with _changing("rollback"):
        return _describe_pointer(
            services().registry.roll_back(operator_name() or "operator", instead_of=generation)
        )


@blueprint.put("/models/shadow")
@described(documents.PointerAnswer, body=bodies.SHADOW, errors=(NotFoundError, *_CHANGES))
@operators_only
def begin_shadow() -> dict[str, Any]:
    """Let a version answer beside the serving one, for a share of the digits."""
    read_query(request)
    body = _read_object({"version", "share"})
    name, share = _read_version(body), body.get("share", _SHARE)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise InvalidRequestError("'share' must be a number above 0, and at most 1.")
    with _changing(f"shadow {name}"):
        return _describe_pointer(services().registry.set_shadow(name, share))


@blueprint.delete("/models/shadow")
@described(documents.PointerAnswer, errors=_CHANGES)
@operators_only
def end_shadow() -> dict[str, Any]:
    """End the shadow."""
    read_query(request)
    with _changing("shadow off"):
        return _describe_pointer(services().registry.set_shadow(None))


@blueprint.get("/models/<name>/disagreements")
@described(documents.DisagreementList, query=queries.DISAGREEMENTS)
@operators_only
def list_disagreements(name: str) -> dict[str, Any]:
    """A page of the digits on which a shadow version disagreed, newest first."""
    from flaskapi.submissions.shadows import find_disagreements

    query = read_query(request, queries.DISAGREEMENTS)
    page = find_disagreements(
        services().store,
        name,
        int(query.get("limit", USUAL)),
        read_cursor(query.get("cursor")),
    )
    following = None
    if page.last is not None:
        following_query = urlencode(query | {"cursor": write_cursor(page.last)})
        following = f"{url_for('.list_disagreements', name=name)}?{following_query}"
    rows = [
        describe_row(row)
        | {
            "shadow": {
                "digit": int(row["shadow_digit"]),
                "confidence": row["shadow_confidence"],
            }
        }
        for row in page.rows
    ]
    return {"submissions": rows, "next": following}


def _read_pointer() -> "Pointer":
    try:
        return services().registry.read()
    except VersionError as error:
        raise ModelUnavailableError(str(error)) from error


def _describe_pointer(pointer: "Pointer") -> dict[str, Any]:
    targets = services().registry.targets(pointer)
    return {
        "serving": {
            "version": pointer.version,
            "generation": pointer.generation,
            "since": pointer.changed_at or None,
            "by": pointer.by or None,
        },
        "rollback": targets[0].version if targets else None,
        "shadow": pointer.shadow._asdict() if pointer.shadow else None,
    }


def _describe(one: "VersionOverview") -> dict[str, Any]:
    registered_at = (
        write_moment(datetime.fromtimestamp(one.registered_s, UTC)) if one.registered_s else None
    )
    return {
        "name": one.name,
        "version": one.card.get("version"),
        "registered_at": registered_at,
        "learned_from": one.learned,
        "serves": one.serves,
        "broken": one.broke,
        "unavailable": one.trouble,
        "figures": one.figures,
    }


def _read_object(fields: set[str]) -> dict[str, Any]:
    body = read_document(request)
    named = " and ".join(map(repr, sorted(fields)))
    if not isinstance(body, dict):
        raise InvalidRequestError(f"The JSON is not an object; it can have {named}.")
    if unknown := set(body) - fields:
        raise InvalidRequestError(f"{min(unknown)!r} is unknown; the JSON can have {named}.")
    return body


def _read_version(body: dict[str, Any]) -> str:
    """The version that a request names.

    Raises:
        InvalidRequestError: the request names none.
        NotFoundError: no version has this name.
    """
    from flaskapi.versions.pointer import MODEL_FILE

    name = body.get("version")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError("'version' must be the name of a version, as GET /models has it.")
    if name == MODEL_FILE:
        return name
    try:
        return services().registry.get(name).name
    except VersionError as error:
        raise NotFoundError(str(error)) from error


@contextlib.contextmanager
def _changing(command: str) -> Iterator[None]:
    """Around a change of the pointer: translate its errors for callers.

    Raises:
        ConflictError: the change is not possible; if this process may not write the pointer, the
            text names the command that does.
    """
    try:
        yield
    except (VersionError, ModelUnavailableError) as error:
        raise ConflictError(str(error)) from error
    except OSError as error:
        raise ConflictError(
            f"This process cannot write the pointer: {error.strerror}. Run on the server, as the "
            f"owner of the versions' folder: .venv/bin/python -m flaskapi models {command}"
        ) from error
