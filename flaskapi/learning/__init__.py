"""A model that learns from what people said of submissions, and serves only when it is better.
Nothing here runs in a web process.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np

from flaskapi.arrays import Bytes


class Example(NamedTuple):
    """An image that can be learned from, with what people say it is."""

    sha256: bytes  # of the image as it was sent
    ids: tuple[UUID, ...]  # of the submissions that have this image
    normalized: bytes  # what the network saw, `uint8 (28, 28)` row by row, 255 the ink
    label: int  # 0 to 9, or NO_DIGIT
    source: str  # `operator`, or `senders` where two agree
    confirmed: bool  # an operator said it twice

    @property
    def name(self) -> str:
        """The id by which a person finds it."""
        return str(self.ids[-1])


def to_arrays(examples: Sequence[Example]) -> tuple[Bytes, Bytes]:
    """Put examples into `uint8 (n, 28, 28)`, 255 the ink, and `uint8 (n,)`, their labels."""
    pixels = np.frombuffer(b"".join(one.normalized for one in examples), np.uint8).reshape(
        -1, 28, 28
    )
    return pixels, np.array([one.label for one in examples], np.uint8)
