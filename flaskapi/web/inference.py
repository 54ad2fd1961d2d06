"""`/v2`: the Open Inference Protocol, version 2, over REST. Each image is read, kept and counted as
one that is sent to `/predict`.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from flask import Blueprint, Flask, Response, request

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.keeping import Kept
from flaskapi.contract.operations import JSON
from flaskapi.contract.problems import PICTURE_ERRORS
from flaskapi.contract.release import find_release
from flaskapi.contract.tensors import (
    EXTENSIONS,
    MODEL,
    InferredDigit,
    describe_model,
    encode_answer,
)
from flaskapi.errors import FlaskapiError, ModelUnavailableError, NotFoundError
from flaskapi.reading.many import Answer
from flaskapi.reading.predictions import DigitReading, Prediction
from flaskapi.reading.reader import Reader
from flaskapi.sources import Item
from flaskapi.submissions.identifiers import new_id
from flaskapi.web import operations
from flaskapi.web.access import key_if_required
from flaskapi.web.described import described
from flaskapi.web.gate import gate, receive
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import read_query
from flaskapi.web.record import record
from flaskapi.web.scopes import open_to_all
from flaskapi.web.services import services
from flaskapi.web.tensors import JSON_LENGTH, read_inference

blueprint = Blueprint("inference", __name__, url_prefix="/v2")
_FAULT = {JSON: documents.InferenceProblem}
_TOGETHER = 64  # images that are kept in one transaction


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("")
@described(documents.InferenceServer, query=None, problem=_FAULT)
@open_to_all
def describe_server() -> dict[str, Any]:
    """Name the server, and the extensions of the protocol that it knows."""
    return {
        "name": "flaskapi",
        "version": find_release(),
        "extensions": list(EXTENSIONS),
    }


@blueprint.get("/health/live")
@described(documents.InferenceLive, query=None, problem=_FAULT)
@open_to_all
def live() -> dict[str, bool]:
    """The process runs."""
    return {"live": True}


@blueprint.get("/health/ready")
@described(
    documents.InferenceReady,
    query=None,
    errors=(ModelUnavailableError,),
    problem=_FAULT,
)
@open_to_all
def ready() -> dict[str, bool] | Response:
    """Everything that an answer needs is there, as `/health/ready` says it."""
    answer = operations.ready()
    return answer if isinstance(answer, Response) else {"ready": True}


@blueprint.get("/models/<name>")
@blueprint.get("/models/<name>/versions/<version>")
@described(documents.InferenceModel, query=None, problem=_FAULT)
@open_to_all
def describe(name: str, version: str | None = None) -> dict[str, Any]:
    """Say what the model takes and gives."""
    return describe_model(_find_reader(name, version).classifier.version)


@blueprint.get("/models/<name>/ready")
@blueprint.get("/models/<name>/versions/<version>/ready")
@described(
    documents.InferenceModelReady,
    query=None,
    errors=(ModelUnavailableError,),
    problem=_FAULT,
)
@open_to_all
def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
    """The model answers."""
    _find_reader(name, version).check()
    return {"name": name, "ready": True}


@blueprint.post("/models/<name>/infer")
@blueprint.post("/models/<name>/versions/<version>/infer")
@described(
    {JSON: documents.Inferred, "application/octet-stream": bodies.BINARY},
    query=queries.INFERENCE,
    body=bodies.INFERENCE,
    errors=PICTURE_ERRORS,
    problem=_FAULT,
)
@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def infer(name: str, version: str | None = None) -> Response:
    """Read the digit in each image of a tensor. Where one cannot be read, none is kept."""
    query = read_query(request, queries.INFERENCE)
    reader = _find_reader(name, version)
    with gate().computing(receive(request)):
        asked = read_inference(request)
    is_one = len(asked.images) == 1
    with services().store.expect() if is_one else nullcontext():
        readings = _read(reader, asked.images)
        if version is not None and readings[0].prediction.model != version:
            raise _no_version(version, readings[0].prediction.model)
        for reading in readings:
            services().metrics.count_prediction(reading.prediction)
        identifiers = _keep(asked.images, readings, keep=query.get("keep") != "false")
    answered = [
        InferredDigit(reading.prediction, identifier)
        for reading, identifier in zip(readings, identifiers, strict=True)
    ]
    body, json_length = encode_answer(answered, asked.outputs, asked.id)
    if json_length is None:
        return Response(body, content_type="application/json")
    response = Response(body, content_type="application/octet-stream")
    response.headers[JSON_LENGTH] = str(json_length)
    return response


def _find_reader(name: str, version: str | None) -> Reader:
    """What reads for this request.

    Raises:
        NotFoundError: another model is meant, or a version that does not serve.
    """
    if name != MODEL:
        raise NotFoundError(f"There is no model {name[:100]!r}; there is {MODEL!r}.")
    reader = services().reader
    if version is not None and version != reader.classifier.version:
        raise _no_version(version, reader.classifier.version)
    return reader


def _no_version(asked: str, serving: str) -> NotFoundError:
    return NotFoundError(f"The version {asked[:100]!r} does not serve; {serving!r} does.")


def _read(reader: Reader, images: Sequence[bytes]) -> list[DigitReading]:
    """Read all images; several take turns with the requests of others.

    Raises:
        FlaskapiError: one cannot be read; of several the text says which.
    """
    if len(images) == 1:
        with gate().computing(sum(map(len, images))):
            return [reader.digit(images[0])]
    gate().admit_batch()
    try:
        items = (Item(str(place), image) for place, image in enumerate(images))
        answers, readings = reader.many(items, split=False), list[DigitReading]()
        while True:
            with gate().computing_one_of_many():
                answer = next(answers, None)
            if answer is None:
                return readings
            readings.append(_reading(answer))
    finally:
        gate().dismiss_batch()


def _reading(answer: Answer) -> DigitReading:
    outcome = answer.outcome
    if isinstance(outcome, FlaskapiError):
        raise type(outcome)(f"Image {answer.name} (the first is 0): {outcome}") from outcome
    if isinstance(outcome, Exception):
        raise outcome
    assert isinstance(outcome, Prediction)
    assert answer.normalized is not None
    return DigitReading(outcome, answer.normalized)


def _keep(
    images: Sequence[bytes], readings: Sequence[DigitReading], *, keep: bool
) -> list[str | None]:
    batch = new_id() if len(images) > 1 else None
    kept = [Kept(image, *reading) for image, reading in zip(images, readings, strict=True)]
    return [
        identifier
        for start in range(0, len(kept), _TOGETHER)
        for identifier in record(kept[start : start + _TOGETHER], batch, keep=keep)
    ]
