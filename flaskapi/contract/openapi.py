"""The description of the interface, OpenAPI 3.1, made of what the routes say of themselves."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from apispec import APISpec

from flaskapi import errors
from flaskapi.contract.operations import JSON, DescribedRoute, RequestBody
from flaskapi.contract.problems import PROBLEMS, STATUS, name_of
from flaskapi.contract.queries import Query
from flaskapi.contract.schemas import Schemas

_ABOUT = """Handwritten digits and numbers, read from pictures.

Every error is `application/problem+json` (RFC 9457); its `type` leads to what it means.
Those of `/v2` are `application/json`, and those of `/mcp` JSON-RPC's, with the same members.
Every answer has `X-Request-ID`: the caller's own, if it sent a sane one, else a new one.
A server before the service may answer 502, 503 and 504 by itself, in the same shape.
The media types of an answer are chosen by the header `Accept`."""
_ID = re.compile(r"<(?:(\w+):)?(\w+)>")
_HEADERS = {
    "X-Request-ID": "the identifier of the request, which the log has too",
    "Retry-After": "after how many seconds to come back",
    "WWW-Authenticate": "how to authenticate: Bearer",
}
_LATER_HEADERS = {
    "Location": "where to watch it",
    "Preference-Applied": "`respond-async`",
}
# Of each scope the errors of who has no key that opens it; `sender or label` needs none.
_KEY_ERRORS = (
    errors.UnauthorizedError,
    errors.ForbiddenError,
    errors.RateLimitedError,
    errors.StoreUnavailableError,
)
# Of bodies, in which there may be too much.
_BODY_ERRORS = (errors.InvalidRequestError, errors.TooLargeError)


def describe_service(
    routes: Iterable[DescribedRoute], settings: Mapping[str, Any], root: str = ""
) -> dict[str, Any]:
    """Describe all routes.

    Args:
        routes: in the order in which they are to be read.
        settings: those in force; limits are named with their values.
        root: what stands before every path.
    """
    spec = APISpec(
        title="flaskapi",
        version=version("flaskapi"),
        openapi_version="3.1.0",
        info={"description": _ABOUT, "license": {"name": "BSD-3-Clause"}},
        servers=[{"url": root or "/"}],
    )
    spec.components.security_scheme(
        "key", {"type": "http", "scheme": "bearer", "description": "A key that `keys make` made."}
    )
    for name, help in _HEADERS.items():
        spec.components.header(name, {"description": help, "schema": {"type": "string"}})
    schemas = Schemas()
    for route in routes:
        path = _ID.sub(r"{\2}", route.rule)
        spec.path(path=path, operations={route.method.lower(): _describe(route, schemas, settings)})
    for name, schema in schemas.named.items():
        spec.components.schema(name, schema)
    return spec.to_dict()


def _describe(
    route: DescribedRoute, schemas: Schemas, settings: Mapping[str, Any]
) -> dict[str, Any]:
    operation = route.operation
    words = [paragraph.strip() for paragraph in route.words.split("\n\n")]
    notes = _notes(route, settings)
    described: dict[str, Any] = {
        "operationId": _name(route),
        "tags": [route.rule.split("/")[1] or "page"],
        "summary": " ".join(words[0].split()),
        "description": "\n\n".join([*words[1:], *notes]),
        "parameters": [*_path(route.rule), *_query(route), *_request_headers(route)],
        "responses": _answers(route, schemas),
        "security": _security(route.scope, settings),
    }
    if route.limit:
        described["x-rate-limit"] = {"setting": route.limit, "limit": settings[route.limit]}
    if operation.body:
        described["requestBody"] = _body(operation.body, schemas, settings)
    return described


def _name(route: DescribedRoute) -> str:
    """A name of its own, of which clients make that of a function: `get_submissions_id`."""
    words = re.findall(r"[a-z]+", _ID.sub(r"\2", route.rule)) or ["page"]
    return "_".join([route.method.lower(), *words])


def _notes(route: DescribedRoute, settings: Mapping[str, Any]) -> list[str]:
    notes = []
    if route.limit:
        notes.append(f"Of one client, by `{route.limit}`: {settings[route.limit]}.")
    if route.scope == "predict" and not settings["PREDICT_KEY_REQUIRED"]:
        notes.append("No key is needed here; with `PREDICT_KEY_REQUIRED` one is.")
    if route.scope == "sender or label":
        notes.append("Who has the id may say so as a sender; who has a key, as an operator.")
    return notes


def _path(rule: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} | ({"format": "uuid"} if kind == "uuid" else {}),
        }
        for kind, name in _ID.findall(rule)
    ]


def _query(route: DescribedRoute) -> list[dict[str, Any]]:
    return _parameters("query", route.operation.query or {})


def _request_headers(route: DescribedRoute) -> list[dict[str, Any]]:
    return _parameters("header", route.operation.request_headers)


def _parameters(place: str, fields: Query) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": place, "description": field.help, "schema": dict(field.schema)}
        for name, field in fields.items()
    ]


def _body(body: RequestBody, schemas: Schemas, settings: Mapping[str, Any]) -> dict[str, Any]:
    limits = ", ".join(f"`{name}` = {settings[name]:,}" for name in body.most)
    return {
        "description": f"{body.help} Limits: {limits}.".strip(),
        "required": body.required,
        "content": {kind: {"schema": schemas.of(schema)} for kind, schema in body.content.items()},
    }


def _security(scope: str, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keys of which one is needed; an empty one stands for none."""
    if scope == "open":
        return []
    needed = "label" if scope == "sender or label" else scope
    is_needed = scope in ("label", "operate") or (
        scope == "predict" and settings["PREDICT_KEY_REQUIRED"]
    )
    return [*([] if is_needed else [{}]), {"key": [needed]}]


