"""Pictures as bare pixels: numbers in JSON, rows of a table, arrays. Each becomes a grey PNG, which
every reader of image files can read.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from flaskapi.errors import InvalidRequestError

SIDE_PX = 28
COUNT = SIDE_PX * SIDE_PX
_DEEPEST = 4  # (1, 28, 28, 1), as Keras takes a batch of one


def write_png(values: bytes, width: int = SIDE_PX, height: int = SIDE_PX) -> bytes:
    """Write grey values, row by row, 255 the lightest, as a PNG (W3C, PNG, third edition)."""
    rows = b"".join(
        b"\0" + values[start : start + width] for start in range(0, width * height, width)
    )
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def encode_numbers(numbers: list[Any], name: str) -> bytes:
    """Encode 784 numbers, or 28 rows of 28, from 0 to 1 or from 0 to 255, as a PNG.

    Raises:
        InvalidRequestError: other numbers, another count of them, or no numbers.
    """
    flat = list(flatten_numbers(numbers, name, COUNT))
    if len(flat) != COUNT:
        found = f"more than {COUNT}" if len(flat) > COUNT else str(len(flat))
        raise InvalidRequestError(
            f"{name} has {found} numbers; a picture has {COUNT}, or 28 rows of 28."
        )
    lowest, highest = min(flat), max(flat)
    if not 0 <= lowest <= highest <= 255:
        raise InvalidRequestError(
            f"{name} has numbers from {str(lowest)[:20]} to {str(highest)[:20]}; they must be "
            f"from 0 to 1 or from 0 to 255."
        )
    scale = 255 if highest <= 1 else 1
    return write_png(bytes(round(value * scale) for value in flat))


def flatten_numbers(numbers: list[Any], name: str, most: int) -> Iterator[float]:
    """Flatten nested lists of numbers. At most `most` + 1 numbers are returned.

    Raises:
        InvalidRequestError: something else is in them; the text has the name.
    """
    count, stack = 0, [iter(numbers)]
    while stack:
        for value in stack[-1]:
            if isinstance(value, list) and len(stack) < _DEEPEST:
                stack.append(iter(value))
                break
            if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
                kind = "nested lists" if isinstance(value, list) else repr(value)[:40]
                raise InvalidRequestError(f"{name} must contain only numbers; it contains {kind}.")
            yield value
            count += 1
            if count > most:
                return
        else:
            stack.pop()
