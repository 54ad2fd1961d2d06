"""What each view takes and answers, for the description. A view without it fails a test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from flaskapi.contract.documents import Problem
from flaskapi.contract.headers import NO_HEADERS
from flaskapi.contract.operations import JSON, PROBLEM, Operation, RequestBody
from flaskapi.contract.queries import NOTHING, Query
from flaskapi.errors import FlaskapiError

V = TypeVar("V", bound=Callable[..., Any])

FILE_HEADERS = {"ETag": "which state this is; who has that already is answered 304"}


def described(
    answer: Any,
    *,
    status: int = 200,
    query: Query | None = NOTHING,
    body: RequestBody | None = None,
    errors: Sequence[type[FlaskapiError]] = (),
    headers: Mapping[str, str] | None = None,
    problem: Any = Problem,
    without_body: Mapping[int, str] | None = None,
    request_headers: Query = NO_HEADERS,
    accepted: Any = None,
) -> Callable[[V], V]:
    """Note at a view what it takes and answers; see `contract/operations.py`.

    Args:
        answer: the type of the JSON that is answered, as `contract/documents.py` has them; or by
            media type what is answered; or None for nothing.
        status: that of a good answer.
        query: what the view gives to `read_query`; None where it looks at no query.
        body: what can be sent.
        errors: those that do not follow from query, body, scope, limit and address.
        headers: those of a good answer, with their meaning.
        problem: the type of the document of an error; or by media type what is answered.
        without_body: other good answers, by status, with their meaning.
        request_headers: the headers that only some routes read, as `contract/headers.py` has them.
        accepted: the type of the JSON that is answered with 202 to `Prefer: respond-async`.
    """
    content = answer if isinstance(answer, Mapping) else {} if answer is None else {JSON: answer}
    fault = problem if isinstance(problem, Mapping) else {PROBLEM: problem}
    operation = Operation(
        content,
        status,
        query,
        body,
        errors,
        headers or {},
        fault,
        without_body or {},
        request_headers,
        accepted,
    )

    def mark(view: V) -> V:
        view.operation = operation  # type: ignore[attr-defined]  # a function takes it, and what wraps it takes it over
        return view

    return mark
