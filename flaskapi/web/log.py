"""Log lines on standard error, which Apache writes to its error log: time, level, request and
message.
"""

import logging

from flask import Flask
from flask.logging import default_handler

from flaskapi.web.request_id import request_id


def init_app(app: Flask) -> None:
    default_handler.setFormatter(
        _Formatter("%(asctime)s %(levelname)s [%(request_id)s] %(message)s")
    )
    app.logger.setLevel(app.config["LOG_LEVEL"])


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_id()
        return super().format(record)
