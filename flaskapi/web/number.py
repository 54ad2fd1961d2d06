"""`POST /predict/number`: the digits of a larger image, in reading order."""

from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from flaskapi.digits.readings import ANY
from flaskapi.errors import InvalidRequestError
from flaskapi.numbers import NumberPrediction, predict_number
from flaskapi.web.access import key_if_required
from flaskapi.web.forms_of_answer import give_answer
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_image, read_query
from flaskapi.web.picture import draw_number
from flaskapi.web.record import Kept, add_id, record
from flaskapi.web.services import services

blueprint = Blueprint("number", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict/number")
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def number() -> dict[str, Any] | Response:
    """Read the number in the image that was sent."""
    query = read_query(
        request,
        length=("[1-9]|[1-5][0-9]|6[0-4]", "a whole number from 1 to 64"),
        pattern=("[0-9d]{1,64}", "1 to 64 signs, each a digit, or d for any, as in 05dddddddd"),
        alternatives=("[1-9]|1[0-9]|20", "a whole number from 1 to 20"),
        include=("picture", "'picture'"),
    )
    pattern = _pattern(query)
    upload = read_image(request)
    prediction = predict_number(
        upload.data,
        services().classifier,
        services().detector,
        max_pixels=current_app.config["MAX_IMAGE_PIXELS"],
        uncertain_below=current_app.config["UNCERTAIN_BELOW"],
        pattern=pattern,
        alternatives=int(query.get("alternatives", 0)),
    )
    services().metrics.count_number(prediction)
    (identifier,) = record([Kept(upload.data, prediction)])
    answer = add_id(as_answer(prediction, alternatives="alternatives" in query), identifier)
    draw = partial(draw_number, upload.data, prediction) if "include" in query else None
    return give_answer(answer, "number", upload.filename, draw)


def as_answer(prediction: NumberPrediction, *, alternatives: bool = False) -> dict[str, Any]:
    """What is answered to a number, its other readings where they were asked for."""
    answer = prediction._asdict()
    answer["digits"] = [
        digit._asdict() | {"box": digit.box._asdict()} for digit in prediction.digits
    ]
    others = answer.pop("alternatives")
    return (
        answer | {"alternatives": [other._asdict() for other in others]} if alternatives else answer
    )


def _pattern(query: dict[str, str]) -> str | None:
    """What the caller knows of the number, as a pattern; a bare length is one of any digits."""
    pattern, length = query.get("pattern"), query.get("length")
    if pattern is None:
        return ANY * int(length) if length else None
    if length and int(length) != len(pattern):
        raise InvalidRequestError(
            f"The query's 'length' is {length}, but its 'pattern' has {len(pattern)} signs."
        )
    return pattern
