"""`PUT` and `DELETE /submissions/{id}/label`: a caller who has the id, or an operator, labels an
image with what it shows.
"""

import re
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, current_app, request

from flaskapi.contract import bodies, documents
from flaskapi.contract.bodies import MOST_DIGITS, MOST_SIGNS, NUMBER_FORM
from flaskapi.errors import InvalidRequestError, NotFoundError
from flaskapi.labels import NONE
from flaskapi.web.access import labeller_name, sender_or_label
from flaskapi.web.client import lasting_client
from flaskapi.web.described import described
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import as_whole, read_document, read_query
from flaskapi.web.services import services

blueprint = Blueprint("labels", __name__)
_WAYS = (
    'Send JSON: {"digit": 9}, {"number": "5550123"}, '
    'or {"digit": null, "reason": "a letter"} if the image shows none.'
)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.put("/submissions/<uuid:id>/label")
@described(documents.LabelInForce, body=bodies.LABEL)
@limited_by("LABEL_RATE_LIMIT")
@sender_or_label
def put_label(id: UUID) -> dict[str, Any]:
    """Label a submission with what it shows."""
    operator = labeller_name()
    if not request.is_json:
        raise InvalidRequestError(
            f"The request's type, {request.mimetype or 'none'}, is not application/json. {_WAYS}"
        )
    read_query(request)
    return say_label(id, operator, *read_label(read_document(request)))


@blueprint.delete("/submissions/<uuid:id>/label")
@described(documents.LabelInForce)
@limited_by("LABEL_RATE_LIMIT")
@sender_or_label
def delete_label(id: UUID) -> dict[str, Any]:
    """Withdraw the labels of a submission."""
    operator = labeller_name()
    read_query(request)
    return say_label(id, operator, None, None, None)


def read_label(document: Any) -> tuple[str, str, str | None]:
    """Read a label: its value, the name of its field, `digit` or `number`, and the reason why
    there is none, if given.

    Raises:
        InvalidRequestError: it is not a label; the text names the field.
    """
    if not isinstance(document, dict):
        raise InvalidRequestError(f"The JSON is not an object. {_WAYS}")
    if unknown := sorted(set(document) - {"digit", "number", "reason"}):
        raise InvalidRequestError(f"The field {unknown[0]!r} is unknown. {_WAYS}")
    if ("digit" in document) == ("number" in document):
        raise InvalidRequestError(f"Send one of the fields 'digit' and 'number'. {_WAYS}")
    field = "digit" if "digit" in document else "number"
    value, reason = document[field], document.get("reason")
    if value is None:
        if reason is not None and not (
            isinstance(reason, str) and 0 < len(reason) <= MOST_SIGNS and reason.isprintable()
        ):
            raise InvalidRequestError(
                f"The field 'reason' must be a line of 1 to {MOST_SIGNS} characters, or be omitted."
            )
        return NONE, field, reason
    if "reason" in document:
        raise InvalidRequestError(
            f"The field 'reason' says why there is no {field}; it cannot stand beside a {field}."
        )
    if field == "digit":
        value = as_whole(value)
        if type(value) is not int or not 0 <= value <= 9:  # `true` is an int as well
            raise InvalidRequestError(
                f"The field 'digit' must be a whole number from 0 to 9, or null if the image shows "
                f"none. {_WAYS}"
            )
    elif not isinstance(value, str) or not re.fullmatch(NUMBER_FORM, value):
        raise InvalidRequestError(
            f"The field 'number' must be text of 1 to {MOST_DIGITS} digits, or null if the image "
            f"shows none. {_WAYS}"
        )
    return str(value), field, None


def say_label(
    id: UUID, operator: str | None, label: str | None, field: str | None, reason: str | None
) -> dict[str, Any]:
    """Keep the label of an operator or, where none is named, of a sender; see
    `submissions.labels.say`.

    Raises:
        NotFoundError: nothing is kept here, or nothing of this id.
        FlaskapiError: what `say` raises.
    """
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions.labels import Said, say

    if current_app.config["STORE"] == "off":
        raise NotFoundError(
            "This service keeps nothing (the setting STORE is off), so there is nothing to label."
        )
    if operator:
        said = Said(label, "operator", field, reason, key_name=operator)
    else:
        said = Said(label, "sender", field, reason, client=lasting_client())
    in_force = say(services().store, id, said)
    answer = {"id": str(id), "label": in_force.label, "label_source": in_force.source}
    if said.source == "sender" and in_force.source == "operator":
        done = "The senders' labels are withdrawn. " if label is None else ""
        answer["note"] = f"{done}An operator's label outweighs a sender's and stays in force."
    return answer
