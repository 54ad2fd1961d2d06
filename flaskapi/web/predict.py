"""`POST /predict`: one digit."""

from typing import Any

from flask import Blueprint, Flask, current_app, request

from flaskapi.recognition import predict_digit
from flaskapi.web.payload import read_image
from flaskapi.web.services import services

blueprint = Blueprint("predict", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict")
def predict() -> dict[str, Any]:
    """Read the one digit in the image that was sent."""
    upload = read_image(request)
    limits = {"max_pixels": current_app.config["MAX_IMAGE_PIXELS"], "uncertain_below": current_app.config["UNCERTAIN_BELOW"]}
    prediction = predict_digit(upload.data, services().classifier, **limits)
    services().metrics.count_prediction(prediction)
    return prediction._asdict()
