"""Encode pixels as a file that a browser can show."""

import base64
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from flaskapi.digits import Digit, Image


def encode_png(pixels: Image | Digit) -> bytes:
    """Encode `uint8 (height, width)`, or `float32 (height, width)` in [0, 1], as a grey PNG."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def to_bytes(digit: Digit) -> bytes:
    """Write `float32 (28, 28)` in [0, 1] as 784 bytes, row by row, 255 the ink.

    >>> to_bytes(np.linspace(0, 1, 784, dtype=np.float32).reshape(28, 28))[-3:]
    b'\\xfe\\xff\\xff'
    """
    return np.rint(digit * 255).astype(np.uint8).tobytes()


def encode_bytes(written: bytes) -> bytes:
    """Encode the output of `to_bytes` as a grey PNG."""
    return encode_png(np.frombuffer(written, np.uint8).reshape(28, 28))


def encode_boxes(
    pixels: Image, boxes: Iterable[tuple[int, int, int, int]], *, max_side_px: int
) -> bytes:
    """Reduce a picture and draw boxes on it in red, as a PNG in colour.

    Args:
        pixels: `uint8 (height, width)`.
        boxes: x, y, width and height, in pixels of the picture before it is reduced.
        max_side_px: the longer side of the result at most.
    """
    scale = min(1.0, max_side_px / max(pixels.shape))
    size = [max(1, round(side * scale)) for side in pixels.shape[::-1]]
    drawn = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    for box in boxes:
        x, y, width, height = (round(side * scale) for side in box)
        cv2.rectangle(drawn, (x, y), (x + width, y + height), (40, 40, 220), 1)
    return cv2.imencode(".png", drawn)[1].tobytes()


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Write a file of a media type as a `data:` URL (RFC 2397).

    >>> data_url(encode_png(np.zeros((28, 28), np.uint8)))[:32]
    'data:image/png;base64,iVBORw0KGg'
    """
    return f"data:{kind};base64," + base64.b64encode(data).decode("ascii")


def contact_sheet(pictures: Sequence[tuple[bytes, str]], *, columns: int = 10) -> bytes:
    """Arrange grey 28x28 PNGs, light ink on dark, in rows with captions. Each is shown twice as
    large, dark on light.
    """
    width, height = 72, 84
    sheet = np.full((-(-len(pictures) // columns) * height, columns * width), 255, np.uint8)
    for place, (png, caption) in enumerate(pictures):
        x, y = place % columns * width + 8, place // columns * height + 4
        pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
        sheet[y : y + 56, x : x + 56] = 255 - cv2.resize(
            pixels, (56, 56), interpolation=cv2.INTER_NEAREST
        )
        cv2.putText(
            sheet, caption, (x + 6, y + 72), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1, cv2.LINE_AA
        )
    return encode_png(sheet)
