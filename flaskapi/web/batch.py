"""`POST /predict/batch`: many images, each read as `/predict` reads one."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

from flask import Blueprint, Flask, Response, request, stream_with_context

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.answers import add_id, to_result
from flaskapi.contract.headers import LATER, UPLOAD
from flaskapi.contract.keeping import Kept
from flaskapi.contract.problems import PICTURE_ERRORS
from flaskapi.errors import IdempotencyKeyReusedError, RateLimitedError
from flaskapi.reading.many import Answer
from flaskapi.reading.predictions import NumberPrediction, Prediction
from flaskapi.submissions.identifiers import new_id
from flaskapi.web.access import key_if_required
from flaskapi.web.batch_forms import FLUSH_LINES, FLUSH_S, FORMS, NDJSON, Document, Lines
from flaskapi.web.batches import accept, wants_later
from flaskapi.web.described import described
from flaskapi.web.errors import describe
from flaskapi.web.forms_of_answer import JSON, wanted_form
from flaskapi.web.gate import gate
from flaskapi.web.idempotency import Idempotency, find_idempotency
from flaskapi.web.items import read_again, read_items
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_query
from flaskapi.web.record import record_once
from flaskapi.web.services import services, this_request
from flaskapi.web.work import Work

blueprint = Blueprint("batch", __name__)
_CHUNK_BYTES = 1 << 22
_STATUS_S = 1.0  # within this time an error that ends the request has its own status


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.post("/predict/batch")
@described(
    FORMS,
    query=queries.BATCH,
    body=bodies.IMAGES,
    errors=(*PICTURE_ERRORS, IdempotencyKeyReusedError, RateLimitedError),
    request_headers={**UPLOAD, **LATER},
    accepted=documents.BatchState,
)
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def predict_batch() -> Response:
    """Read the digit, or the number, in each of many images.

    With `Accept: application/x-ndjson` each line comes as soon as it is known. With
    `Prefer: respond-async` a worker reads them, and the answer says where to fetch what it read.
    """
    query = read_query(request, queries.BATCH)
    route = queries.read_route(query)
    reader, idempotency = services().reader, find_idempotency(this_request())
    form = wanted_form(NDJSON)
    gate().admit_batch()
    with ExitStack() as until_answered:
        until_answered.callback(gate().dismiss_batch)
        sent = this_request()
        if wants_later() and idempotency is None:
            if accepted := accept(query):
                return accepted
            sent = read_again(sent)
        items = until_answered.enter_context(closing(read_items(sent)))
        work = Work()
        results = _results(
            _computed(chunks_of(reader.many(items, route, split=False)), work.stopped),
            idempotency,
            keep=query.get("keep") != "false",
        )
        answer = Document(results) if form == JSON else Lines(results, form, route)
        return _answer(answer, work, until_answered)


def _results(
    chunks: Iterator[list[Answer]], idempotency: Idempotency | None, *, keep: bool
) -> Iterator[dict[str, Any]]:
    batch, first = new_id(), 0
    for chunk in chunks:
        count_answers(chunk)
        places = [
            place
            for place, one in enumerate(chunk, first)
            if not isinstance(one.outcome, Exception)
        ]
        recorded = record_once(kept_of(chunk), idempotency, batch, keep=keep, places=places)
        said = iter(one.prediction for one in recorded)
        answers = [
            one if isinstance(one.outcome, Exception) else one._replace(outcome=next(said))
            for one in chunk
        ]
        yield from to_results(answers, [one.id for one in recorded])
        first += len(chunk)


def count_answers(chunk: list[Answer]) -> None:
    """Count answers and errors, for `/metrics`."""
    metrics = services().metrics
    for answer in chunk:
        if isinstance(answer.outcome, Prediction):
            metrics.count_prediction(answer.outcome)
        elif isinstance(answer.outcome, NumberPrediction):
            metrics.count_number(answer.outcome)
        else:
            metrics.count_refused()


def kept_of(chunk: list[Answer]) -> list[Kept]:
    """What is to be kept of answers; of errors nothing is."""
    return [
        Kept(one.image, one.outcome, one.normalized)
        for one in chunk
        if not isinstance(one.outcome, Exception)
    ]


def to_results(chunk: list[Answer], ids: Sequence[str | None]) -> Iterator[dict[str, Any]]:
    """Each answer as JSON has it, with its id.

    Args:
        ids: of each that is no error the id under which it is kept.
    """
    following = iter(ids)
    for answer in chunk:
        result = to_result(answer, describe)
        yield result if "error" in result else add_id(result, next(following))


def chunks_of(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
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
                or time.monotonic() - begun_s > FLUSH_S
            ):
                yield chunk
                chunk, size, size_bytes, begun_s = [], FLUSH_LINES, 0, time.monotonic()
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


def _answer(answer: Document | Lines, work: Work, until_answered: ExitStack) -> Response:
    """Answer while a thread works, to notice when the client leaves.

    An error within a second has its own status; after that the status is 200.
    """
    work.begin(answer.texts(), until_answered.pop_all())
    try:
        first = work.first(_STATUS_S)
    except BaseException:
        work.stop()
        raise
    if first is not None and isinstance(answer, Document):
        return Response(first, content_type=answer.content_type)
    response = Response(
        stream_with_context(work.rest(first, answer.broken)), content_type=answer.content_type
    )
    response.call_on_close(work.stop)
    return response
