"""`PUT` and `DELETE /submissions/{id}/label`: what an image really shows, by whoever has the id, or
by an operator.
"""

import re
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, current_app, request

from flaskapi.errors import InvalidRequestError, NotFoundError
from flaskapi.labels import NONE
from flaskapi.web.access import labeller_name, sender_or_label
from flaskapi.web.client import lasting_client
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_document, read_query
from flaskapi.web.services import services

blueprint = Blueprint("labels", __name__)
MOST_DIGITS, MOST_SIGNS = 256, 200  # of a number, of a reason
_WAYS = (
    'Send JSON: {"digit": 9}, {"number": "5550123"}, '
    'or {"digit": null, "reason": "a letter"} where there is none.'
)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.put("/submissions/<uuid:id>/label")
@limited_by("LABEL_RATE_LIMIT")
@sender_or_label
def put_label(id: UUID) -> dict[str, Any]:
    """Say what a submission really is."""
    operator = labeller_name()
    if not request.is_json:
        raise InvalidRequestError(
            f"The request's type, {request.mimetype or 'none'}, is not application/json. {_WAYS}"
        )
    read_query(request)
    return say_label(id, operator, *read_label(read_document(request)))


@blueprint.delete("/submissions/<uuid:id>/label")
@limited_by("LABEL_RATE_LIMIT")
@sender_or_label
def delete_label(id: UUID) -> dict[str, Any]:
    """Take back what was said of a submission."""
    operator = labeller_name()
    read_query(request)
    return say_label(id, operator, None, None, None)


def read_label(document: Any) -> tuple[str, str, str | None]:
    """Read a label: what it is, the field that it came in, `digit` or `number`, and the reason why
    there is none, if one is given.

    Raises:
        InvalidRequestError: it is none; the text names the field.
    """
    if not isinstance(document, dict):
        raise InvalidRequestError(f"The JSON is no object. {_WAYS}")
    if unknown := sorted(set(document) - {"digit", "number", "reason"}):
        raise InvalidRequestError(f"The field {unknown[0]!r} is unknown. {_WAYS}")
    if ("digit" in document) == ("number" in document):
        raise InvalidRequestError(f"There must be one of the fields 'digit' and 'number'. {_WAYS}")
    field = "digit" if "digit" in document else "number"
    value, reason = document[field], document.get("reason")
    if value is None:
        if reason is not None and not (
            isinstance(reason, str) and 0 < len(reason) <= MOST_SIGNS and reason.isprintable()
        ):
            raise InvalidRequestError(
                f"The field 'reason' can be a line of 1 to {MOST_SIGNS} signs, or be left out."
            )
        return NONE, field, reason
    if "reason" in document:
        raise InvalidRequestError(
            f"The field 'reason' says why there is no {field}; beside one it has no place."
        )
    if field == "digit":
        if type(value) is not int or not 0 <= value <= 9:  # `true` is an int as well
            raise InvalidRequestError(
                f"The field 'digit' must be a whole number from 0 to 9, or null where there is "
                f"none. {_WAYS}"
            )
    elif not isinstance(value, str) or not re.fullmatch(rf"[0-9]{{1,{MOST_DIGITS}}}", value):
        raise InvalidRequestError(
            f"The field 'number' must be text of 1 to {MOST_DIGITS} digits, or null where there is "
            f"none. {_WAYS}"
        )
    return str(value), field, None


def say_label(
    id: UUID, operator: str | None, label: str | None, field: str | None, reason: str | None
) -> dict[str, Any]:
    """Keep what an operator or, where none is named, a sender says; see `submissions.labels.say`.

    Raises:
        NotFoundError: nothing is kept here, or nothing of this id.
        FlaskapiError: what `say` raises.
    """
    # Not at the top: who keeps nothing has no need of a database's libraries.
    from flaskapi.submissions.labels import Said, say

    if current_app.config["STORE"] == "off":
        raise NotFoundError(
            "Nothing is kept here (the setting STORE is off), so that there is nothing to label."
        )
    if operator:
        said = Said(label, "operator", field, reason, key_name=operator)
    else:
        said = Said(label, "sender", field, reason, client=lasting_client())
    in_force = say(services().store, id, said)
    answer = {"id": str(id), "label": in_force.label, "label_source": in_force.source}
    if said.source == "sender" and in_force.source == "operator":
        done = "What senders said is taken back; " if label is None else "Whatever a sender says, "
        answer["note"] = f"{done}an operator's label stands: it outweighs a sender's."
    return answer
