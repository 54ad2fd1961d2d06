"""The forms of the answer to many images: one JSON document, or a line for each image."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import current_app

from flaskapi.contract import documents
from flaskapi.contract.answers import encode_result
from flaskapi.errors import FlaskapiError
from flaskapi.reading.many import Route
from flaskapi.web.errors import describe
from flaskapi.web.forms_of_answer import CSV, JSON, TEXT, TEXTS, csv_header, to_row, to_text

NDJSON = "application/x-ndjson"
# As the description has them.
FORMS: dict[str, Any] = {
    JSON: documents.BatchAnswer,
    NDJSON: {"type": "string", "description": "a line of JSON for each image"},
    **TEXTS,
}
BEGIN_DOCUMENT = '{"results":['
# Lines are sent together, because each piece of an answer costs as much as a small picture.
FLUSH_LINES, FLUSH_S = (64, 0.1)


def end_document(succeeded: int, failed: int, error: str = "") -> str:
    """The end of the document, behind the results; `error` is its last member, with a comma."""
    return f'],"succeeded":{succeeded},"failed":{failed}{error}}}\n'


def content_type(form: str) -> str:
    """The media type of a form, as an answer has it."""
    return form if form in (JSON, NDJSON) else f"{form}; charset=utf-8"


class Document:
    """One JSON document, written as results arrive: the text of a result takes a sixth of the
    memory of its values.
    """

    content_type = "application/json"

    def __init__(self, results: Iterator[dict[str, Any]]) -> None:
        self._results = results
        self._texts: list[str] = []
        self._failed = 0

    def texts(self) -> Iterator[str]:
        for result in self._results:
            self._texts.append(encode_result(result))
            self._failed += "error" in result
        yield self._whole()

    def broken(self, error: Exception) -> str:
        """The results so far, and the error that ended the request."""
        return self._whole(f',"error":{encode_result(_broke_off(error))}')

    def _whole(self, error: str = "") -> str:
        end = end_document(len(self._texts) - self._failed, self._failed, error)
        return f"{BEGIN_DOCUMENT}{','.join(self._texts)}{end}"


# For each form that is sent line by line: its header, and the function that writes a line.
LINES: dict[str, Callable[[Route], tuple[str, Callable[[dict[str, Any]], str]]]] = {
    NDJSON: lambda route: ("", lambda result: encode_result(result) + "\n"),
    TEXT: lambda route: ("", lambda result: to_text(result, route)),
    CSV: lambda route: (csv_header(route), lambda result: to_row(result, route)),
}


class Lines:
    """A line for each result, the first at once; an error that ends the request comes last."""

    def __init__(self, results: Iterator[dict[str, Any]], form: str, route: Route) -> None:
        """Make lines in one of the forms of `LINES`."""
        self._results = results
        head, self._to_line = LINES[form](route)
        self._lines = [head] if head else []
        self.content_type = content_type(form)

    def texts(self) -> Iterator[str]:
        flushed_s = 0.0
        for result in self._results:
            self._lines.append(self._to_line(result))
            if len(self._lines) >= FLUSH_LINES or time.monotonic() - flushed_s > FLUSH_S:
                text, self._lines, flushed_s = "".join(self._lines), [], time.monotonic()
                yield text
        if self._lines:
            yield "".join(self._lines)

    def broken(self, error: Exception) -> str:
        """The lines not sent yet, and the error that ended the request."""
        return "".join(self._lines) + self._to_line({"error": _broke_off(error)})


def _broke_off(error: Exception) -> dict[str, Any]:
    if isinstance(error, FlaskapiError):  # what else there is, `describe` logs
        current_app.logger.error("an answer of many images broke off: %s", error)
    return describe(error)
