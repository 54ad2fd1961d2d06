"""`?include=picture`: the picture that was sent, upright and grey, with the boxes of its digits."""

from flask import current_app

from flaskapi.digits import Box, Image
from flaskapi.digits.decode import decode_image
from flaskapi.digits.draw import FoundBox, draw_found
from flaskapi.digits.ink import find_ink
from flaskapi.errors import NoDigitFoundError
from flaskapi.reading.predictions import NumberPrediction, Prediction
from flaskapi.reading.views import DECODED_SIDE_PX, find_views
from flaskapi.web.forms_of_answer import JPEG
from flaskapi.web.gate import gate

_SUFFIXES = {JPEG: ".jpg"}


def draw_digit(image: bytes, prediction: Prediction, form: str) -> bytes:
    """Draw the box of the digit in an image file that was read.

    Args:
        form: the media type of the result, PNG or JPEG.
    """
    with gate().computing(len(image)):
        view, box = _find_digit(image)
    return _draw(view, [FoundBox(prediction.digit, prediction.confidence, box)], form)


def _find_digit(image: bytes) -> tuple[Image, Box]:
    """Give the first view of a picture in which there is ink, and the box of the ink."""
    for views in find_views(image, current_app.config["MAX_IMAGE_PIXELS"]):
        for view in views:
            try:
                return view.pixels, find_ink(view.pixels).box
            except NoDigitFoundError as error:
                missing = error
    raise missing


def draw_number(image: bytes, prediction: NumberPrediction, form: str) -> bytes:
    """Draw the boxes of a number's digits in an image file that was read; see `draw_digit`."""
    limit = current_app.config["MAX_IMAGE_PIXELS"]
    with gate().computing(len(image)):
        decoded = decode_image(image, max_pixels=limit, max_side_px=DECODED_SIDE_PX)
    view, layout = decoded.views[0], decoded.layout
    scale = max(view.shape) / max(layout.width, layout.height)
    return _draw(
        view,
        [
            FoundBox(
                digit.digit, digit.confidence, Box(*(round(scale * side) for side in digit.box))
            )
            for digit in prediction.digits
        ],
        form,
    )


def _draw(view: Image, found: list[FoundBox], form: str) -> bytes:
    below = current_app.config["UNCERTAIN_BELOW"]
    return draw_found(view, found, uncertain_below=below, suffix=_SUFFIXES.get(form, ".png"))
