"""JSON Schemas (2020-12, the dialect of OpenAPI 3.1) of the types that say what is answered.

No library does this: msgspec and pydantic make arrays of named tuples, which are answered as
objects here.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from flaskapi.contract.documents import Merged

Schema = dict[str, Any]
_PLAIN: dict[Any, Schema] = {
    Any: {},
    None: {"type": "null"},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
}


class Schemas:
    """Makes schemas of types. What has a name is in `named` once, and referred to."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """Give the schema of a type. A schema stays as it is; one with a title is named by it."""
        if isinstance(kind, dict):
            return self._refer(kind["title"], lambda: kind) if "title" in kind else kind
        if get_origin(kind):
            return self._of_many(get_origin(kind), get_args(kind))
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if isinstance(kind, Merged):
            return self._refer(kind.name, lambda: self._merge(kind.kinds))
        assert is_typeddict(kind) or hasattr(kind, "_fields"), kind
        return self._refer(kind.__name__, lambda: self._object(kind))

    def _of_many(self, origin: Any, inner: tuple[Any, ...]) -> Schema:
        if origin is NotRequired:
            return self.of(inner[0])
        if origin is Annotated:
            return self._annotate(self.of(inner[0]), inner[1:])
        if origin is Literal:
            return {"type": "string", "enum": list(inner)}
        if origin in (Union, types.UnionType):
            return self._any_of(inner)
        if issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(inner[1])}
        assert issubclass(origin, Sequence), origin
        return {"type": "array", "items": self.of(inner[0])}

    def _annotate(self, schema: Schema, more: tuple[Any, ...]) -> Schema:
        """Add keywords; of types the value is one of them."""
        if type(more[0]) is tuple:
            return schema | dict(more[0])
        return self._any_of(more)

    def _any_of(self, kinds: Sequence[Any]) -> Schema:
        schemas = [self.of(kind) for kind in kinds]
        is_nullable = len(schemas) == 2 and schemas[1] == {"type": "null"}
        if is_nullable and "type" in schemas[0] and "enum" not in schemas[0]:
            return schemas[0] | {"type": [schemas[0]["type"], "null"]}
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _refer(self, name: str, make: Callable[[], Schema]) -> Schema:
        if name not in self.named:
            self.named[name] = {}  # a type may name itself
            self.named[name] = make()
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: Any) -> Schema:
        hints = get_type_hints(kind, include_extras=True)
        described = {"description": " ".join(kind.__doc__.split())} if kind.__doc__ else {}
        needed = getattr(kind, "__required_keys__", hints)
        return described | {
            "type": "object",
            "properties": {name: self.of(hint) for name, hint in hints.items()},
            "required": [name for name in hints if name in needed],
        }

    def _merge(self, kinds: Sequence[Any]) -> Schema:
        parts = [self._object(kind) for kind in kinds]
        needed = dict[str, bool]()
        for part in parts:
            needed |= {name: name in part["required"] for name in part["properties"]}
        properties: Schema = {}
        for part in parts:
            properties |= part["properties"]
        required = [name for name, is_needed in needed.items() if is_needed]
        return {"type": "object", "properties": properties, "required": required}
