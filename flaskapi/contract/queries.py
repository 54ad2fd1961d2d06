"""What the query of each route can have. The same tables refuse a query and describe it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flaskapi.reading.checks import CHECKS
from flaskapi.reading.many import Route


class QueryField(NamedTuple):
    """One field of a query, whose values are texts."""

    form: str  # a regular expression for the whole of a value, in ASCII
    words: str  # the same, as an error says it
    help: str  # what it does
    schema: Mapping[str, Any]  # the values as JSON Schema


Query = Mapping[str, QueryField]


def _one_of(*names: str, help: str) -> QueryField:
    words = " or ".join(filter(None, [", ".join(map(repr, names[:-1])), repr(names[-1])]))
    return QueryField("|".join(names), words, help, {"type": "string", "enum": list(names)})


def _whole(least: int, most: int, help: str) -> QueryField:
    form = "|".join(map(str, range(least, most + 1)))
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return QueryField(form, f"a whole number from {least} to {most}", help, schema)


def _like(form: str, words: str, help: str) -> QueryField:
    return QueryField(form, words, help, {"type": "string", "pattern": f"^(?:{form})$"})


def _switch(help: str) -> QueryField:
    return QueryField("true|false", "true or false", help, {"type": "boolean"})


def _moment(help: str) -> QueryField:
    words = "a day or a time, such as 2026-11-25 or 2026-11-25T04:05:00Z"
    schema = {"anyOf": [{"type": "string", "format": one} for one in ("date", "date-time")]}
    return QueryField(r"[0-9T:.Z+-]{8,40}", words, help, schema)


def _day(help: str) -> QueryField:
    schema = {"type": "string", "format": "date"}
    return QueryField(r"\d{4}-\d\d-\d\d", "a day such as 2026-11-25", help, schema)


_ID_CURSOR = r"[\w-]{21}[AQgw]"  # base64 of 16 bytes


def _cursor(form: str) -> QueryField:
    words = "the cursor in 'next' of an earlier page"
    return _like(form, words, "go on where another page ended: its `next` has it")


_MODEL_FORM, _MODEL_WORDS = r"[\w.:+-]{1,100}", "a model's version"
_KEEP = _switch("`false`: answer, and keep nothing")

NOTHING: Query = {}
DIGIT: Query = {
    "include": _one_of(
        "normalized",
        "picture",
        help="`normalized`: the 28x28 that the network saw; `picture`: the picture with a box",
    ),
    "keep": _KEEP,
}
NUMBER: Query = {
    "length": _whole(1, 64, "how many digits there are"),
    "pattern": _like(
        "[0-9d]{1,64}",
        "1 to 64 digits, or d for any digit, such as 05dddddddd",
        "the digits that are known, and `d` for any other",
    ),
    "alternatives": _whole(1, 20, "how many other readings to give"),
    "check": _one_of(*CHECKS, help="the rule of the number's check digit"),
    "include": _one_of("picture", help="the picture with a box around each digit"),
    "keep": _KEEP,
}
INFERENCE: Query = {"keep": _KEEP}
BATCH: Query = {
    "route": _one_of("digit", "number", help="what to read in each image; a digit by default"),
    "keep": _KEEP,
}
SUBMISSIONS: Query = {
    "digit": _like("[0-9]", "0 to 9", "answered with this digit"),
    "label": _like(
        "[0-9]{1,256}|none|any|missing",
        "a digit, a number, none, any or missing",
        "labelled with this; `none`: as no digit; `any`: at all; `missing`: not yet",
    ),
    "disagreement": _switch("labelled with something else than was answered"),
    "uncertain": _switch("marked as uncertain"),
    "model": _like(_MODEL_FORM, _MODEL_WORDS, "answered by this version"),
    "route": _like(r"/[\w./-]{1,100}", "an address such as /predict", "sent to this address"),
    "since": _moment("received then or later"),
    "until": _moment("received before"),
    "limit": _whole(1, 200, "how many on a page; 50 by default"),
    "cursor": _cursor(rf"{_ID_CURSOR}|[\w-]{{32}}"),
    "order": _one_of(
        "newest",
        "uncertain",
        help="`uncertain`: those to label next, the least sure first; other filters have no place",
    ),
}
STATISTICS: Query = {
    "since": _day("the first day; 30 days before the last by default"),
    "until": _day("the day after the last; tomorrow by default"),
    "model": _like(_MODEL_FORM, _MODEL_WORDS, "of this version alone"),
}
MODELS: Query = {
    "limit": _whole(1, 50, "how many on a page; 20 by default"),
    "before": _like(_MODEL_FORM, _MODEL_WORDS, "go on behind this version"),
}
DISAGREEMENTS: Query = {
    "limit": _whole(1, 50, "how many on a page; 20 by default"),
    "cursor": _cursor(_ID_CURSOR),
}
RETRAININGS: Query = {
    "limit": _whole(1, 100, "how many on a page; 20 by default"),
    "cursor": _cursor(_ID_CURSOR),
}
KEYS: Query = {
    "limit": _whole(1, 200, "how many on a page; 100 by default"),
    "after": _like(r"[^\x00-\x1f]{1,64}", "a key's name", "go on behind this key"),
}


def read_route(query: Mapping[str, str]) -> Route:
    """What a request with many images wants to be read in each, by its query."""
    return "number" if query.get("route") == "number" else "digit"
