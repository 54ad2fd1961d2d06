"""`POST /predict`: one digit."""

from functools import partial
from typing import Any, cast

from flask import Blueprint, Flask, Response

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.answers import add_id
from flaskapi.contract.headers import UPLOAD
from flaskapi.contract.keeping import Kept
from flaskapi.contract.problems import PICTURE_ERRORS
from flaskapi.digits.encode import data_url, encode_png
from flaskapi.errors import IdempotencyKeyReusedError
from flaskapi.reading.predictions import Prediction
from flaskapi.web.access import key_if_required
from flaskapi.web.described import described
from flaskapi.web.forms_of_answer import forms_of, give_answer
from flaskapi.web.gate import gate, receive
from flaskapi.web.idempotency import find_idempotency
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_image, read_query, tell_pages
from flaskapi.web.picture import draw_digit
from flaskapi.web.record import record_once
from flaskapi.web.services import services, this_request

blueprint = Blueprint("predict", __name__)

SEVERAL = "There seem to be several digits. /predict/number reads numbers."


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict")
@described(
    forms_of(documents.DIGIT_ANSWER),
    query=queries.DIGIT,
    body=bodies.IMAGE,
    errors=(*PICTURE_ERRORS, IdempotencyKeyReusedError),
    request_headers=UPLOAD,
)
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def predict() -> dict[str, Any] | Response:
    """Read the digit in an image."""
    request, own = this_request(), services()
    query = read_query(request, queries.DIGIT)
    include, idempotency = query.get("include"), find_idempotency(request)
    size = receive(request)
    with own.store.expect():
        with gate().computing(size):
            upload = read_image(request)
            prediction, normalized = own.reader.digit(upload.data)
            pages = tell_pages(upload.data)
        own.metrics.count_prediction(prediction)
        kept = [Kept(upload.data, prediction, normalized)]
        ((known, identifier),) = record_once(kept, idempotency, keep=query.get("keep") != "false")
    prediction = cast(Prediction, known)
    answer = add_id(prediction._asdict(), identifier) | pages
    if prediction.uncertain and "several" in normalized.noticed:
        answer["hint"] = SEVERAL
    if include == "normalized":
        answer |= {
            "normalized": data_url(encode_png(normalized.pixels)),
            "noticed": list(normalized.noticed),
        }
    draw = partial(draw_digit, upload.data, prediction) if include == "picture" else None
    return give_answer(answer, "digit", upload.filename, draw)
