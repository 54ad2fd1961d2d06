"""`POST /predict/batch`: many images, each read as `/predict` reads one."""

import time
from collections.abc import Iterator
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
from flaskapi.web.items import read_items
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import KEEP, read_query
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
    query = read_query(request, route=("digit|number", "'digit' or 'number'"), keep=KEEP)
    route: Route = "number" if query.get("route") == "number" else "digit"
    reader = services().reader
    with ExitStack() as until_answered:
        items = until_answered.enter_context(closing(read_items(request)))
        results = _results(reader.many(items, route), keep=query.get("keep") != "false")
        # The first is made here, so that what stops all of them, such as a missing model, still has
        # a status of its own.
        results = chain([next(results)], results)
        if request.accept_mimetypes.best_match(["application/json", NDJSON]) == NDJSON:
            return Response(
                stream_with_context(_stream(results, until_answered.pop_all())), content_type=NDJSON
            )
        return _answer_whole(results)


def _results(answers: Iterator[Answer], *, keep: bool) -> Iterator[dict[str, Any]]:
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
        ids = iter(record(kept, batch, keep=keep))
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


def _stream(results: Iterator[dict[str, Any]], until_answered: ExitStack) -> Iterator[str]:
    """Write a line for each result, the first at once; an error after that cannot change the
    status, and is the last line.
    """
    lines: list[str] = []
    flushed_s = 0.0
    with until_answered:
        try:
            for result in results:
                lines.append(encode_result(result) + "\n")
                if len(lines) >= _FLUSH_LINES or time.monotonic() - flushed_s > _FLUSH_S:
                    yield "".join(lines)
                    lines, flushed_s = [], time.monotonic()
        except Exception as error:
            if isinstance(error, FlaskapiError):  # what else there is, `describe` logs
                current_app.logger.error("an answer of many lines broke off: %s", error)
            lines.append(encode_result({"error": describe(error)}) + "\n")
        if lines:
            yield "".join(lines)
