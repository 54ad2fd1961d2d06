"""Model files that differ, made of the shipped one in no time: neither Keras nor a compiler is
needed.
"""

import hashlib
import subprocess
from pathlib import Path
from unittest import mock

from flaskapi.versions.registry import Registry

MODELS = Path(__file__).parents[1] / "models"


def make_artifact(folder: Path, mark: int = 0) -> Path:
    """Write a model file with its compiled form beside it; files with other marks are other
    versions, which answer alike.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shipped = (MODELS / "my_model.h5").read_bytes()
    # HDF5 does not look beyond its end.
    artifact, content = (folder / "my_model.h5", shipped + str(mark).encode())
    artifact.write_bytes(content)
    old, new = (hashlib.sha256(one).hexdigest().encode() for one in (shipped, content))
    compiled = (MODELS / "my_model.onnx").read_bytes()
    assert 1 == compiled.count(old)
    artifact.with_suffix(".onnx").write_bytes(compiled.replace(old, new))
    return artifact


def make_versions(folder: Path, many: int) -> Registry:
    """Register so many versions below `folder`, the oldest first. Cards are written as where the
    extra `train` is missing, which takes no second each.
    """
    registry = Registry(folder / "versions", MODELS / "my_model.h5", folder / "cache")
    with mock.patch(
        "flaskapi.versions.version.run_command",
        lambda *command: subprocess.CompletedProcess(command, 1),
    ):
        for mark in range(many):
            registry.add(make_artifact(folder / str(mark), mark))
    return registry


def make_other(folder: Path, *, shift: int = 0, most_ink: float | None = None) -> Path:
    """Write a model that answers the digit plus `shift`, and what is no number to pictures with
    more ink than that.

    Needs the package onnx. The artifact is the shipped one: only the compiled form tells of the
    change.
    """
    import onnx
    from onnx import TensorProto, helper

    artifact = make_artifact(folder, 100 * shift + 1000 * (most_ink is not None))
    model = onnx.load(artifact.with_suffix(".onnx"))
    graph, (output,) = model.graph, model.graph.output
    for node in graph.node:
        node.output[:] = ["answers" if name == output.name else name for name in node.output]
    places = [(digit - shift) % 10 for digit in range(10)]
    constants = {
        "places": (TensorProto.INT64, places),
        "none": (TensorProto.FLOAT, [0.0]),
        "row": (TensorProto.INT64, [-1, 1]),
    }
    constants |= {
        "sides": (TensorProto.INT64, [1, 2, 3]),
        "most": (TensorProto.FLOAT, [most_ink or 784.0]),
    }
    graph.initializer.extend(
        helper.make_tensor(name, kind, [len(values)], values)
        for name, (kind, values) in constants.items()
    )
    graph.node.extend(
        [
            helper.make_node("Gather", ["answers", "places"], ["shifted"], axis=1),
            helper.make_node("ReduceSum", [graph.input[0].name, "sides"], ["ink"], keepdims=0),
            helper.make_node("Sub", ["most", "ink"], ["left"]),
            helper.make_node("Sqrt", ["left"], ["root"]),  # of less than nothing there is none
            helper.make_node("Mul", ["root", "none"], ["nothing"]),
            helper.make_node("Reshape", ["nothing", "row"], ["column"]),
            helper.make_node("Add", ["shifted", "column"], [output.name]),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, artifact.with_suffix(".onnx"))
    return artifact
