"""Calculate with integers of 8 bits if that changes next to nothing: it takes half the time and a
third of the file.

The convolutions after the first are quantized; each of their output channels has its own scale. The
first convolution sees the picture itself, and the last layer decides. Both stay `float32`, which
costs little and avoids most of the rounding error.

Weights use 7 of their 8 bits. On a processor without VNNI, ONNX Runtime adds products of u8 and s8
by pairs in 16 bits, and two products of 8 bits saturate
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "When and why do I
need to try U8U8?").

Digits are drawn here, since MNIST may not be there when a model is compiled.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from flaskapi.arrays import Floats
from flaskapi.handwriting.drawn import draw_pictures

CALIBRATION = 1000, 300  # digits and pictures of none, to learn ranges from
CHECKED = 5000, 1000  # others, to compare answers on
SURE = 0.95  # below it an answer is `uncertain`, by default

# Of the digits, at most so many may be named otherwise, and cross `SURE` in either direction.
NAMED_OTHERWISE, CROSSING = 0.004, 0.02
DIFFERENCE = 0.01  # mean of the largest difference of a probability, of digits and of others
OTHERS_SURE = 0.002  # more of what is no digit may be named surely


class Difference(NamedTuple):
    """How a quantized classifier's answers differ from those of its source."""

    named_otherwise: float  # share of the digits
    crossing: float  # share of the digits that are sure with one and not with the other
    digits: float  # mean of the largest difference of a probability
    others: float  # the same, of what is no digit
    others_sure: float  # share of what is no digit that is sure, more than it was

    @property
    def is_small(self) -> bool:
        """May the quantized one serve?"""
        return (
            self.named_otherwise <= NAMED_OTHERWISE
            and self.crossing <= CROSSING
            and max(self.digits, self.others) <= DIFFERENCE
            and self.others_sure <= OTHERS_SURE
        )


def quantize(compiled: Path, target: Path) -> Difference | None:
    """Quantize a compiled classifier, and compare both on drawn digits and drawn pictures of no
    digit.

    Args:
        compiled: the `float32` ONNX file.
        target: where to write the quantized file, which serves only if the difference is small.

    Returns:
        The difference; None if there is nothing to quantize, and nothing was written.
    """
    graph = onnx.load(compiled).graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    if len(convolutions) < 2:
        return None
    digits, others = draw_pictures(*CALIBRATION, seed=0)
    session = onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    shape = source.shape[1:]
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(compiled, prepared, skip_symbolic_shape=True)
        first, *later = _find_layers(onnx.load(prepared).graph)
        quantize_static(
            prepared,
            target,
            _Reader(source.name, np.concatenate([digits, others]).reshape(-1, *shape)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu"],
            nodes_to_quantize=[name for layer in later for name in layer],
            nodes_to_exclude=first,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return compare(compiled, target)


def _find_layers(graph: onnx.GraphProto) -> list[list[str]]:
    """Name each convolution, with the activation after it. Between the two nothing is rounded."""
    relus = {node.input[0]: node.name for node in graph.node if node.op_type == "Relu"}
    return [
        [node.name, *([relus[node.output[0]]] if node.output[0] in relus else [])]
        for node in graph.node
        if node.op_type == "Conv"
    ]


def compare(compiled: Path, quantized: Path) -> Difference:
    """Compare two compiled classifiers on drawn digits and drawn pictures of no digit."""
    digits, others = draw_pictures(*CHECKED, seed=1)
    (was, was_others), (now, now_others) = (
        [answer(path, part) for part in (digits, others)] for path in (compiled, quantized)
    )
    return Difference(
        named_otherwise=float((was.argmax(axis=1) != now.argmax(axis=1)).mean()),
        crossing=float(((was.max(axis=1) < SURE) != (now.max(axis=1) < SURE)).mean()),
        digits=float(np.abs(was - now).max(axis=1).mean()),
        others=float(np.abs(was_others - now_others).max(axis=1).mean()),
        others_sure=float(
            (now_others.max(axis=1) >= SURE).mean() - (was_others.max(axis=1) >= SURE).mean()
        ),
    )


def answer(compiled: Path, images: Floats) -> Floats:
    """The answers of a compiled classifier to images, `float32 (n, ...)`, whatever its input
    shape.
    """
    session = onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    batches = np.array_split(images.reshape(-1, *source.shape[1:]), -(-len(images) // 250))
    return np.concatenate([session.run(None, {source.name: batch})[0] for batch in batches])


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime ships no types
    """Yields images, a few at a time, from which ranges are learned."""

    def __init__(self, name: str, images: Floats) -> None:
        self._name = name
        self._batches: Iterator[Floats] = iter(np.array_split(images, -(-len(images) // 50)))

    def get_next(self) -> dict[str, Floats] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
