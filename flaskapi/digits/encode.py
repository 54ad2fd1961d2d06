"""Pixels to a file that a browser shows."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from flaskapi.digits import Digit, Image


def encode_png(pixels: Image | Digit) -> bytes:
    """Encode `uint8 (height, width)`, or `float32 (height, width)` in [0, 1], as a grey PNG."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def data_url(png: bytes) -> str:
    """Write a PNG as a `data:` URL (RFC 2397)."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def contact_sheet(pictures: Sequence[tuple[bytes, str]], *, columns: int = 10) -> bytes:
    """Lay out grey 28x28 PNGs, light ink on dark, twice as large and dark on light, in rows, each with its caption below."""
    width, height = 72, 84
    sheet = np.full((-(-len(pictures) // columns) * height, columns * width), 255, np.uint8)
    for place, (png, caption) in enumerate(pictures):
        x, y = place % columns * width + 8, place // columns * height + 4
        pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
        sheet[y : y + 56, x : x + 56] = 255 - cv2.resize(pixels, (56, 56), interpolation=cv2.INTER_NEAREST)
        cv2.putText(sheet, caption, (x + 6, y + 72), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1, cv2.LINE_AA)
    return encode_png(sheet)
