"""BMP: a header and pixels (Microsoft, Bitmap storage)."""

from flaskapi.digits.outline.parts import Outline, number
from flaskapi.errors import TooLargeError

_CORE_HEADER_BYTES = 12
_RAW, _RLE8, _RLE4, _FIELDS = range(4)
# Pillow decodes runs in Python, by single pixels.
MOST_RUN_PIXELS, MOST_RUN_BYTES = 2_000_000, 250_000


def read(data: bytes) -> Outline:
    """Read the header of a BMP."""
    offset, header = number("<L", data, 10), number("<L", data, 14)
    if header == _CORE_HEADER_BYTES:
        width, height = number("<H", data, 18), number("<H", data, 20)
        bits, compression, length = number("<H", data, 24), _RAW, 0
    else:
        width, height = number("<l", data, 18), abs(number("<l", data, 22))
        bits, compression = number("<H", data, 28), number("<L", data, 30)
        length = number("<L", data, 34)
    width, height = width % 2**32, height % 2**32
    if compression in (_RLE8, _RLE4):
        end = offset + length if length else len(data)
        if width * height > MOST_RUN_PIXELS or min(end, len(data)) - offset > MOST_RUN_BYTES:
            raise TooLargeError(
                f"The image is a run-length encoded BMP; at most {MOST_RUN_PIXELS:,} pixels in "
                f"{MOST_RUN_BYTES:,} bytes are allowed."
            )
    else:
        end = offset + (width * bits + 31) // 32 * 4 * height
    end = min(end, len(data))
    return Outline(
        "BMP",
        width,
        height,
        data[:end],
        end,
        width * height * (4 if bits > 8 else 3) + len(data),
        is_simple=compression in (_RAW, _FIELDS),
    )
