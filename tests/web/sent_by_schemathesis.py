"""What Schemathesis sends where the description says "a picture": good ones and damaged ones, and
archives of them. It loads this module by SCHEMATHESIS_HOOKS.
"""

import base64
import io
import uuid
from typing import Any

import numpy as np
import schemathesis
from archives import make_tar, make_tar_gz, make_zip
from fakes import draw_digit, encode
from hypothesis import strategies as st

_SEVEN = draw_digit(7, side=28)
GOOD = [encode(_SEVEN), encode(_SEVEN, "JPEG"), encode(_SEVEN, "GIF"), encode(_SEVEN, "TIFF")]
_BLANK = encode(np.full((28, 28), 255, np.uint8))
# Cut off, of no picture, with a wrong byte in the middle, blank, nothing at all.
BAD = [GOOD[0][:60], GOOD[1][:100], b"text", GOOD[0][:70] + b"\xff" + GOOD[0][71:], _BLANK, b""]
PICTURES = st.sampled_from(GOOD + BAD)
_members = [(f"{place}.png", content) for place, content in enumerate(GOOD + BAD)]


def _save_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.stack([_SEVEN, _SEVEN]))
    return buffer.getvalue()


def _sound_or_damaged(content: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([content, content[: len(content) // 2], b"", b"text"])


schemathesis.openapi.format("binary", PICTURES)
schemathesis.openapi.format("image", PICTURES.map(lambda one: base64.b64encode(one).decode()))
for kind in ("image/*", "application/octet-stream", "application/pdf"):
    schemathesis.openapi.media_type(kind, PICTURES)
for kind, content in {
    "application/zip": make_zip(_members),
    "application/x-tar": make_tar(_members),
    "application/gzip": make_tar_gz(_members),
    "application/x-npy": _save_array(),
    "text/csv": b"\n".join([b",".join(b"%d" % pixel for pixel in _SEVEN.ravel())] * 2),
}.items():
    schemathesis.openapi.media_type(kind, _sound_or_damaged(content))


@schemathesis.check
def good_pictures_are_answered(ctx: Any, response: Any, case: Any) -> None:
    """Whether bytes are a picture, no description says; so this holds for those that are."""
    is_picture = case.body in GOOD and case.path.startswith("/predict")
    if is_picture and case.meta.generation.mode.is_positive:
        assert response.status_code in (200, 400), response.status_code  # 400: its query


@schemathesis.hook
def filter_path_parameters(ctx: Any, path_parameters: dict[str, Any] | None) -> bool:
    """The key by which all is asked is not to be revoked."""
    return (path_parameters or {}).get("name") != "schemathesis"


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A good key is a new one for each upload: that one comes again with another is refused."""
    if case.meta and case.meta.generation.mode.is_positive and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
