"""Train a model further on labelled submissions; it serves only if it is better. Nothing here runs
in a web process.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np

from flaskapi.arrays import Bytes


class Example(NamedTuple):
    """An image that can be learned from, with its label."""

    sha256: bytes  # of the image as it was sent; of a digit of a number, made of that
    ids: tuple[UUID, ...]  # of the submissions with this image
    normalized: bytes  # the network's input, `uint8 (28, 28)` row by row, 255 is ink
    label: int  # 0 to 9, or NO_DIGIT
    source: str  # `operator`, or `senders` if two agree
    confirmed: bool  # an operator gave the label twice
    place: int = 0  # of the digit in a number, from 1; 0: the image shows one digit

    @property
    def name(self) -> str:
        """The id by which people find it, with the place in a number, as `...#3`."""
        return f"{self.ids[-1]}#{self.place}" if self.place else str(self.ids[-1])


def to_arrays(examples: Sequence[Example]) -> tuple[Bytes, Bytes]:
    """Put examples into `uint8 (n, 28, 28)`, 255 is ink, and `uint8 (n,)`, their labels."""
    pixels = np.frombuffer(b"".join(one.normalized for one in examples), np.uint8).reshape(
        -1, 28, 28
    )
    return pixels, np.array([one.label for one in examples], np.uint8)
