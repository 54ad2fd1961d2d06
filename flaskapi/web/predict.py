"""`POST /predict`: one digit."""

from typing import Any

from flask import Blueprint, Flask, request

from flaskapi.contract.answers import add_id
from flaskapi.contract.keeping import Kept
from flaskapi.digits.encode import data_url, encode_png
from flaskapi.web.access import key_if_required
from flaskapi.web.gate import gate, receive
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import KEEP, read_image, read_query
from flaskapi.web.record import record
from flaskapi.web.services import services

blueprint = Blueprint("predict", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict")
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def predict() -> dict[str, Any]:
    """Read the one digit in the image that was sent; with `?include=normalized`, show what the
    network saw of it, and with `?keep=false`, keep nothing.
    """
    query = read_query(request, include=("normalized", "'normalized'"), keep=KEEP)
    receive(request)
    with services().store.expect():
        with gate().computing():
            upload = read_image(request)
            prediction, normalized = services().reader.digit(upload.data)
        services().metrics.count_prediction(prediction)
        (identifier,) = record(
            [Kept(upload.data, prediction, normalized)], keep=query.get("keep") != "false"
        )
    answer = add_id(prediction._asdict(), identifier)
    if "include" in query:
        answer |= {
            "normalized": data_url(encode_png(normalized.pixels)),
            "noticed": list(normalized.noticed),
        }
    return answer
