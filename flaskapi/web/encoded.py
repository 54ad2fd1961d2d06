"""Images sent as text or as numbers: valid base64, and the variants that clients write."""

import base64
import binascii
import re
from typing import Any

from flask import current_app

from flaskapi.digits.decode import decode_image
from flaskapi.errors import FlaskapiError, InvalidRequestError, MissingImageError
from flaskapi.sources.pixels import encode_numbers
from flaskapi.web.advice import advise

_PYTHON_BYTES = re.compile(r"""\s*b?(['"])(.*)\1\s*""", re.DOTALL)
_ALPHABET = re.compile(r"[A-Za-z0-9+/]*")
_URL_ALPHABET = str.maketrans("-_", "+/")
_PERCENT = {"%2B": "+", "%2b": "+", "%2F": "/", "%2f": "/", "%3D": "=", "%3d": "="}
_PERCENT |= {"%0A": "", "%0a": "", "%0D": "", "%0d": ""}
# A picture is only looked at to see if it is whole.
_MOST_LOST = 8  # lost `+` characters of a short text, besides their usual share
_GLANCE_PIXELS, _GLANCE_SIDE_PX = 25_000_000, 64


def decode_value(value: Any, name: str) -> bytes:
    """Decode an image in JSON: a file as text, or its pixels as numbers.

    Raises:
        InvalidRequestError: the value is neither text nor 784 numbers.
        MissingImageError: a text that is not base64.
    """
    if isinstance(value, list):
        return encode_numbers(value, name)
    return decode_text(value, name)


def decode_text(text: Any, name: str) -> bytes:
    """Decode an image file that was sent as text, in base64 or as a data: URL.

    Variants with only one possible meaning are accepted: the URL alphabet, missing padding,
    Python's `b'...'`, percent-encoding, and spaces that a form put in place of `+`.

    Raises:
        InvalidRequestError: the value is not text.
        MissingImageError: the text is not base64; the error says what it is instead.
    """
    if not isinstance(text, str):
        raise InvalidRequestError(f"{name} must be text: the image file in base64, or a data: URL.")
    scheme = ""
    if text.startswith("data:"):
        scheme, _, text = text.partition(",")
    try:
        data = base64.b64decode(_close_up(text), validate=True)
    except (binascii.Error, ValueError):
        return _decode_as_written(text, scheme, name)
    if " " in text and _has_lost_plus(text):
        return _restore_plus(text, data)
    return data


def _decode_as_written(text: str, scheme: str, name: str) -> bytes:
    """Decode base64 that the standard decoder refuses."""
    if match := _PYTHON_BYTES.fullmatch(text):
        text = match[2].replace("\\n", "").replace("\\r", "")
    text = text.strip()
    if not scheme and text[:5].lower() == "data:":
        scheme, _, text = text.partition(",")
    if "%" in text:
        for sign, meant in _PERCENT.items():
            text = text.replace(sign, meant)
    if " " in text and _has_lost_plus(text):
        text = text.replace(" ", "+")
    text = _close_up(text).decode("utf-8", "surrogatepass").rstrip("=")
    if ("-" in text or "_" in text) and "+" not in text and "/" not in text:
        text = text.translate(_URL_ALPHABET)
    legal = _ALPHABET.match(text)
    assert legal is not None
    if scheme and ";base64" not in scheme.lower():
        raise MissingImageError(
            f"{name} is a data: URL that is not in base64: {scheme[:40]!r} lacks ';base64'."
        )
    if legal.end() < len(text):
        raise MissingImageError(
            f"{name} is not valid base64: the character {text[legal.end()]!r} at {legal.end()} is "
            f"not in its alphabet. {advise().base64}"
        )
    if len(text) % 4 == 1:
        raise MissingImageError(
            f"{name} is not valid base64: it is truncated or lost characters: {len(text):,} "
            f"characters are no whole number of bytes. {advise().base64}"
        )
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _close_up(text: str) -> bytes:
    """Remove white space, without a string for each piece: a body may have millions of them."""
    return text.encode("utf-8", "surrogatepass").translate(None, b" \t\n\r\v\f")


def _has_lost_plus(text: str) -> bool:
    """Did a form turn `+` into spaces? Otherwise the spaces may join lines, which then all have the
    same length.
    """
    # One character in 64 is a `+`; many more spaces cannot all be lost ones.
    if "+" in text or text.count(" ") > _MOST_LOST + len(text) // 16:
        return False
    pieces = text.strip().split(" ")
    return len({len(piece) for piece in pieces[:-1]}) > 1 or len(pieces[-1]) > len(pieces[0])


def _restore_plus(text: str, dropped: bytes) -> bytes:
    """Decide whether spaces mean nothing or were `+`, if both readings are valid base64."""
    try:
        restored = base64.b64decode(_close_up(text.strip().replace(" ", "+")), validate=True)
    except (binascii.Error, ValueError):
        return dropped
    return restored if _is_whole(restored) and not _is_whole(dropped) else dropped


def _is_whole(data: bytes) -> bool:
    try:
        most = min(_GLANCE_PIXELS, current_app.config["MAX_IMAGE_PIXELS"])
        decode_image(data, max_pixels=most, max_side_px=_GLANCE_SIDE_PX)
    except FlaskapiError:
        return False
    return True
