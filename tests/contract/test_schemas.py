"""JSON Schemas of the types that say what is answered."""

from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import pytest

from flaskapi.contract.documents import Merged
from flaskapi.contract.schemas import Schemas


class Point(NamedTuple):
    """A place."""

    x: int
    y: float = 0


class Node(TypedDict):
    name: str
    children: "list[Node]"
    at: NotRequired[Point]


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, {"type": "string"}),
        (Any, {}),
        (None, {"type": "null"}),
        (int | None, {"type": ["integer", "null"]}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (
            Literal["a"] | None,
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
        ),
        (list[bool], {"type": "array", "items": {"type": "boolean"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Annotated[int, (("minimum", 0),)], {"type": "integer", "minimum": 0}),
        ({"const": 1}, {"const": 1}),
    ],
)
def test_a_type_has_its_schema(kind: Any, schema: dict[str, Any]) -> None:
    assert schema == Schemas().of(kind)


def test_a_named_tuple_is_an_object_as_it_is_answered() -> None:
    schemas = Schemas()
    assert {"$ref": "#/components/schemas/Point"} == schemas.of(Point)
    properties = {"x": {"type": "integer"}, "y": {"type": "number"}}
    expected = {"description": "A place.", "type": "object", "properties": properties}
    assert {"Point": expected | {"required": ["x", "y"]}} == schemas.named


def test_a_type_may_name_itself() -> None:
    schemas = Schemas()
    schemas.of(Node)
    children = schemas.named["Node"]["properties"]["children"]
    assert {"type": "array", "items": {"$ref": "#/components/schemas/Node"}} == children
    assert ["name", "children"] == schemas.named["Node"]["required"]


def test_of_merged_types_the_later_one_says_what_a_member_is() -> None:
    class Again(TypedDict, total=False):
        y: str

    schemas = Schemas()
    schemas.of(Merged("Both", (Point, Again)))
    both = schemas.named["Both"]
    assert {"x": {"type": "integer"}, "y": {"type": "string"}} == both["properties"]
    assert ["x"] == both["required"]
