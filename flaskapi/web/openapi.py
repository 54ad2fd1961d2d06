"""`GET /openapi.json`: the interface as programs read it, made when it is first asked for."""

import json
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.routing import Rule

from flaskapi.contract.operations import JSON, DescribedRoute
from flaskapi.web.described import FILE_HEADERS, described
from flaskapi.web.payload import read_query
from flaskapi.web.scopes import open_to_all

blueprint = Blueprint("openapi", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)
    app.extensions["flaskapi-openapi"] = dict[str, bytes]()  # by what stands before every path


@blueprint.get("/openapi.json")
@described({JSON: {"type": "object", "required": ["openapi"]}}, headers=FILE_HEADERS)
@open_to_all
def openapi() -> Response:
    """This description, as OpenAPI 3.1."""
    read_query(request)
    made: dict[str, bytes] = current_app.extensions["flaskapi-openapi"]
    if request.root_path not in made:
        made[request.root_path] = _make(request.root_path)
    response = Response(made[request.root_path], content_type=JSON)
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


def routes_of(app: Flask) -> list[DescribedRoute]:
    """Every route of an application, as its view describes it; Flask's own `static` is none."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    return [one for rule in sorted(rules, key=lambda rule: rule.rule) for one in _routes(app, rule)]


def _routes(app: Flask, rule: Rule) -> list[DescribedRoute]:
    view: Any = app.view_functions[rule.endpoint]
    return [
        DescribedRoute(
            method,
            rule.rule,
            view.__doc__ or "",
            view.scope,  # `scopes.py` has put it there
            getattr(view, "limited_by", None),
            view.operation,  # `described.py` has
        )
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def _make(root: str) -> bytes:
    # Not at the top: a process that nobody asks for it has no need of its library.
    from flaskapi.contract.openapi import describe_service

    app = current_app._get_current_object()  # type: ignore[attr-defined]  # Werkzeug's proxy has it
    document = describe_service(routes_of(app), app.config, root)
    return json.dumps(document, separators=(",", ":")).encode()
