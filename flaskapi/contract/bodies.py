"""What is sent in the body of a request, and the limits by which it is refused."""

from typing import Any

from flaskapi.config import RATE_FORM
from flaskapi.contract.operations import JSON, RequestBody
from flaskapi.submissions import SCOPES

MOST_DIGITS, MOST_SIGNS = 256, 200  # of a label that is a number, of a reason
MOST_LABELS = 200  # in one request
NUMBER_FORM = f"[0-9]{{1,{MOST_DIGITS}}}"

BINARY = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_RAW = {"type": "string", "contentMediaType": "application/octet-stream"}  # no picture by itself
_PIXEL = {"type": "number", "minimum": 0, "maximum": 255}
_ROW = {"type": "array", "items": _PIXEL, "minItems": 28, "maxItems": 28}
_PIXELS = {
    "description": "28x28 pixels as numbers, from 0 to 1 or from 0 to 255",
    "anyOf": [
        {"type": "array", "items": _PIXEL, "minItems": 784, "maxItems": 784},
        {"type": "array", "items": _ROW, "minItems": 28, "maxItems": 28},
    ],
}
_TEXT = {
    "description": "the image file in base64, or a `data:` URL",
    "type": "string",
    "format": "image",
    "contentEncoding": "base64",
}
_PICTURE = {"anyOf": [_TEXT, _PIXELS]}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _with(title: str, **field: Any) -> dict[str, Any]:
    """An object of one field, and whatever else a client adds; generated clients have its title."""
    return {"title": title, "type": "object", "properties": field, "required": [*field]}


def _some(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


_ENTRY = {"type": "object", "properties": {"name": {"type": "string"}, "image": _PICTURE}}
IMAGE = RequestBody(
    {
        "multipart/form-data": _with("ImageForm", file=BINARY),
        JSON: _with("ImageJson", image=_PICTURE),
        **dict.fromkeys(("image/*", "application/pdf", "application/octet-stream"), BINARY),
    },
    "One image: PNG, JPEG, GIF, BMP, WebP, TIFF, HEIC, AVIF or PDF.",
)
IMAGES = RequestBody(
    {
        "multipart/form-data": _with("ImagesForm", file=_some(BINARY)),
        JSON: _with("ImagesJson", images=_some({"anyOf": [_TEXT, _PIXELS, _ENTRY]})),
        **dict.fromkeys(
            (
                *("application/zip", "application/x-tar", "application/gzip", "application/pdf"),
                *("application/x-npy", "application/octet-stream", "text/csv", "image/*"),
            ),
            BINARY,
        ),
    },
    "Images as files, archives (ZIP, tar, tar.gz), files of many pages or of pixels, or JSON.",
    most=("MAX_BATCH_BYTES", "MAX_BATCH_IMAGES"),
)

# Python's printable signs are those of these categories of Unicode, and the space.
_REASON = {
    "type": ["string", "null"],
    "pattern": rf"^[\p{{L}}\p{{M}}\p{{N}}\p{{P}}\p{{S}} ]{{1,{MOST_SIGNS}}}$",
}
_DIGIT = {"type": "integer", "minimum": 0, "maximum": 9}
_NUMBER = {"type": "string", "pattern": f"^{NUMBER_FORM}$"}
_NULL = {"type": "null"}
_ID = {"type": "string", "format": "uuid"}


def _labels(required: tuple[str, ...] = (), **more: Any) -> list[dict[str, Any]]:
    """The forms of a label, each with some fields more."""
    return [
        _object((*required, "digit"), **more, digit=_DIGIT),
        _object((*required, "number"), **more, number=_NUMBER),
        *(
            _object((*required, field), **more, **{field: _NULL}, reason=_REASON)
            for field in ("digit", "number")
        ),
    ]


LABEL = RequestBody(
    {JSON: {"anyOf": _labels()}},
    "What the image shows. null: no digit, or no number; a `reason` may say what it is.",
)
LABELS = RequestBody(
    {
        JSON: _object(
            ("labels",),
            labels={
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_LABELS,
                "items": {
                    "anyOf": [
                        *_labels(("id",), id=_ID),
                        _object(("id", "withdraw"), id=_ID, withdraw={"const": True}),
                    ]
                },
            },
        )
    },
    "Labels by the ids of submissions; `withdraw` takes one back.",
)
KEY = RequestBody(
    {
        JSON: _object(
            ("name", "scopes"),
            name={
                "type": "string",
                "pattern": r"^[\p{L}\p{N}_.@-]{1,64}$",
                "not": {"enum": [".", ".."]},
            },
            scopes={
                "type": "array",
                "items": {"type": "string", "enum": list(SCOPES)},
                "minItems": 1,
            },
            expires={
                "anyOf": [
                    {"type": "string", "pattern": r"^[1-9][0-9]{0,4}d$"},
                    {"type": "string", "format": "date"},
                    {"type": "string", "format": "date-time"},
                    _NULL,
                ],
                "description": "days from now, as 90d, or a day or moment to come; none: never",
            },
            limit={"type": ["string", "null"], "pattern": f"^{RATE_FORM}$"},
        )
    },
    "The key's name, its scopes, when it ends, and how often it may be used.",
)
PROMOTION = RequestBody(
    {JSON: _object(("version",), version={"type": "string", "minLength": 1})},
    "The version that is to serve.",
)
ROLLBACK = RequestBody(
    {JSON: _object(generation={"type": ["integer", "null"], "minimum": 0})},
    "Nothing, or the generation that is to go: where another serves, nothing is changed.",
    required=False,
)
SHADOW = RequestBody(
    {
        JSON: _object(
            ("version",),
            version={"type": "string", "minLength": 1},
            share={"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.1},
        )
    },
    "The version that is to answer beside, and for which share of the digits.",
)
RETRAINING_WISH = RequestBody(
    {
        JSON: _object(
            since={"type": "string", "format": "date"},
            promote={"type": "boolean", "default": True},
        )
    },
    "Nothing, or since which day to learn, and whether a better model is to serve at once.",
    required=False,
)
INFERENCE = RequestBody(
    {
        JSON: _with(
            "InferenceJson",
            inputs=_some({"type": "object", "required": ["name", "shape", "datatype"]}),
        ),
        "application/octet-stream": _RAW,
    },
    "Images as tensors of the Open Inference Protocol, in JSON, or raw behind the JSON.",
)
MESSAGE = RequestBody(
    {JSON: _with("McpMessage", jsonrpc={"const": "2.0"})},
    "A JSON-RPC message of the Model Context Protocol.",
)
