"""`GET /`: the page for people, and its files.

The page has no build step and loads nothing from elsewhere: `page/` holds it as it is sent. Its
policy lets the browser use only what this service sends.
"""

import os
from pathlib import Path

from flask import Blueprint, Flask, Response, request

from flaskapi.errors import NotFoundError
from flaskapi.web.described import FILE_HEADERS, described
from flaskapi.web.payload import read_query
from flaskapi.web.scopes import open_to_all

blueprint = Blueprint("pages", __name__)
FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",  # pictures before they are sent, and the 28x28 image
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_FILE = {"type": "string"}
_PAGE = {"text/html": _FILE}
_PARTS = dict.fromkeys(TYPES.values(), _FILE) | {TYPES[".webmanifest"]: {"type": "object"}}


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/")
@described(_PAGE, headers=FILE_HEADERS)
@open_to_all
def page() -> Response:
    """The page: draw, choose, drop, paste or photograph a picture, and see the answer."""
    read_query(request)
    return _send_part("index.html")


@blueprint.get("/operations")
@described(_PAGE, headers=FILE_HEADERS)
@open_to_all
def operations() -> Response:
    """The operators' page. It shows nothing without a key, because all its requests need one."""
    read_query(request)
    return _send_part("operations.html")


@blueprint.get("/page/<name>")
@described(_PARTS, headers=FILE_HEADERS)
@open_to_all
def part(name: str) -> Response:
    """One of the files of the pages."""
    read_query(request)
    if not os.path.isfile(FOLDER / name) or Path(name).suffix not in TYPES:
        raise NotFoundError(f"There is nothing at {request.path}.")
    return _send_part(name)


def _send_part(name: str) -> Response:
    response = send(FOLDER / name, POLICY)
    if name == "service-worker.js":
        response.headers["Service-Worker-Allowed"] = "/"
    return response


def send(path: Path, policy: str) -> Response:
    """Send a file, or say that the browser has it: an update of the service is seen at once."""
    response = Response(path.read_bytes(), mimetype=TYPES[path.suffix])
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = policy
    response.make_conditional(request)
    return response
