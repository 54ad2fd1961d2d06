"""`GET /`: the page for people, and its files.

The page has no build step and loads nothing from elsewhere: `page/` holds it as it is sent. Its
policy lets the browser use only what this service sends.
"""

import os
from pathlib import Path

from flask import Blueprint, Flask, Response, request

from flaskapi.errors import NotFoundError
from flaskapi.web.payload import read_query
from flaskapi.web.scopes import open_to_all

blueprint = Blueprint("pages", __name__)
FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
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


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/")
@open_to_all
def page() -> Response:
    """The page: draw, choose, drop, paste or photograph a picture, and see the answer."""
    read_query(request)
    return _send("index.html")


@blueprint.get("/operations")
@open_to_all
def operations() -> Response:
    """The operators' page. It shows nothing without a key, because all its requests need one."""
    read_query(request)
    return _send("operations.html")


@blueprint.get("/page/<name>")
@open_to_all
def part(name: str) -> Response:
    """One of the files of the pages."""
    read_query(request)
    if not os.path.isfile(FOLDER / name) or Path(name).suffix not in TYPES:
        raise NotFoundError(f"There is nothing at {request.path}.")
    return _send(name)


def _send(name: str) -> Response:
    """Send a file, or say that the browser's copy is current: an update is visible at once."""
    response = Response((FOLDER / name).read_bytes(), mimetype=TYPES[Path(name).suffix])
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = POLICY
    if name == "service-worker.js":
        response.headers["Service-Worker-Allowed"] = "/"
    response.make_conditional(request)
    return response
