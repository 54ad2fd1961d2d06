"""What the formats have in common: the outline, its bounds, and numbers in bytes."""

import struct
from typing import NamedTuple

from flaskapi.errors import InvalidImageError, TooLargeError

# PNG writes a chunk for each 8 kB, GIF a block for each 255 bytes, TIFF a strip for each row.
MOST_PARTS = 80_000
MOST_SEGMENTS = 1000  # a profile and XMP of 16 MB together have half as many
MOST_TEXT_BYTES = 1 << 20  # of a compressed text that may say how the picture is turned
# Smaller pictures of simple structure are decoded where they are; others in a process apart.
SIMPLE_PIXELS, SIMPLE_BYTES = 1_000_000, 1 << 20
# Half a byte for a pixel is a photograph of high quality.
LINEAR_BYTES = 1 << 20
DAMAGED = "The image cannot be decoded completely: it is truncated or damaged."


class Outline(NamedTuple):
    """An image file before it is decoded."""

    format: str  # as Pillow names it
    width: int  # as stored, before EXIF turns it
    height: int
    data: bytes  # the parts that a decoder needs, as a file of this format
    end: int  # bytes of the file that belong to the picture; what follows them does not
    memory: int  # bytes that decoding takes, or goes through, at most
    orientation: int = 1  # as EXIF numbers them
    is_simple: bool = True  # no rare structure, whose cost is not a matter of its size alone
    is_grey: bool = False  # a byte for each pixel, none transparent, row by row, as MNIST's are
    is_linear: bool = False  # decoded in one pass at the size that is asked for, as photographs are

    @property
    def is_cheap(self) -> bool:
        """Is the file decoded in milliseconds, whatever its bytes are?"""
        pixels = self.width * self.height
        if self.is_linear and len(self.data) <= LINEAR_BYTES + pixels // 2:
            return True
        return self.is_simple and pixels <= SIMPLE_PIXELS and len(self.data) <= SIMPLE_BYTES


def too_many(parts: str, most: int) -> TooLargeError:
    """The error for a file with too many parts of a kind."""
    return TooLargeError(f"The image file has too many {parts}; at most {most:,} are allowed.")


def damaged() -> InvalidImageError:
    """The error for a file whose parts contradict each other."""
    return InvalidImageError(DAMAGED)


def number(order: str, data: bytes, at: int) -> int:
    """The number at a place of a file, in the order and size that `struct` has letters for.

    Raises:
        InvalidImageError: the file ends before it.
    """
    try:
        return int(struct.unpack_from(order, data, at)[0])
    except struct.error:
        raise damaged() from None
