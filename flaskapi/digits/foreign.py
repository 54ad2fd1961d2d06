"""HEIC, AVIF and PDF: decoded in a process of their own, within bounds of memory and time, and with
libraries that no other process loads.
"""

import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image as Pillow

from flaskapi.digits.formats import Foreign
from flaskapi.errors import InvalidImageError, TooLargeError, UnsupportedImageError

_CHILD = Path(__file__).with_name("foreign_child.py")
TIMEOUT_S = 30
_HEADER = struct.Struct(">6I")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class ForeignPage(NamedTuple):
    """A picture, or a page of a document: its pixels, perhaps reduced, and its own size."""

    image: Pillow.Image
    width: int
    height: int
    pages: int  # that the file has


def decode_foreign(
    data: bytes, kind: Foreign, *, max_pixels: int, max_side_px: int, page: int = 1
) -> ForeignPage:
    """Decode a picture, or draw a page of a PDF, upright.

    Args:
        data: a whole file.
        max_pixels: refuse more than this, before it is decoded; a page of a PDF has the pixels of
            its size in print, at 200 to the inch.
        max_side_px: reduce a larger picture until its longer side is at most this.
        page: counted from 1; at 0 a PDF's pages are only counted.

    Raises:
        InvalidImageError: damaged, locked by a password, without such a page, or more work than
            is allowed.
        TooLargeError: more than `max_pixels`.
        UnsupportedImageError: the library for this format is not installed.
    """
    # sys.executable is Apache's own where Python is embedded.
    python = Path(sys.prefix) / "bin" / "python"
    arguments = [kind, *map(str, (max_pixels, max_side_px, page))]
    command = [str(python if python.exists() else sys.executable), "-I", str(_CHILD), *arguments]
    try:
        answer = subprocess.run(
            command, input=data, capture_output=True, timeout=TIMEOUT_S, check=False
        ).stdout
    except subprocess.TimeoutExpired:
        answer = b""
    letter, rest = answer[:1], answer[1:]
    if letter != b"P":
        raise _refusal(letter, rest.decode("utf-8", "replace"), kind)
    width, height, *size, channels, pages = _HEADER.unpack_from(rest)
    image = Pillow.frombytes(_MODES[channels], tuple(size), rest[_HEADER.size :])
    return ForeignPage(image, width, height, pages)


def _refusal(
    letter: bytes, text: str, kind: Foreign
) -> InvalidImageError | TooLargeError | UnsupportedImageError:
    if letter == b"T":
        return TooLargeError(text)
    if letter == b"M":
        return UnsupportedImageError(f"This is {kind}, which is read where {text} is installed.")
    if letter == b"L":
        return InvalidImageError("This PDF is locked by a password; send it without one.")
    if letter == b"N":
        return InvalidImageError(f"This PDF has no such page; it has {text}.")
    if letter == b"D":
        return InvalidImageError(
            f"The image cannot be decoded whole: this {kind} is truncated or damaged."
        )
    return InvalidImageError(f"This {kind} takes more memory or time to decode than is allowed.")
