"""`POST /predict/number`: the digits of a larger image, in reading order."""

from functools import partial
from typing import Any, cast

from flask import Blueprint, Flask, Response

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.answers import add_id, as_number_answer
from flaskapi.contract.headers import UPLOAD
from flaskapi.contract.keeping import Kept
from flaskapi.contract.problems import PICTURE_ERRORS
from flaskapi.errors import IdempotencyKeyReusedError
from flaskapi.reading.checks import Check
from flaskapi.reading.predictions import NumberPrediction
from flaskapi.web.access import key_if_required
from flaskapi.web.described import described
from flaskapi.web.forms_of_answer import forms_of, give_answer
from flaskapi.web.gate import gate, receive
from flaskapi.web.idempotency import find_idempotency
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_image, read_query, tell_pages
from flaskapi.web.picture import draw_number
from flaskapi.web.record import record_once
from flaskapi.web.services import services, this_request

blueprint = Blueprint("number", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict/number")
@described(
    forms_of(documents.NUMBER_ANSWER),
    query=queries.NUMBER,
    body=bodies.IMAGE,
    errors=(*PICTURE_ERRORS, IdempotencyKeyReusedError),
    request_headers=UPLOAD,
)
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def number() -> dict[str, Any] | Response:
    """Read the number in the image that was sent."""
    request, own = this_request(), services()
    query = read_query(request, queries.NUMBER)
    idempotency = find_idempotency(request)
    size = receive(request)
    with gate().computing(size):
        upload = read_image(request)
        prediction = own.reader.number(
            upload.data,
            pattern=query.get("pattern"),
            length=int(query["length"]) if "length" in query else None,
            alternatives=int(query.get("alternatives", 0)),
            check=cast(Check | None, query.get("check")),
        )
        pages = tell_pages(upload.data)
    own.metrics.count_number(prediction)
    kept = [Kept(upload.data, prediction)]
    ((known, identifier),) = record_once(kept, idempotency, keep=query.get("keep") != "false")
    prediction = cast(NumberPrediction, known)
    answer = add_id(as_number_answer(prediction, alternatives="alternatives" in query), identifier)
    draw = partial(draw_number, upload.data, prediction) if "include" in query else None
    return give_answer(answer | pages, "number", upload.filename, draw)
