"""Answers as tensors of the Open Inference Protocol, version 2, in JSON or raw.

Raw tensors stand behind the JSON, in the order of the outputs, little-endian ("binary tensor data",
an extension of the protocol). https://github.com/kserve/open-inference-protocol
"""

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from flaskapi.errors import InvalidRequestError
from flaskapi.reading.predictions import Prediction

MODEL = "digits"
EXTENSIONS = ("binary_tensor_data",)
_LENGTH = struct.Struct("<I")


class InferredDigit(NamedTuple):
    """A digit that was read, and the receipt of what was kept, if it was."""

    prediction: Prediction
    identifier: str | None


class _Output(NamedTuple):
    datatype: str
    each: tuple[int, ...]  # the shape of what there is for each picture
    values: Callable[[InferredDigit], Sequence[Any]]
    pack: Callable[[Sequence[Any]], bytes]


class AskedOutput(NamedTuple):
    """An output that a client asks for."""

    name: str
    is_raw: bool = False


def _packer(form: str) -> Callable[[Sequence[Any]], bytes]:
    return lambda values: struct.pack(f"<{len(values)}{form}", *values)


def _pack_texts(texts: Sequence[str]) -> bytes:
    return b"".join(_LENGTH.pack(len(text)) + text.encode() for text in texts)


_OUTPUTS = {
    "digit": _Output("INT64", (), lambda one: [one.prediction.digit], _packer("q")),
    "confidence": _Output("FP32", (), lambda one: [one.prediction.confidence], _packer("f")),
    "probabilities": _Output("FP32", (10,), lambda one: one.prediction.probabilities, _packer("f")),
    "uncertain": _Output("BOOL", (), lambda one: [one.prediction.uncertain], _packer("?")),
    "id": _Output("BYTES", (), lambda one: [one.identifier or ""], _pack_texts),
}


def describe_model(version: str) -> dict[str, Any]:
    """The metadata of the model, of which one version answers."""
    return {
        "name": MODEL,
        "versions": [version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 28, 28, 1]}],
        "outputs": [
            {"name": name, "datatype": output.datatype, "shape": [-1, *output.each]}
            for name, output in _OUTPUTS.items()
        ],
    }


def check_outputs(asked: Iterable[AskedOutput], *, is_raw: bool) -> list[AskedOutput]:
    """Give the outputs that are asked for; all of them where none is.

    Raises:
        InvalidRequestError: there is no such output.
    """
    found = list(asked) or [AskedOutput(name, is_raw) for name in _OUTPUTS]
    for one in found:
        if one.name not in _OUTPUTS:
            raise InvalidRequestError(
                f"There is no output {one.name[:40]!r}; there are {', '.join(_OUTPUTS)}."
            )
    return found


def encode_answer(
    answered: Sequence[InferredDigit], asked: Iterable[AskedOutput], request_id: str | None
) -> tuple[bytes, int | None]:
    """Write the answer to a request.

    Args:
        answered: one for each picture, at least one.
        asked: the outputs, as `check_outputs` gave them.
        request_id: the client's name for its request, if it gave one.

    Returns:
        The body; how much of it is JSON, where raw tensors stand behind.
    """
    first = answered[0].prediction
    outputs, tensors = [], []
    for name, is_raw in asked:
        output = _OUTPUTS[name]
        values = [value for one in answered for value in output.values(one)]
        said: dict[str, Any] = {
            "name": name,
            "datatype": output.datatype,
            "shape": [len(answered), *output.each],
        }
        if is_raw:
            tensors.append(output.pack(values))
            outputs.append(said | {"parameters": {"binary_data_size": len(tensors[-1])}})
        else:
            outputs.append(said | {"data": values})
    document = {
        "model_name": MODEL,
        "model_version": first.model,
        **({} if request_id is None else {"id": request_id}),
        "parameters": {"generation": first.generation},
        "outputs": outputs,
    }
    head = json.dumps(document, separators=(",", ":")).encode()
    return b"".join((head, *tensors)), len(head) if tensors else None
