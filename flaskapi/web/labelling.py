"""`/labels`: what operators say of many submissions at once, and how far they are."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, Flask, request

from flaskapi.contract import bodies, documents
from flaskapi.contract.bodies import MOST_LABELS
from flaskapi.errors import FlaskapiError, InvalidRequestError
from flaskapi.web.access import labeller_name, needs_scope
from flaskapi.web.described import described
from flaskapi.web.errors import describe
from flaskapi.web.labels import read_label
from flaskapi.web.payload import read_document, read_query
from flaskapi.web.services import services

if TYPE_CHECKING:
    from flaskapi.submissions.labels import Said

blueprint = Blueprint("labelling", __name__)
_WAY = 'Send JSON: {"labels": [{"id": "…", "digit": 9}, {"id": "…", "withdraw": true}]}.'


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/labels")
@described(documents.LabelProgress)
@needs_scope("label")
def show_progress() -> dict[str, Any]:
    """Say how many digits are labelled, and how many uncertain submissions have no label."""
    # Not at the top: who keeps nothing has no need of a database's libraries.
    from flaskapi.submissions.labels import count_progress

    read_query(request)
    return count_progress(services().store)._asdict()


@blueprint.post("/labels")
@described(documents.LabelResults, body=bodies.LABELS)
@needs_scope("label")
def post_labels() -> dict[str, Any]:
    """Say what many submissions really are. A label that fails does not stop the others."""
    from flaskapi.submissions.labels import say_many

    read_query(request)
    name = labeller_name()
    statements = [_read(number, one, name) for number, one in enumerate(_read_list())]
    outcomes = say_many(services().store, statements)
    results = [
        {"id": str(id)}
        | ({"error": describe(one)} if isinstance(one, FlaskapiError) else one._asdict())
        for (id, _), one in zip(statements, outcomes, strict=True)
    ]
    failed = sum("error" in result for result in results)
    return {
        "results": [
            {"label_source" if key == "source" else key: value for key, value in result.items()}
            for result in results
        ],
        "succeeded": len(results) - failed,
        "failed": failed,
    }


def _read_list() -> list[Any]:
    document = read_document(request)
    found = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(found, list) or not found or set(document) != {"labels"}:
        raise InvalidRequestError(f"The JSON has no list 'labels'. {_WAY}")
    if len(found) > MOST_LABELS:
        raise InvalidRequestError(
            f"There are {len(found):,} labels; at most {MOST_LABELS} go together."
        )
    return found


def _read(number: int, document: Any, operator: str | None) -> "tuple[UUID, Said]":
    """Read one label of many.

    Raises:
        InvalidRequestError: it is none; the text tells which one.
    """
    from flaskapi.submissions.labels import Said

    try:
        if not isinstance(document, dict):
            raise InvalidRequestError(f"The JSON is no object. {_WAY}")
        rest = dict(document)
        try:
            id = UUID(rest.pop("id", None))
        except (TypeError, ValueError, AttributeError):
            raise InvalidRequestError(f"The field 'id' must be a submission's. {_WAY}") from None
        if rest == {"withdraw": True}:
            return id, Said(None, "operator", key_name=operator)
        label, field, reason = read_label(rest)
        return id, Said(label, "operator", field, reason, key_name=operator)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"labels[{number}]: {error}") from None
