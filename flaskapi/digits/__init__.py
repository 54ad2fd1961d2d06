"""Pixels in, prepared digits out. Nothing here knows of networks, storage or HTTP.

An image is `uint8 (height, width)`. A prepared digit is `float32 (28, 28)` in [0, 1], 1 the ink, in
MNIST's form.
"""

from typing import Literal, NamedTuple

import cv2

from flaskapi.arrays import Bytes, Floats

# Processes use the cores; a second thread spins beside pictures this small, at 0.6 ms of its core a
# request.
cv2.setNumThreads(1)

Image = Bytes
Digit = Floats

# What a caller may want to know about a picture whose digit came out otherwise than expected.
Noticed = Literal[
    "inverted",  # the ink was darker than its ground, and was made the lighter, as in MNIST
    "low-contrast",  # the ink hardly stood out from its ground
    "touches-border",  # the ink reaches the edge of the picture: a part may be missing
    "several",  # something beside the digit was as large as it: perhaps it is a number
    "small",  # the ink had fewer pixels than the network sees, and was enlarged
]


class Box(NamedTuple):
    """A part of a picture, in the picture's pixels, counted from the top left corner."""

    x: int
    y: int
    width: int
    height: int


class Ink(NamedTuple):
    """The ink of one digit, `float32 (height, width)` in [0, 1], 1 the ink, cropped to it; its box,
    and what was noticed.
    """

    pixels: Digit
    box: Box
    noticed: tuple[Noticed, ...]
    size_px: float  # the longer side of the ink in the picture
    contrast: float  # between ink and ground, in grey levels
    # A line may have taken ink with it, or it may be a part of a frame, or beside what was meant.
    is_doubted: bool = False


class NormalizedDigit(NamedTuple):
    """The network's input, `float32 (28, 28)` in [0, 1], 1 the ink, and what was noticed. The other
    fields are as in `Ink`.
    """

    pixels: Digit
    noticed: tuple[Noticed, ...]
    size_px: float
    contrast: float
    is_doubted: bool = False

    def __repr__(self) -> str:
        """All fields; the pixels by their type and shape, since 784 numbers hide the others."""
        fields = self._asdict() | {"pixels": f"<{self.pixels.dtype} {self.pixels.shape}>"}
        return f"NormalizedDigit({', '.join(f'{name}={value}' for name, value in fields.items())})"
