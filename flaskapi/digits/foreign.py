"""Decode HEIC, AVIF and PDF in a separate process, within bounds of memory and time. No other
process loads their libraries.
"""

import struct
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

from PIL import Image as Pillow

from flaskapi.digits.formats import Foreign
from flaskapi.errors import InvalidImageError, TooLargeError, UnsupportedImageError
from flaskapi.processes import find_python

_CHILD = Path(__file__).with_name("foreign_child.py")
TIMEOUT_S = 30
_HEADER = struct.Struct(">6I")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class ForeignPage(NamedTuple):
    """A picture, or a page of a document: its pixels, perhaps reduced, and its full size."""

    image: Pillow.Image
    width: int
    height: int
    pages: int  # that the file has


_turn = threading.Lock()  # of the process's threads, for each child may take 2 GiB


def decode_foreign(
    data: bytes, kind: Foreign, *, max_pixels: int, max_side_px: int, page: int = 1
) -> ForeignPage:
    """Decode a picture, or draw a page of a PDF, upright.

    Args:
        data: a whole file.
        max_pixels: reject an image with more, before it is decoded; a page of a PDF has the pixels
            of its size in print, at 200 to the inch.
        max_side_px: reduce a larger picture until its longer side is at most this.
        page: counted from 1; with 0, a PDF's pages are only counted.

    Raises:
        InvalidImageError: it is damaged, locked by a password, or has no such page.
        TooLargeError: it has more than `max_pixels`, or needs more work than is allowed.
        UnsupportedImageError: the library for this format is not installed.
    """
    arguments = [kind, *map(str, (max_pixels, max_side_px, page))]
    command = [find_python(), "-I", str(_CHILD), *arguments]
    try:
        with _turn:
            done = subprocess.run(
                command,
                input=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=False,
            )
        answer = done.stdout if done.returncode == 0 else b""  # one that was killed wrote half
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
        return UnsupportedImageError(f"This is {kind}; to read it, the server needs {text}.")
    if letter == b"L":
        return InvalidImageError("A password protects this PDF; send it without one.")
    if letter == b"N":
        return InvalidImageError(f"This PDF does not have this page; it has {text}.")
    if letter == b"D":
        return InvalidImageError(
            f"The image cannot be decoded completely: this {kind} is truncated or damaged."
        )
    return TooLargeError(
        f"This {kind} takes more memory or time to decode than this service allows for one image. "
        "Send it smaller, or as PNG or JPEG."
    )
