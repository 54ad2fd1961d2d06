"""What every answer tells a browser: run nothing, guess nothing, be framed by nobody, and tell
nobody where you come from.

A view that answers with a page sets its own policy; what it has set stays.
"""

from flask import Flask, Response

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def init_app(app: Flask) -> None:
    """Add the headers that an answer lacks."""
    app.after_request(_add_headers)


def _add_headers(response: Response) -> Response:
    said = {name.lower() for name, _ in response.headers}
    for name, value in HEADERS.items():
        if name.lower() not in said:
            response.headers.add(name, value)
    return response
