"""Model files that differ, made of the shipped one in no time: neither Keras nor a compiler is needed."""

import hashlib
from pathlib import Path

MODELS = Path(__file__).parents[1] / "models"


def make_artifact(folder: Path, mark: int = 0) -> Path:
    """Write a model file with its compiled form beside it; files with other marks are other versions, which answer alike."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = (MODELS / "my_model.h5").read_bytes()
    artifact, content = folder / "my_model.h5", shipped + str(mark).encode()  # HDF5 does not look beyond its end
    artifact.write_bytes(content)
    old, new = (hashlib.sha256(one).hexdigest().encode() for one in (shipped, content))
    compiled = (MODELS / "my_model.onnx").read_bytes()
    assert 1 == compiled.count(old)
    artifact.with_suffix(".onnx").write_bytes(compiled.replace(old, new))
    return artifact
