"""Calculate with integers of 8 bits if that changes next to nothing: it takes half the time and a
third of the file.

The convolutions after the first are quantized; each of their output channels has its own scale. The
first convolution sees the picture itself, and the last layer decides. Both stay `float32`, also if
the last is a convolution. So does a detector's second convolution. This costs little and avoids
most of the rounding error.

Weights use 7 of their 8 bits. On a processor without VNNI, ONNX Runtime adds products of u8 and s8
by pairs in 16 bits, and two products of 8 bits saturate
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "When and why do I
need to try U8U8?").

Digits and pages are drawn here, since MNIST may not be there when a model is compiled.
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
from flaskapi.digits.page import VALUES
from flaskapi.handwriting.drawn import draw_digits, draw_pictures
from flaskapi.handwriting.pages import draw_page, draw_targets

CALIBRATION = 1000, 300  # digits and pictures of none, to learn ranges from
CHECKED = 5000, 1000  # others, to compare answers on
CALIBRATION_PAGES, CHECKED_PAGES = 200, 1000  # of a detector; the latter show 5,000 digits
SURE = 0.95  # below it an answer is `uncertain`, by default
THERE = 0.5  # presence above which a digit is there
_TOGETHER = 50  # pictures that are answered at once; more take memory, and no less time

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


# Of the digits on drawn pages, at most so many may be found by one alone, or named otherwise.
FOUND_OTHERWISE, PAGE_DIGITS_NAMED_OTHERWISE = 0.01, 0.01
PRESENCE_DIFFERENCE, BOX_DIFFERENCE = 0.02, 0.1  # means; of a box in cells of the answer
ELSEWHERE = 0.0005  # of the cells where no digit is: said to be one by one alone


class PageDifference(NamedTuple):
    """How a quantized detector's answers differ from those of the one it was made of."""

    found_otherwise: float  # share of the digits that one finds and the other does not
    named_otherwise: float  # share of the digits
    presence: float  # mean difference at a digit's centre
    box: float  # mean difference of a box's four values there
    elsewhere: float  # share of the cells where none is, and one of the two says so

    @property
    def is_small(self) -> bool:
        """May the quantized one serve?"""
        return (
            self.found_otherwise <= FOUND_OTHERWISE
            and self.named_otherwise <= PAGE_DIGITS_NAMED_OTHERWISE
            and self.presence <= PRESENCE_DIFFERENCE
            and self.box <= BOX_DIFFERENCE
            and self.elsewhere <= ELSEWHERE
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
    pictures = np.concatenate(draw_pictures(*CALIBRATION, seed=0))
    written = _write_quantized(compiled, target, pictures, after=1)
    return compare(compiled, target) if written else None


def quantize_detector(compiled: Path, target: Path) -> PageDifference | None:
    """Quantize a compiled detector, and compare both on drawn pages; see `quantize`."""
    pages, _ = _draw_pages(CALIBRATION_PAGES, seed=0)
    if not _write_quantized(compiled, target, pages, after=2):
        return None
    return compare_detectors(compiled, target)


def _write_quantized(compiled: Path, target: Path, pictures: Floats, *, after: int) -> bool:
    """Write the quantized form of a network whose ranges are learned from `float32 (n, height,
    width)`; False where there is nothing to quantize. The first convolutions stay as they are.
    """
    if not _find_layers(onnx.load(compiled).graph, after):
        return False
    session = onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(compiled, prepared, skip_symbolic_shape=True)
        layers = _find_layers(onnx.load(prepared).graph, after)
        quantize_static(
            prepared,
            target,
            _Reader(source.name, _as_taken(pictures, source)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu"],
            nodes_to_quantize=[name for layer in layers for name in layer],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return True


def _find_layers(graph: onnx.GraphProto, after: int) -> list[list[str]]:
    """Name each convolution to quantize, with the activation after it. Between the two nothing is
    rounded.
    """
    relus = {node.input[0]: node.name for node in graph.node if node.op_type == "Relu"}
    weighted = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return [
        [node.name, *([relus[node.output[0]]] if node.output[0] in relus else [])]
        for node in weighted[after:-1]
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


def compare_detectors(compiled: Path, quantized: Path) -> PageDifference:
    """Compare two compiled detectors on drawn pages."""
    pages, targets = _draw_pages(CHECKED_PAGES, seed=1)
    near = targets[..., 0]
    was, now = (
        answer(path, pages).reshape(*near.shape, VALUES) for path in (compiled, quantized)
    )  # (pages, rows, columns, 15)
    was_there, now_there = (1 / (1 + np.exp(-said[..., 0])) for said in (was, now))
    is_center, is_empty = near == 1, near == 0
    crosses = (was_there > THERE) != (now_there > THERE)
    names = [said[..., 1:11].argmax(axis=-1) for said in (was, now)]
    return PageDifference(
        found_otherwise=float(crosses[is_center].mean()),
        named_otherwise=float((names[0] != names[1])[is_center].mean()),
        presence=float(np.abs(was_there - now_there)[is_center].mean()),
        box=float(np.abs(was - now)[..., 11:][is_center].mean()),
        elsewhere=float(crosses[is_empty].mean()),
    )


def _draw_pages(count: int, *, seed: int) -> tuple[Floats, Floats]:
    """Draw pages of drawn digits, `float32 (count, 64, 256)`, and what a detector should answer."""
    rng = np.random.default_rng(seed)
    images, labels = draw_digits(CHECKED[0], rng)
    pages = [draw_page(images, labels, rng) for _ in range(count)]
    return np.stack([page.pixels for page in pages]), np.stack(
        [draw_targets(page.digits) for page in pages]
    )


def answer(compiled: Path, images: Floats) -> Floats:
    """The answers of a compiled classifier to images, `float32 (n, ...)`, whatever its input
    shape.
    """
    session = onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    batches = np.array_split(_as_taken(images, source), -(-len(images) // _TOGETHER))
    return np.concatenate([session.run(None, {source.name: batch})[0] for batch in batches])


def _as_taken(images: Floats, source: onnxruntime.NodeArg) -> Floats:
    """Images in the shape that a session takes; a detector takes pages of any height and width."""
    sides = zip(source.shape[1:], (*images.shape[1:3], 1), strict=True)
    return images.reshape(-1, *(side if isinstance(side, int) else own for side, own in sides))


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime ships no types
    """Yields images, a few at a time, from which ranges are learned."""

    def __init__(self, name: str, images: Floats) -> None:
        self._name = name
        self._batches: Iterator[Floats] = iter(np.array_split(images, -(-len(images) // _TOGETHER)))

    def get_next(self) -> dict[str, Floats] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