def _answers(route: DescribedRoute, schemas: Schemas) -> dict[str, Any]:
    operation = route.operation
    answers = {
        str(operation.status): {
            "description": HTTPStatus(operation.status).phrase,
            "headers": _headers() | _own_headers(operation.headers),
            **_content({kind: schemas.of(what) for kind, what in operation.answer.items()}),
        }
    }
    if operation.accepted is not None:
        answers["202"] = {
            "description": HTTPStatus.ACCEPTED.phrase,
            "headers": _headers() | _own_headers(_LATER_HEADERS),
            **_content({JSON: schemas.of(operation.accepted)}),
        }
    if "ETag" in operation.headers:
        answers["304"] = {"description": "The caller has it already.", "headers": _headers()}
    for status, meaning in operation.without_body.items():
        answers[str(status)] = {"description": meaning, "headers": _headers()}
    for status, names in sorted(_problems(route).items()):
        lasting = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}
        answers[str(status)] = {
            "description": " ".join(f"`{name}`: {PROBLEMS[name]}" for name in names),
            "headers": _headers(*lasting.get(status, ())),
            **_content({kind: schemas.of(what) for kind, what in operation.problem.items()}),
        }
    return answers


def _problems(route: DescribedRoute) -> dict[int, list[str]]:
    """The problems that there can be, by their status."""
    operation = route.operation
    kinds: list[type[errors.FlaskapiError]] = list(operation.errors)
    if operation.query is not None:
        kinds.append(errors.InvalidRequestError)
    if operation.body:
        kinds += _BODY_ERRORS
    if route.scope != "open":
        kinds += _KEY_ERRORS
    if route.limit:
        kinds.append(errors.RateLimitedError)
    if _ID.search(route.rule):
        kinds.append(errors.NotFoundError)
    kinds.append(errors.OverloadedError)
    problems: dict[int, list[str]] = {500: ["internal-error"]}
    for kind in dict.fromkeys(kinds):
        problems.setdefault(STATUS[kind], []).append(name_of(kind))
    if operation.body and "multipart/form-data" in operation.body.content:
        problems[408] = ["invalid-request"]
    return problems


def _headers(*more: str) -> dict[str, Any]:
    names = ("X-Request-ID", *more)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _own_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"description": help, "schema": {"type": "string"}} for name, help in headers.items()
    }


def _content(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {kind: {"schema": one} for kind, one in schemas.items()}} if schemas else {}
