"""Errors as the caller sees them: `application/problem+json` (RFC 9457), one shape for all of
them.
"""

from typing import Any

from flask import Flask, Response, current_app, json, request
from werkzeug.exceptions import HTTPException, InternalServerError

from flaskapi import errors
from flaskapi.contract import problems
from flaskapi.contract.problems import PROBLEMS, STATUS, detail_of, make_document, name_of
from flaskapi.web.request_id import request_id
from flaskapi.web.scopes import open_to_all

_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 500: "internal-error"}
RETRY_AFTER_S = 30
OVERLOADED_RETRY_AFTER_S = 5  # as Apache says where it refuses by itself


def init_app(app: Flask) -> None:
    app.register_error_handler(errors.FlaskapiError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.add_url_rule("/problems/", "problems", _list)
    app.add_url_rule("/problems/<name>", "problem", _explain)


def problem(name: str, status: int, detail: str, **more: Any) -> Response:
    """Make an answer of the one shape: type, title, status, detail and request_id, then whatever
    else is worth saying.
    """
    document = make_document(name, status, detail, base=request.root_path, request_id=request_id())
    if request.path.startswith("/v2/"):  # clients of the Open Inference Protocol look for this
        document["error"] = detail
    response = Response(
        json.dumps(document | more) + "\n", status, content_type="application/problem+json"
    )
    if status == 503:
        wait_s = OVERLOADED_RETRY_AFTER_S if name == "overloaded" else RETRY_AFTER_S
        response.headers["Retry-After"] = str(wait_s)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def describe(error: Exception) -> dict[str, Any]:
    """The same shape without an answer of its own, for one image of many."""
    return problems.describe(error, base=request.root_path, request_id=request_id())


def _domain_error(error: errors.FlaskapiError) -> Response:
    response = problem(name_of(type(error)), STATUS[type(error)], detail_of(error))
    if isinstance(error, errors.RateLimitedError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _http_error(error: HTTPException) -> Response | HTTPException:
    """Translate Flask's and Werkzeug's own errors, a crash (500) included, and keep their headers,
    such as Allow.
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
        detail = f"{request.method} is not for {request.path}, but {methods}."
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
    """What may have been meant: where there are addresses with ids, most likely an id was
    mistyped.
    """
    if path.startswith(("/submissions/", "/retrainings/")):
        return "An id is written as answers have it, such as 01a20550-970d-7108-901e-df08ce33c220."
    return "There are the page, GET /, and POST /predict, /predict/number and /predict/batch."


@open_to_all
def _list() -> Response:
    """Name every problem with its meaning, a line for each."""
    return Response(
        "".join(f"{name}: {meaning}\n" for name, meaning in PROBLEMS.items()),
        content_type="text/plain; charset=utf-8",
    )


@open_to_all
def _explain(name: str) -> Response:
    """Say what a problem means, to a person who follows the link in `type`."""
    if name not in PROBLEMS:
        return problem("not-found", 404, f"There is no problem named '{name}'.")
    return Response(PROBLEMS[name] + "\n", content_type="text/plain; charset=utf-8")
