"""Compile the artifact for web processes: ONNX, checked against Keras and marked with its
source.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime

from flaskapi.arrays import Floats
from flaskapi.artifacts.artifact import read_card, replacing
from flaskapi.artifacts.keras_archive import is_archive
from flaskapi.artifacts.keras_file import is_detector, load_artifact
from flaskapi.artifacts.quantize import quantize, quantize_detector
from flaskapi.artifacts.served import as_served
from flaskapi.errors import ModelFileError
from flaskapi.handwriting.conventions import explain, find_convention

TOLERANCE = 1e-5  # largest difference of any probability between Keras and the compiled form
DETECTOR_TOLERANCE = 1e-3  # of its logits, which are about a hundred times as large
_CHECKED_IMAGES = 64
_CHECKED_PAGE = 48, 80, 1


def compile_artifact(
    source: Path, target: Path, *, quantized: bool = True, checks_form: bool = True
) -> None:
    """Compile a model file for ONNX Runtime.

    The compiled form has three metadata: the artifact's SHA-256 (`artifact_sha256`), its card
    (`model_card`) and its arithmetic (`precision`: `float32` or `int8`). In `float32` it is checked
    against Keras. It is then quantized if its answers stay nearly the same (see
    `quantize`).

    Args:
        source: the `.h5` or `.keras` file.
        target: the `.onnx` file to write, whole or not at all.
        checks_form: reject a classifier that takes pictures of another form.
        quantized: calculate with 8 bits if that changes next to nothing.

    Raises:
        ModelFileError: the file does not fit the task, or the compiled form answers otherwise than
            Keras.
    """
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else ""
    model = as_served(load_artifact(source))
    finds = is_detector(model)
    images = np.random.default_rng(0).random(
        (_CHECKED_IMAGES, *(_CHECKED_PAGE if finds else model.input_shape[1:])), np.float32
    )
    images[: _CHECKED_IMAGES // 2] **= 8  # mostly paper, as digits are
    expected = model.predict(images, verbose=0)
    if not np.isfinite(expected).all():
        raise ModelFileError(f"{source.name}: the outputs are not numbers.")
    if not finds and (expected.min() < 0 or np.abs(expected.sum(axis=1) - 1).max() > 1e-3):
        raise ModelFileError(
            f"{source.name}: the 10 outputs are not probabilities; the last layer must be softmax."
        )
    if checks_form and not finds:
        _check_convention(source, model)
    with replacing(target) as temporary:
        with warnings.catch_warnings():
            # Keras 3.15 asks NumPy 2 for it.
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            model.export(temporary, format="onnx", verbose=False)
        _simplify(temporary)
        try:
            answers = _answers(temporary, images)
        except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
            raise ModelFileError(
                f"{source.name}: the compiled form cannot answer: {error}"
            ) from error
        difference = float(np.abs(expected - answers).max())
        tolerance = DETECTOR_TOLERANCE if finds else TOLERANCE
        if not difference < tolerance:
            raise ModelFileError(
                f"{source.name}: the compiled form differs from Keras by {difference:.1e}; allowed "
                f"is {tolerance:.0e}."
            )
        precision = "float32"
        if quantized:
            precision = _take_quantized(temporary, finds=finds)
        compiled = onnx.load(temporary)
        card = {} if is_archive(source) else read_card(source)  # only files made here have one
        onnx.helper.set_model_props(
            compiled,
            {
                "artifact_sha256": sha256,
                "model_card": json.dumps(card),
                "precision": precision,
            },
        )
        onnx.save(compiled, temporary)


def _take_quantized(compiled: Path, *, finds: bool) -> str:
    """Replace a compiled form by its quantized form if they answer alike.

    Returns:
        The arithmetic of the file now: `int8` or `float32`.
    """
    with tempfile.TemporaryDirectory() as folder:
        quantized = Path(folder) / "quantized.onnx"
        difference = (quantize_detector if finds else quantize)(compiled, quantized)
        if difference is None or not difference.is_small:
            return "float32"
        shutil.copyfile(quantized, compiled)
    return "int8"


def _check_convention(source: Path, model: keras.Model) -> None:
    """Reject a classifier that takes pictures of another form than this service gives."""

    def classify(batch: Floats) -> Floats:
        answers: Floats = model.predict(batch.reshape(-1, *model.input_shape[1:]), verbose=0)
        return answers

    if finding := find_convention(classify):
        raise ModelFileError(f"{source.name}: {explain(finding, model.input_shape[1:])}.")


def _simplify(path: Path) -> None:
    """Give every reshape its shape as a constant, with -1 for the batch. It replaces six nodes that
    compute the shape each time.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in [*model.graph.value_info, *model.graph.output]
    }
    for node in model.graph.node:
        known = [dim.dim_value for dim in shapes.get(node.output[0], [])][1:]
        if node.op_type == "Reshape" and known and all(known):
            constant = onnx.numpy_helper.from_array(
                np.array([-1, *known], np.int64), f"{node.name}_shape"
            )
            model.graph.initializer.append(constant)
            node.input[1] = constant.name
    graph = model.graph
    _merge_upsampling(graph)
    while unused := [
        node for node in graph.node if not _names_used(graph).intersection(node.output)
    ]:
        for node in unused:
            graph.node.remove(node)
    for constant in [
        constant for constant in graph.initializer if constant.name not in _names_used(graph)
    ]:
        graph.initializer.remove(constant)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _merge_upsampling(graph: onnx.GraphProto) -> None:
    """Let one node double the sides of what is added to a finer grid; Keras exports thirteen."""
    makers = {output: node for node in graph.node for output in node.output}
    for add in [node for node in graph.node if node.op_type == "Add"]:
        for place, name in enumerate(add.input):
            source = _find_repeated(name, makers)
            if source is None:
                continue
            scales = onnx.numpy_helper.from_array(
                np.array([1, 1, 2, 2], np.float32), f"{add.name}_scales"
            )
            graph.initializer.append(scales)
            doubled = onnx.helper.make_node(
                "Resize",
                [source, "", scales.name],
                [f"{add.name}_doubled"],
                name=f"{add.name}_resize",
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            graph.node.insert(list(graph.node).index(add), doubled)
            add.input[place] = doubled.output[0]


def _find_repeated(name: str, makers: dict[str, onnx.NodeProto]) -> str | None:
    """What is repeated, row by row and column by column, to give this; None where nothing is."""
    is_repeated = False
    while (node := makers.get(name)) and node.op_type in (
        "Transpose",
        "Reshape",
        "Tile",
        "Unsqueeze",
    ):
        is_repeated |= node.op_type == "Tile"
        name = node.input[0]
    return name if is_repeated else None


def _names_used(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in node.input} | {
        output.name for output in graph.output
    }


def _answers(compiled: Path, images: Floats) -> Floats:
    session = onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
    answers: Floats = session.run(None, {session.get_inputs()[0].name: images})[0]
    return answers
