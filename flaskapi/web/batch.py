"""`POST /predict/batch`: many images, each read as `/predict` reads one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request, stream_with_context

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.answers import add_id, encode_result, to_result
from flaskapi.contract.headers import UPLOAD
from flaskapi.contract.keeping import Kept
from flaskapi.contract.problems import PICTURE_ERRORS
from flaskapi.errors import FlaskapiError, IdempotencyKeyReusedError
from flaskapi.reading.many import Answer, Route
from flaskapi.reading.predictions import NumberPrediction, Prediction
from flaskapi.submissions.identifiers import new_id
from flaskapi.web.access import key_if_required
from flaskapi.web.described import described
from flaskapi.web.errors import describe
from flaskapi.web.forms_of_answer import (
    CSV,
    JSON,
    TEXT,
    TEXTS,
    csv_header,
    to_row,
    to_text,
    wanted_form,
)
from flaskapi.web.gate import gate
from flaskapi.web.idempotency import Idempotency, find_idempotency
from flaskapi.web.items import read_items
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_query
from flaskapi.web.record import record_once
from flaskapi.web.services import services, this_request
from flaskapi.web.work import Work

blueprint = Blueprint("batch", __name__)
NDJSON = "application/x-ndjson"
_CHUNK_BYTES = 1 << 22
# Lines are sent together, because each piece of an answer costs as much as a small picture.
_FLUSH_LINES, _FLUSH_S = (64, 0.1)
_STATUS_S = 1.0  # within this time an error that ends the request has its own status


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict/batch")
@described(
    {
        JSON: documents.BatchAnswer,
        NDJSON: {"type": "string", "description": "a line of JSON for each image"},
        **TEXTS,
    },
    query=queries.BATCH,
    body=bodies.IMAGES,
    errors=(*PICTURE_ERRORS, IdempotencyKeyReusedError),
    request_headers=UPLOAD,
)
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def predict_batch() -> Response:
    """Read the digit, or the number, in each of many images.

    With `Accept: application/x-ndjson` each line comes as soon as it is known.
    """
    query = read_query(request, queries.BATCH)
    route: Route = "number" if query.get("route") == "number" else "digit"
    reader, idempotency = services().reader, find_idempotency(this_request())
    form = wanted_form(NDJSON)
    gate().admit_batch()
    with ExitStack() as until_answered:
        until_answered.callback(gate().dismiss_batch)
        items = until_answered.enter_context(closing(read_items(request)))
        work = Work()
        results = _results(
            _computed(_chunks(reader.many(items, route, split=False)), work.stopped),
            idempotency,
            keep=query.get("keep") != "false",
        )
        answer = _Document(results) if form == JSON else _Lines(results, form, route)
        return _answer(answer, work, until_answered)


def _results(
    chunks: Iterator[list[Answer]], idempotency: Idempotency | None, *, keep: bool
) -> Iterator[dict[str, Any]]:
    metrics, batch, first = services().metrics, new_id(), 0
    for chunk in chunks:
        for answer in chunk:
            if isinstance(answer.outcome, Prediction):
                metrics.count_prediction(answer.outcome)
            elif isinstance(answer.outcome, NumberPrediction):
                metrics.count_number(answer.outcome)
            else:
                metrics.count_refused()
        read = {
            place: Kept(one.image, one.outcome, one.normalized)
            for place, one in enumerate(chunk, first)
            if not isinstance(one.outcome, Exception)
        }
        recorded = iter(
            record_once([*read.values()], idempotency, batch, keep=keep, places=[*read])
        )
        first += len(chunk)
        for answer in chunk:
            if isinstance(answer.outcome, Exception):
                yield to_result(answer, describe)
            else:
                prediction, identifier = next(recorded)
                yield add_id(to_result(answer._replace(outcome=prediction)), identifier)


def _chunks(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    """Group the results that are kept in one transaction: the first alone, then those that arrive
    within a moment.
    """
    chunk: list[Answer] = []
    size, size_bytes, begun_s = 1, 0, time.monotonic()
    try:
        for answer in answers:
            chunk.append(answer)
            size_bytes += len(answer.image)
            if (
                len(chunk) >= size
                or size_bytes > _CHUNK_BYTES
                or time.monotonic() - begun_s > _FLUSH_S
            ):
                yield chunk
                chunk, size, size_bytes, begun_s = [], _FLUSH_LINES, 0, time.monotonic()
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _computed(chunks: Iterator[list[Answer]], stopped: threading.Event) -> Iterator[list[Answer]]:
    """Compute each group in turn with single images, until nobody waits for the answer."""
    while True:
        with gate().computing_one_of_many():
            chunk = None if stopped.is_set() else next(chunks, None)
        if chunk is None:
            return
        yield chunk


class _Document:
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
        succeeded = len(self._texts) - self._failed
        return (
            f'{{"results":[{",".join(self._texts)}],"succeeded":{succeeded},'
            f'"failed":{self._failed}{error}}}\n'
        )


# For each form that is sent line by line: its header, and the function that writes a line.
_LINES: dict[str, Callable[[Route], tuple[str, Callable[[dict[str, Any]], str]]]] = {
    NDJSON: lambda route: ("", lambda result: encode_result(result) + "\n"),
    TEXT: lambda route: ("", lambda result: to_text(result, route)),
    CSV: lambda route: (csv_header(route), lambda result: to_row(result, route)),
}


class _Lines:
    """A line for each result, the first at once; an error that ends the request comes last."""

    def __init__(self, results: Iterator[dict[str, Any]], form: str, route: Route) -> None:
        """Make lines in one of the forms of `_LINES`."""
        self._results = results
        head, self._to_line = _LINES[form](route)
        self._lines = [head] if head else []
        self.content_type = form if form == NDJSON else f"{form}; charset=utf-8"

    def texts(self) -> Iterator[str]:
        flushed_s = 0.0
        for result in self._results:
            self._lines.append(self._to_line(result))
            if len(self._lines) >= _FLUSH_LINES or time.monotonic() - flushed_s > _FLUSH_S:
                text, self._lines, flushed_s = "".join(self._lines), [], time.monotonic()
                yield text
        if self._lines:
            yield "".join(self._lines)

    def broken(self, error: Exception) -> str:
        """The lines not sent yet, and the error that ended the request."""
        return "".join(self._lines) + self._to_line({"error": _broke_off(error)})


def _answer(answer: _Document | _Lines, work: Work, until_answered: ExitStack) -> Response:
    """Answer while a thread works, to notice when the client leaves.

    An error within a second has its own status; after that the status is 200.
    """
    work.begin(answer.texts(), until_answered.pop_all())
    try:
        first = work.first(_STATUS_S)
    except BaseException:
        work.stop()
        raise
    if first is not None and isinstance(answer, _Document):
        return Response(first, content_type=answer.content_type)
    response = Response(
        stream_with_context(work.rest(first, answer.broken)), content_type=answer.content_type
    )
    response.call_on_close(work.stop)
    return response


def _broke_off(error: Exception) -> dict[str, Any]:
    if isinstance(error, FlaskapiError):  # what else there is, `describe` logs
        current_app.logger.error("an answer of many images broke off: %s", error)
    return describe(error)
