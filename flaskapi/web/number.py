"""`POST /predict/number`: the digits of a larger image, in reading order."""

import re
from typing import Any

from flask import Blueprint, Flask, current_app, request

from flaskapi.errors import InvalidRequestError
from flaskapi.numbers import predict_number
from flaskapi.web.payload import read_image
from flaskapi.web.services import services

blueprint = Blueprint("number", __name__)

LONGEST = 64  # digits of a pattern
MOST_ALTERNATIVES = 20


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict/number")
def number() -> dict[str, Any]:
    """Read the number in the image that was sent."""
    pattern, alternatives = _read_pattern(), _read_whole("alternatives", MOST_ALTERNATIVES) or 0
    upload = read_image(request)
    prediction = predict_number(
        upload.data,
        services().classifier,
        services().detector,
        max_pixels=current_app.config["MAX_IMAGE_PIXELS"],
        uncertain_below=current_app.config["UNCERTAIN_BELOW"],
        pattern=pattern,
        alternatives=alternatives,
    )
    services().metrics.count_number(prediction)
    answer = prediction._asdict()
    answer["digits"] = [digit._asdict() | {"box": digit.box._asdict()} for digit in prediction.digits]
    others = answer.pop("alternatives")
    if "alternatives" in request.args:
        answer["alternatives"] = [other._asdict() for other in others]
    return answer


def _read_pattern() -> str | None:
    """What the query says of the number: its `length`, or a `pattern` such as `05dddddddd`."""
    length, pattern = _read_whole("length", LONGEST), request.args.get("pattern")
    if pattern is None:
        return "d" * length if length else None
    if not re.fullmatch(r"[0-9d]+", pattern, re.ASCII) or len(pattern) > LONGEST:
        raise InvalidRequestError(
            f"The query's 'pattern' is {pattern!r}; it must be 1 to {LONGEST} signs, each a digit, or d for any, as in 05dddddddd."
        )
    if length not in (None, len(pattern)):
        raise InvalidRequestError(f"The query's 'length' is {length}, but its 'pattern' has {len(pattern)} signs.")
    return pattern


def _read_whole(name: str, most: int) -> int | None:
    """A whole number of the query, 1 to `most`; None where it is not given."""
    text = request.args.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise InvalidRequestError(f"The query's '{name}' is {text!r}; it must be a whole number from 1 to {most}.")
    return int(text)
