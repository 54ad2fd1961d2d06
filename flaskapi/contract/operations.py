"""What is said of an operation: the words in which a route describes what it takes and answers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flaskapi.contract.documents import Problem
from flaskapi.contract.headers import NO_HEADERS
from flaskapi.contract.queries import NOTHING, Query
from flaskapi.errors import FlaskapiError

JSON = "application/json"
PROBLEM = "application/problem+json"


class RequestBody(NamedTuple):
    """What the body of a request can be, by its media type."""

    content: Mapping[str, Any]  # of each media type a JSON Schema
    help: str = ""
    required: bool = True
    most: Sequence[str] = ("MAX_REQUEST_BYTES",)  # the settings that limit it


class Operation(NamedTuple):
    """What a route takes and answers, beside what its scope, limit and address say of themselves.

    `answer` is by media type a type of `documents.py`, another type, or a JSON Schema; nothing is
    answered where it is empty.
    """

    answer: Mapping[str, Any]
    status: int = 200
    query: Query | None = NOTHING  # None: whatever is there is passed over
    body: RequestBody | None = None
    errors: Sequence[type[FlaskapiError]] = ()
    headers: Mapping[str, str] = {}
    problem: Mapping[str, Any] = {PROBLEM: Problem}  # the document of an error, by media type
    without_body: Mapping[int, str] = {}  # other good answers, by status, with their meaning
    request_headers: Query = NO_HEADERS
    accepted: Any = None  # what is answered with 202 to who prefers to be answered later


class DescribedRoute(NamedTuple):
    """An operation with its address, and who may call it how often."""

    method: str
    rule: str  # as `/submissions/<uuid:id>/label`
    words: str  # what the operation does: its view's docstring
    scope: str  # as `web/scopes.py` has them
    limit: str | None  # the setting that limits one client
    operation: Operation
