"""Every answer has an `X-Request-ID`, the caller's own if it is valid; the log has it too."""

import re
import uuid

from flask import Flask, Response, g, has_request_context, request

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9@._-]{1,64}")


def init_app(app: Flask) -> None:
    app.after_request(_add_header)


def request_id() -> str:
    """The id of the current request; a dash outside of one."""
    if not has_request_context():
        return "-"
    if "request_id" not in g:
        sent = request.headers.get(HEADER, "")
        g.request_id = sent if _SANE.fullmatch(sent) else uuid.uuid4().hex
    identifier: str = g.request_id
    return identifier


def _add_header(response: Response) -> Response:
    response.headers[HEADER] = request_id()
    return response
