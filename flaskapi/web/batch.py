"""`POST /predict/batch`: many images, each read as `/predict` reads one."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request, stream_with_context

from flaskapi.contract.answers import add_id, encode_result, to_result
from flaskapi.contract.keeping import Kept
from flaskapi.errors import FlaskapiError
from flaskapi.reading.many import Answer, Route
from flaskapi.reading.predictions import NumberPrediction, Prediction
from flaskapi.submissions.identifiers import new_id
from flaskapi.web.access import key_if_required
from flaskapi.web.errors import describe
from flaskapi.web.forms_of_answer import (
    CSV,
    JSON,
    TEXT,
    csv_header,
    to_row,
    to_text,
    wanted_form,
)
from flaskapi.web.items import read_items
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_query
from flaskapi.web.record import record
from flaskapi.web.services import services

blueprint = Blueprint("batch", __name__)
NDJSON = "application/x-ndjson"
_CHUNK_BYTES = 1 << 22
# Lines go out together, for each piece of an answer costs as much as a small picture.
_FLUSH_LINES, _FLUSH_S = (64, 0.1)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict/batch")
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def predict_batch() -> Response:
    """Read the digit, or with `?route=number` the number, in each image; line by line with `Accept:
    application/x-ndjson`.
    """
    query = read_query(request, route=("digit|number", "'digit' or 'number'"))
    route: Route = "number" if query.get("route") == "number" else "digit"
    reader = services().reader
    with ExitStack() as until_answered:
        items = until_answered.enter_context(closing(read_items(request)))
        results = _results(reader.many(items, route))
        # The first is made here, so that what stops all of them, such as a missing model, still has
        # a status of its own.
        results = chain([next(results)], results)
        form = wanted_form(NDJSON)
        if form == JSON:
            return _answer_whole(results)
        lines = _stream(results, until_answered.pop_all(), *_LINES[form](route))
        kind = form if form == NDJSON else f"{form}; charset=utf-8"
        return Response(stream_with_context(lines), content_type=kind)


def _results(answers: Iterator[Answer]) -> Iterator[dict[str, Any]]:
    metrics, batch = services().metrics, new_id()
    for chunk in _chunks(answers):
        for answer in chunk:
            if isinstance(answer.outcome, Prediction):
                metrics.count_prediction(answer.outcome)
            elif isinstance(answer.outcome, NumberPrediction):
                metrics.count_number(answer.outcome)
        kept = [
            Kept(one.image, one.outcome, one.normalized)
            for one in chunk
            if not isinstance(one.outcome, Exception)
        ]
        ids = iter(record(kept, batch))
        for answer in chunk:
            result = to_result(answer, describe)
            yield result if "error" in result else add_id(result, next(ids))


def _chunks(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    """Put together what is kept in one transaction: the first alone, then as many as come within a
    moment.
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


def _answer_whole(results: Iterator[dict[str, Any]]) -> Response:
    """Answer with one document, written as it goes: the text of a result takes a sixth of the
    memory of its values.
    """
    texts, failed = [], 0
    for result in results:
        texts.append(encode_result(result))
        failed += "error" in result
    document = (
        f'{{"results":[{",".join(texts)}],"succeeded":{len(texts) - failed},"failed":{failed}}}\n'
    )
    return Response(document, content_type="application/json")


# Of each form that comes line by line: its head, and what makes a line of a result.
_LINES: dict[str, Callable[[Route], tuple[str, Callable[[dict[str, Any]], str]]]] = {
    NDJSON: lambda route: ("", lambda result: encode_result(result) + "\n"),
    TEXT: lambda route: ("", lambda result: to_text(result, route)),
    CSV: lambda route: (csv_header(route), lambda result: to_row(result, route)),
}


def _stream(
    results: Iterator[dict[str, Any]],
    until_answered: ExitStack,
    head: str,
    to_line: Callable[[dict[str, Any]], str],
) -> Iterator[str]:
    """Write a line for each result, the first at once; an error after that cannot change the
    status, and is the last line.
    """
    lines: list[str] = [head] if head else []
    flushed_s = 0.0
    with until_answered:
        try:
            for result in results:
                lines.append(to_line(result))
                if len(lines) >= _FLUSH_LINES or time.monotonic() - flushed_s > _FLUSH_S:
                    yield "".join(lines)
                    lines, flushed_s = [], time.monotonic()
        except Exception as error:
            if isinstance(error, FlaskapiError):  # what else there is, `describe` logs
                current_app.logger.error("an answer of many lines broke off: %s", error)
            lines.append(to_line({"error": describe(error)}))
        if lines:
            yield "".join(lines)
