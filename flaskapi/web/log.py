"""Log lines in the form that the setting LOG_FORMAT names, on standard error or in LOG_FILE.

`text` has what happens beside requests, as Apache's access log has those. `requests` is for a
person at a terminal, `json` for programs: both have a line for each request. No line has a
picture, a key or an address.
"""

import logging
import logging.handlers
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, g, json, request
from flask.logging import default_handler, has_level_handler

from flaskapi.config import wants_color
from flaskapi.errors import SettingError
from flaskapi.steps import Spent
from flaskapi.web.request_id import request_id

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_STDERR = 2
# What would move a terminal's cursor, or worse.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLORS = {"ERROR": 31, "CRITICAL": 31, "WARNING": 33, "2": 32, "3": 36, "4": 33, "5": 31}


def init_app(app: Flask) -> None:
    """Let the application's logger write as the settings say.

    Raises:
        SettingError: LOG_FILE cannot be written.
    """
    form, file = app.config["LOG_FORMAT"], app.config["LOG_FILE"]
    for handler in [one for one in app.logger.handlers if isinstance(one, _Descriptor | _File)]:
        app.logger.removeHandler(handler)  # of an application before this one
        handler.close()
    ours = _make_handler(form, file)
    default_handler.setFormatter(_Text())
    app.logger.removeHandler(default_handler)
    if ours or not has_level_handler(app.logger):
        app.logger.addHandler(ours or default_handler)
    app.logger.setLevel(app.config["LOG_LEVEL"])
    if form != "text":
        app.after_request(_log_request)


def _make_handler(form: str, file: Path | None) -> logging.Handler | None:
    """Make what writes; None for text on standard error, which Flask has."""
    if form == "text" and file is None:
        return None
    handler: logging.Handler
    try:
        handler = _File.make(file) if file else _Descriptor()
    except OSError as error:
        raise SettingError(f"LOG_FILE cannot be written: {error}.") from None
    is_terminal = file is None and os.isatty(_STDERR)
    forms = {"text": _Text(), "json": _Json(), "requests": _Person(wants_color(is_terminal))}
    handler.setFormatter(forms[form])
    return handler


class _Descriptor(logging.Handler):
    """Writes to standard error itself. What mod_wsgi has in its place goes through Apache, which
    writes its own words before each line, and another backslash before each.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(_STDERR, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)


class _File(logging.handlers.WatchedFileHandler):
    """Appends whole lines to a file that processes share, and that may be moved away."""

    @classmethod
    def make(cls, path: Path) -> "_File":
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(path, encoding="utf-8", errors="backslashreplace")


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s [%(request_id)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_id()
        return super().format(record)


class _Json(logging.Formatter):
    """A JSON object in a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": moment, "level": record.levelname}
        if told := getattr(record, "request", None):
            return json.dumps(line | told)
        line |= {"request_id": request_id(), "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Person(logging.Formatter):
    """Short lines, coloured where that can be seen."""

    def __init__(self, colored: bool) -> None:
        super().__init__("%(message)s")
        self._colored = colored

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        if told := getattr(record, "request", None):
            status, steps = str(told["status"]), dict(told["ms"])
            whole = f"{steps.pop('all'):.1f} ms"
            spent = ", ".join(f"{name} {ms:.1f}" for name, ms in steps.items())
            said = f"{record.getMessage()} {whole}" + (f" ({spent})" if spent else "")
            return f"{moment} {self._color(status, status[0])} {said}"
        level = "" if record.levelname == "INFO" else record.levelname + " "
        said = _CONTROLS.sub(lambda found: repr(found[0])[1:-1], super().format(record))
        return self._color(f"{moment} {level}{said}", record.levelname)

    def _color(self, text: str, kind: str) -> str:
        color = _COLORS.get(kind) if self._colored else None
        return text if color is None else f"\x1b[{color}m{text}\x1b[0m"


log = logging.getLogger("flaskapi.requests")


def _log_request(response: Response) -> Response:
    """Log a request when it is answered; one that is answered piece by piece, at its end."""
    told, said, here = _tell(response), _say(), g._get_current_object()

    def write() -> None:
        spent: Spent | None = here.get("spent")
        now_s = time.perf_counter()
        took_s = {"all": now_s - here.get("started_s", now_s)} | (spent.seconds if spent else {})
        told["ms"] = {name: round(seconds * 1000, 2) for name, seconds in took_s.items()}
        told["model"] = here.get("model")
        log.info("%s", said, extra={"request": told})

    if response.is_streamed:
        response.call_on_close(write)
    else:
        write()
    return response


def _tell(response: Response) -> dict[str, Any]:
    """All but what is known only when the answer is sent."""
    key, traceparent = g.get("key"), request.headers.get("traceparent", "")
    return {
        "request_id": request_id(),
        "traceparent": traceparent if TRACEPARENT.fullmatch(traceparent) else None,
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "received_bytes": request.content_length,
        "sent_bytes": None if response.is_streamed else response.calculate_content_length(),
        "key": key.name if key else None,
        "ms": {},
    }


def _say() -> str:
    """For a person: what was asked, without the query."""
    return f"{quote(request.method)} {quote(request.path)}"
