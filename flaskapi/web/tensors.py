"""Read an inference request: its JSON, and the raw tensor that may stand behind it."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from flask import Request

from flaskapi.contract.tensors import AskedOutput, check_outputs
from flaskapi.errors import InvalidRequestError
from flaskapi.sources.tensors import FILES, Tensor, check_tensor, read_numbers, read_raw
from flaskapi.web.encoded import decode_text
from flaskapi.web.payload import parse_document
from flaskapi.web.unpack import unpack_request

# How much of a body is JSON, where a raw tensor stands behind it; of requests and of answers.
JSON_LENGTH = "Inference-Header-Content-Length"
MOST_IMAGES = 1_000  # in one request: it is answered at once, not line by line
_LONGEST_ID = 256  # characters


class Inference(NamedTuple):
    """What a request asks for."""

    images: list[bytes]  # files
    outputs: list[AskedOutput]
    id: str | None  # the client's name for the request


def read_inference(request: Request) -> Inference:
    """Read the images that a request carries, and the outputs that it asks for.

    Raises:
        InvalidRequestError: the request is malformed, or of another form than is read here.
        MissingImageError: an image's text is not base64.
        TooLargeError: there are too many images.
    """
    if request.content_encoding:
        request = unpack_request(request)
    document, raw = _split_body(request)
    identifier = document.get("id")
    if not (identifier is None or isinstance(identifier, str)) or len(identifier or "") > (
        _LONGEST_ID
    ):
        raise InvalidRequestError(f"The 'id' must be a text of at most {_LONGEST_ID} characters.")
    parameters = _parameters(document, "The request")
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InvalidRequestError("The JSON must have a list 'inputs' with one tensor.")
    outputs = check_outputs(
        _read_outputs(document.get("outputs")),
        is_raw=parameters.get("binary_data_output") is True,
    )
    return Inference(list(_read_images(inputs[0], raw, parameters)), outputs, identifier)


def _split_body(request: Request) -> tuple[dict[str, Any], bytes]:
    body, length = request.get_data(cache=False), request.headers.get(JSON_LENGTH)
    size = len(body)
    if length is not None:
        if not re.fullmatch("[0-9]{1,18}", length) or int(length) > size:
            raise InvalidRequestError(
                f"The header {JSON_LENGTH} is {length[:20]!r}; the body has {size:,} bytes."
            )
        size = int(length)
    document = parse_document(body[:size])
    if not isinstance(document, dict):
        raise InvalidRequestError("The JSON is no object.")
    return document, body[size:]


def _parameters(of: dict[str, Any], name: str) -> dict[str, Any]:
    found = of.get("parameters")
    if found is not None and not isinstance(found, dict):
        raise InvalidRequestError(f"{name} has 'parameters' that are no object.")
    return found or {}


def _read_outputs(outputs: Any) -> Iterator[AskedOutput]:
    if not isinstance(outputs, list | None):
        raise InvalidRequestError("The 'outputs' must be a list.")
    for output in outputs or ():
        if not isinstance(output, dict) or not isinstance(output.get("name"), str):
            raise InvalidRequestError("Each of the 'outputs' must have a 'name'.")
        parameters = _parameters(output, "An output")
        if parameters.get("classification"):
            raise InvalidRequestError(
                "The parameter 'classification' is not known here; 'probabilities' has them all."
            )
        yield AskedOutput(output["name"], parameters.get("binary_data") is True)


def _read_images(said: dict[str, Any], raw: bytes, whole: dict[str, Any]) -> Iterator[bytes]:
    tensor = _read_tensor(said)
    check_tensor(tensor, MOST_IMAGES)
    own = _parameters(said, tensor.name)
    size = own.get("binary_data_size")
    if size is not None or raw:
        if type(size) is not int or size != len(raw) or "data" in said:
            raise InvalidRequestError(
                f"{tensor.name} must say how many bytes stand behind the JSON, {len(raw):,}, as "
                "its parameter 'binary_data_size', and have no 'data'."
            )
        return read_raw(tensor, raw)
    data = said.get("data")
    if not isinstance(data, list):
        raise InvalidRequestError(f"{tensor.name} has no list 'data'.")
    if tensor.datatype == FILES:
        return _read_texts(tensor, data, (whole | own).get("content_type"))
    return read_numbers(tensor, data)


def _read_tensor(said: dict[str, Any]) -> Tensor:
    name, datatype, shape = said.get("name"), said.get("datatype"), said.get("shape")
    if (
        isinstance(name, str)
        and isinstance(datatype, str)
        and isinstance(shape, list)
        and all(type(side) is int for side in shape)
    ):
        return Tensor(f"The input '{name[:40]}'", datatype, tuple(shape))
    raise InvalidRequestError("The input must have a 'name', a 'datatype' and a 'shape'.")


def _read_texts(tensor: Tensor, data: list[Any], content_type: Any) -> Iterator[bytes]:
    """Read image files in JSON, for which the protocol has no form of its own."""
    if content_type != "base64":
        raise InvalidRequestError(
            f"{tensor.name} has image files as text. Send them raw behind the JSON, or in base64 "
            'with the parameter "content_type": "base64".'
        )
    texts = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in data]
    if len(texts) != tensor.pictures:
        raise InvalidRequestError(
            f"{tensor.name} has {len(texts):,} texts; its shape holds {tensor.pictures:,}."
        )
    for place, text in enumerate(texts):
        yield decode_text(text, f"{tensor.name}[{place}]")
