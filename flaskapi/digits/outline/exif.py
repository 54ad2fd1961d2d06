"""The orientation of a picture, from EXIF data and XMP. Nothing else of either is read."""

import re

from flaskapi.digits.outline.parts import number
from flaskapi.errors import InvalidImageError

_TAG, _MOST_ENTRIES = 0x0112, 1000
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_MOST_XMP_BYTES = 1 << 17


def read_orientation(exif: bytes | None, xmp: bytes | None = None) -> int:
    """Read the orientation (EXIF 2.32, 4.6.5), 1 to 8; 1 if there is none.

    Args:
        exif: a TIFF file without pixels, perhaps after `Exif\\0\\0`.
        xmp: an XMP packet, used if the EXIF data have none.
    """
    if exif:
        try:
            if found := _search(exif.removeprefix(b"Exif\0\0")):
                return found
        except InvalidImageError:  # the pixels may be sound all the same
            pass
    match = _XMP.search(xmp, 0, _MOST_XMP_BYTES) if xmp else None
    return int(match[1]) if match else 1


def _search(exif: bytes) -> int | None:
    order = ">" if exif.startswith(b"MM") else "<"
    at = number(order + "L", exif, 4)
    for entry in range(min(number(order + "H", exif, at), _MOST_ENTRIES)):
        place = at + 2 + 12 * entry
        if number(order + "H", exif, place) == _TAG:
            kind = number(order + "H", exif, place + 2)
            value = number(order + ("L" if kind == 4 else "H"), exif, place + 8)
            return value if 1 <= value <= 8 else None
    return None
