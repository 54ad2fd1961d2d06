"""The tools that an assistant may call (MCP): what each takes and gives, in JSON Schema (2020-12).

What is described is what is checked: `check_arguments` reads the same schemas.
"""

import re
from typing import Any

from flaskapi.errors import InvalidRequestError
from flaskapi.reading.checks import CHECKS

INSTRUCTIONS = (
    "Reads handwritten digits in pictures. An answer that is marked uncertain should be looked at "
    "by a person. Whoever knows what a picture really shows can say so with the tool label, by the "
    "id of its answer."
)
_IMAGE = {
    "type": "string",
    "description": "the image file in base64, or a data: URL: PNG, JPEG, GIF, BMP, WebP, TIFF, "
    "HEIC, AVIF or PDF",
}
_KEEP = {
    "type": "boolean",
    "default": True,
    "description": "false to have nothing kept of it; then it cannot be labelled",
}
_ID = {"type": "string", "format": "uuid", "description": "the id of an answer"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_DIGIT = {"type": "integer", "minimum": 0, "maximum": 9}
_TEXTS = {"type": "array", "items": {"type": "string"}}
# What every answer to a picture has, and what it has where there is something to say.
_ANSWER = {
    "confidence": _SHARE | {"description": "calibrated: of answers with 0.9 nine in ten are right"},
    "uncertain": {"type": "boolean", "description": "a person should look"},
    "id": {"type": ["string", "null"], "description": "of what was kept; null where nothing was"},
    "model": {"type": "string", "description": "the version that answered"},
    "generation": {"type": "integer", "description": "how often another model was let serve"},
}
_MORE = {
    "hint": {"type": "string"},
    "page": {"type": "integer", "description": "that was read"},
    "pages": {"type": "integer", "description": "that the file has"},
}
_BOX = {
    "type": "object",
    "description": "in pixels of the picture, upright, from its top left corner",
    "properties": {name: {"type": "integer"} for name in ("x", "y", "width", "height")},
}
# Something is kept, nothing is lost by it, and nothing outside is asked.
_HINTS = {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False}


def _object(properties: dict[str, Any], *required: str, more: bool = False) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": more,
    }


def _answer(own: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return _object(own | _ANSWER | _MORE | more, *own, *_ANSWER, more=True)


TOOLS: dict[str, dict[str, Any]] = {
    "read_digit": {
        "title": "Read a digit",
        "description": "Read the one handwritten digit in a picture.",
        "inputSchema": _object({"image": _IMAGE, "keep": _KEEP}, "image"),
        "outputSchema": _answer(
            {"digit": _DIGIT, "probabilities": {"type": "array", "items": _SHARE}}, {}
        ),
        "annotations": _HINTS,
    },
    "read_number": {
        "title": "Read a number",
        "description": "Read the handwritten digits of a larger picture, in reading order: a "
        "telephone number, an amount, several lines.",
        "inputSchema": _object(
            {
                "image": _IMAGE,
                "pattern": {
                    "type": "string",
                    "pattern": "^[0-9d]{1,64}$",
                    "description": "1 to 64 signs, each a digit that is known, or d for any, as "
                    "05dddddddd",
                },
                "length": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 64,
                    "description": "how many digits it is known to have, 1 to 64",
                },
                "check": {
                    "type": "string",
                    "enum": list(CHECKS),
                    "description": "the check digit that it is known to have: " + ", ".join(CHECKS),
                },
                "alternatives": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 20,
                    "description": "how many other readings to give, 1 to 20",
                },
                "keep": _KEEP,
            },
            "image",
        ),
        "outputSchema": _answer(
            {
                "number": {"type": "string", "description": "all lines together"},
                "lines": _TEXTS,
                "digits": {
                    "type": "array",
                    "items": _object(
                        {
                            "digit": _DIGIT,
                            "confidence": _SHARE,
                            "uncertain": {"type": "boolean"},
                            "box": _BOX,
                        },
                        *("digit", "confidence", "uncertain", "box"),
                    ),
                },
                "written": {"type": "string", "description": "with the signs between the digits"},
                "marks": {"type": "array", "items": {"type": "object"}},
                "groups": {"type": "array", "items": _TEXTS},
            },
            {
                "passes": {"type": "boolean", "description": "the check that was named"},
                "alternatives": {
                    "type": "array",
                    "items": _object(
                        {"number": {"type": "string"}, "confidence": _SHARE},
                        *("number", "confidence"),
                    ),
                },
            },
        ),
        "annotations": _HINTS,
    },
    "label": {
        "title": "Say what it really is",
        "description": "Say what a picture that was read really shows: its digit, or its number. "
        "Null says that it shows none.",
        "inputSchema": _object(
            {
                "id": _ID,
                "digit": _DIGIT
                | {"type": ["integer", "null"], "description": "0 to 9, of a picture of one digit"},
                "number": {
                    "type": ["string", "null"],
                    "pattern": "^[0-9]{1,256}$",
                    "description": "1 to 256 digits, of a picture of a number",
                },
                "reason": {
                    "type": "string",
                    "description": "why there is none, a line of 1 to 200 signs",
                },
            },
            "id",
        ),
        "outputSchema": _object(
            {
                "id": _ID,
                "label": {"type": ["string", "null"], "description": "that is in force now"},
                "label_source": {"type": ["string", "null"], "enum": ["sender", "operator", None]},
                "note": {"type": "string"},
            },
            *("id", "label", "label_source"),
        ),
        "annotations": _HINTS | {"idempotentHint": True},
    },
}
_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "null": type(None)}


def check_arguments(tool: str, arguments: Any) -> dict[str, Any]:
    """Check what a tool is called with, by its schema. Null stands for what is left out.

    Raises:
        InvalidRequestError: an argument is unknown, missing or of another kind; the text names it.
    """
    schema = TOOLS[tool]["inputSchema"]
    known: dict[str, dict[str, Any]] = schema["properties"]
    if not isinstance(arguments, dict):
        raise InvalidRequestError(f"The arguments of {tool} must be an object.")
    if unknown := sorted(set(arguments) - set(known)):
        raise InvalidRequestError(
            f"The argument {unknown[0][:40]!r} is unknown; {tool} has {', '.join(known)}."
        )
    given = {
        name: value
        for name, value in arguments.items()
        if value is not None or "null" in known[name]["type"]
    }
    for name in schema["required"]:
        if name not in given:
            raise InvalidRequestError(f"The argument {name!r} is missing.")
    for name, value in given.items():
        if not _fits(value, known[name]):
            raise InvalidRequestError(
                f"The argument {name!r} is not as it must be: {known[name]['description']}."
            )
    return given


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    """Is a plain value as its schema has it? `true` is no integer."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if type(value) not in [_TYPES[name] for name in types]:
        return False
    if isinstance(value, str):
        pattern, choices = schema.get("pattern"), schema.get("enum", [value])
        return value in choices and (pattern is None or re.fullmatch(pattern, value) is not None)
    if isinstance(value, int):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True
