"""Errors as callers receive them: `application/problem+json` (RFC 9457), all in one shape."""

from typing import Any

from flask import Flask, Response, current_app, json, request
from werkzeug.exceptions import HTTPException, InternalServerError

from flaskapi import errors
from flaskapi.contract import problems
from flaskapi.contract.operations import JSON, PROBLEM
from flaskapi.contract.problems import PROBLEMS, STATUS, detail_of, make_document, name_of
from flaskapi.web.described import described
from flaskapi.web.request_id import request_id
from flaskapi.web.scopes import open_to_all

_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 500: "internal-error"}
RETRY_AFTER_S = 30
OVERLOADED_RETRY_AFTER_S = 5  # the value in Apache's own refusals


def init_app(app: Flask) -> None:
    app.register_error_handler(errors.FlaskapiError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.add_url_rule("/problems/", "problems", _list)
    app.add_url_rule("/problems/<name>", "problem", _explain)


def problem(name: str, status: int, detail: str, **more: Any) -> Response:
    """Make an answer in that shape: type, title, status, detail and request_id, then any other
    members.
    """
    document = make_document(name, status, detail, base=request.root_path, request_id=request_id())
    kind = PROBLEM
    if request.path.startswith("/v2/"):  # clients of the Open Inference Protocol look for these
        document["error"], kind = detail, JSON
    response = Response(json.dumps(document | more) + "\n", status, content_type=kind)
    if status == 503:
        wait_s = OVERLOADED_RETRY_AFTER_S if name == "overloaded" else RETRY_AFTER_S
        response.headers["Retry-After"] = str(wait_s)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def describe(error: Exception) -> dict[str, Any]:
    """Give the same shape for one image of many, without an answer of its own."""
    return problems.describe(error, base=request.root_path, request_id=request_id())


def _domain_error(error: errors.FlaskapiError) -> Response:
    response = problem(name_of(type(error)), STATUS[type(error)], detail_of(error))
    if isinstance(error, errors.RateLimitedError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _http_error(error: HTTPException) -> Response | HTTPException:
    """Translate errors of Flask and Werkzeug, including unexpected ones (500), and keep their
    headers, such as Allow.
    """
    status = error.code or 500
    if status < 400:
        return error
    name = _BY_STATUS.get(status, "invalid-request")
    detail = error.description or ""
    if status == 413:
        whole = (request.content_length or 0) > current_app.config["MAX_REQUEST_BYTES"]
        keys = (
            ("MAX_REQUEST_BYTES",)
            if whole
            else ("MAX_FORM_FIELD_BYTES", "MAX_FORM_PARTS", "MAX_REQUEST_BYTES")
        )
        limits = (f"{key} = {current_app.config[key]:,}" for key in keys)
        which = "the limit" if whole else "one of the limits"
        detail = f"The request is larger than {which} of this service: {', '.join(limits)}."
    elif status == 405:
        methods = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        detail = f"{request.path} does not allow {request.method}; it allows {methods}."
    elif status == 404:
        detail = f"There is nothing at {request.path}. {_hint(request.path)}"
    elif isinstance(error, InternalServerError):
        detail = PROBLEMS["internal-error"]
    response = problem(name, status, detail)
    for header, value in error.get_headers():
        if header.lower() not in ("content-type", "content-length"):
            response.headers[header] = value
    return response


def _hint(path: str) -> str:
    """Guess what was meant: below addresses with ids, most likely the id was mistyped."""
    if path.startswith(("/submissions/", "/retrainings/", "/batches/")):
        return "An id has the form 01a20550-970d-7108-901e-df08ce33c220, as in answers."
    return "Use the page, GET /, or POST /predict, /predict/number and /predict/batch."


@described({"text/plain": {"type": "string"}}, query=None)
@open_to_all
def _list() -> Response:
    """List every problem with its meaning, one on each line."""
    return Response(
        "".join(f"{name}: {meaning}\n" for name, meaning in PROBLEMS.items()),
        content_type="text/plain; charset=utf-8",
    )


@described({"text/plain": {"type": "string"}}, query=None)
@open_to_all
def _explain(name: str) -> Response:
    """Explain a problem to a person who follows the link in `type`."""
    if name not in PROBLEMS:
        return problem("not-found", 404, f"There is no problem named '{name}'.")
    return Response(PROBLEMS[name] + "\n", content_type="text/plain; charset=utf-8")
