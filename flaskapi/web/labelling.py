"""`/labels`: operators label many submissions at once, and see how many are left."""

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
    """Count the labelled digits, and the uncertain submissions without a label."""
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions.labels import count_progress

    read_query(request)
    return count_progress(services().store)._asdict()


@blueprint.post("/labels")
@described(documents.LabelResults, body=bodies.LABELS)
@needs_scope("label")
def post_labels() -> dict[str, Any]:
    """Label many submissions. A label that fails does not affect the others."""
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
            f"There are {len(found):,} labels; send at most {MOST_LABELS} together."
        )
    return found


def _read(number: int, document: Any, operator: str | None) -> "tuple[UUID, Said]":
    """Read one label of many.

    Raises:
        InvalidRequestError: it is not a label; the text says which one.
    """
    from flaskapi.submissions.labels import Said

    try:
        if not isinstance(document, dict):
            raise InvalidRequestError(f"The JSON is not an object. {_WAY}")
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
