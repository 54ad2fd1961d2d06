"""`GET /docs`: the description for people, as Swagger UI shows it, from files of this service.

The files are those that the package flask-swagger-ui carries; its own view is not used, for its
page has a script within, which the policy does not let run.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Flask, Response, request

from flaskapi.errors import NotFoundError
from flaskapi.web.described import FILE_HEADERS, described
from flaskapi.web.pages import send
from flaskapi.web.payload import read_query
from flaskapi.web.scopes import open_to_all

blueprint = Blueprint("docs", __name__)
OWN = Path(__file__).parent / "docs"
SHIPPED = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI writes styles into its elements
        "img-src 'self' blob: data:",  # its signs are data: URLs, answered pictures blob:
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_FILE = {"type": "string"}


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/docs")
@described({"text/html": _FILE}, headers=FILE_HEADERS)
@open_to_all
def docs() -> Response:
    """The page that shows this description, and tries what it describes."""
    read_query(request)
    return send(OWN / "index.html", POLICY)


@blueprint.get("/docs/<name>")
@described(dict.fromkeys(("text/css", "text/javascript", "image/png"), _FILE), headers=FILE_HEADERS)
@open_to_all
def docs_part(name: str) -> Response:
    """One of the files that the page is made of."""
    read_query(request)
    if name == "start.js":
        return send(OWN / name, POLICY)
    if name in SHIPPED:
        return send(_shipped_folder() / name, POLICY)
    raise NotFoundError(f"There is nothing at {request.path}.")


@cache
def _shipped_folder() -> Path:
    """Where Swagger UI lies: the package itself is not loaded."""
    spec = find_spec("flask_swagger_ui")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "dist"
