"""Headers of every answer that tell a browser to run nothing, guess no type, allow no frame and
send no referrer.

A view that answers with a page sets its own policy, which is kept.
"""

from flask import Flask, Response

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def init_app(app: Flask) -> None:
    """Add the headers that an answer does not have yet."""
    app.after_request(_add_headers)


def _add_headers(response: Response) -> Response:
    said = {name.lower() for name, _ in response.headers}
    for name, value in HEADERS.items():
        if name.lower() not in said:
            response.headers.add(name, value)
    return response
