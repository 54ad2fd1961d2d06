"""`?include=picture`: the picture that was sent, upright and grey, with what was found in it."""

from flask import current_app

from flaskapi.digits import Box, Image
from flaskapi.digits.decode import decode_image, read_layout
from flaskapi.digits.draw import Found, draw_found
from flaskapi.digits.ink import find_ink
from flaskapi.numbers import NumberPrediction
from flaskapi.recognition import DECODED_SIDE_PX, Prediction, look_at
from flaskapi.web.forms_of_answer import JPEG

_SUFFIXES = {JPEG: ".jpg"}


def draw_digit(image: bytes, prediction: Prediction, form: str) -> bytes:
    """Draw the box of the one digit in an image file that was read.

    Args:
        form: the media type of the result, a PNG's or a JPEG's.
    """

    def see(view: Image, is_stored: bool) -> tuple[Image, Box]:
        return view, find_ink(view).box

    limit = current_app.config["MAX_IMAGE_PIXELS"]
    (view, box), *_ = look_at(image, see, max_pixels=limit)
    return _draw(view, [Found(prediction.digit, prediction.confidence, box)], form)


def draw_number(image: bytes, prediction: NumberPrediction, form: str) -> bytes:
    """Draw the boxes of a number's digits in an image file that was read; see `draw_digit`."""
    limit = current_app.config["MAX_IMAGE_PIXELS"]
    view, *_ = decode_image(image, max_pixels=limit, max_side_px=DECODED_SIDE_PX)
    layout = read_layout(image)
    scale = max(view.shape) / max(layout.width, layout.height)
    return _draw(
        view,
        [
            Found(digit.digit, digit.confidence, Box(*(round(scale * side) for side in digit.box)))
            for digit in prediction.digits
        ],
        form,
    )


def _draw(view: Image, found: list[Found], form: str) -> bytes:
    below = current_app.config["UNCERTAIN_BELOW"]
    return draw_found(view, found, uncertain_below=below, suffix=_SUFFIXES.get(form, ".png"))
