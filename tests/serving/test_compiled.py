"""The compiled form of exactly this model file is found, or built once, by another process."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flaskapi.errors import ModelUnavailableError
from flaskapi.serving import compiled
from flaskapi.serving.compiled import build_compiled, find_compiled, is_compiled_from

MODELS = Path(__file__).parents[2] / "models"
LEGACY = Path(__file__).parents[1] / "data" / "keras_2_2_2"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped artifact, without its compiled form."""
    folder = tmp_path / "models"
    folder.mkdir()
    return Path(shutil.copyfile(MODELS / "my_model.h5", folder / "my_model.h5"))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Builds take the shipped compiled form in place of TensorFlow's work; this lists where they
    put it.
    """
    targets: list[Path] = []

    def build(model_path: Path, target: Path) -> None:
        targets.append(target)
        shutil.copyfile(MODELS / "my_model.onnx", target)

    monkeypatch.setattr(compiled, "build_compiled", build)
    return targets


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_shipped_compiled_form_is_built_from_the_shipped_artifact() -> None:
    assert is_compiled_from(sha256_of(MODELS / "my_model.h5"), MODELS / "my_model.onnx")


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "text", "cut off", "a folder", "of another artifact"]
)
def test_what_is_not_whole_or_names_another_artifact_does_not_count(
    tmp_path: Path, damage: str
) -> None:
    path, sha256, whole = (
        tmp_path / "my_model.onnx",
        sha256_of(MODELS / "my_model.h5"),
        (MODELS / "my_model.onnx").read_bytes(),
    )
    if damage == "a folder":
        path.mkdir()
    elif damage == "of another artifact":
        path.write_bytes(whole)
        sha256 = "0" * 64
    elif damage != "missing":
        path.write_bytes(
            {"empty": b"", "text": b"I am no model.", "cut off": whole[:-1000]}[damage]
        )
    assert not is_compiled_from(sha256, path)


def test_a_compiled_form_beside_the_model_is_taken_as_it_is(
    model: Path, tmp_path: Path, builds: list[Path]
) -> None:
    beside = Path(shutil.copyfile(MODELS / "my_model.onnx", model.with_suffix(".onnx")))
    assert beside == find_compiled(model, tmp_path / "cache")
    assert [] == builds


@pytest.mark.parametrize("before", [None, b"damaged"])
def test_a_missing_or_damaged_one_is_built_beside_the_model_and_then_kept(
    model: Path, tmp_path: Path, builds: list[Path], before: bytes | None
) -> None:
    beside = model.with_suffix(".onnx")
    if before is not None:
        beside.write_bytes(before)
    assert [beside, beside] == [find_compiled(model, tmp_path / "cache") for _ in range(2)]
    assert [beside] == builds
    assert {model, beside} == set(model.parent.iterdir()), "the lock must leave nothing"
    assert not (tmp_path / "cache").exists()


def test_where_the_models_folder_is_read_only_the_cache_is_used(
    model: Path, tmp_path: Path, builds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere.
    monkeypatch.setattr(compiled.os, "access", lambda path, mode: path != model.parent)
    found = [find_compiled(model, tmp_path / "instance" / "cache") for _ in range(2)]
    expected = tmp_path / "instance" / "cache" / f"{sha256_of(model)}.onnx"
    assert ([expected] * 2, [expected]) == (found, builds)
    assert [model] == list(model.parent.iterdir())


def test_a_cache_that_cannot_be_made_is_an_error_that_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled.os, "access", lambda path, mode: False)
    (tmp_path / "cache").write_text("a file, where a folder should be")
    with pytest.raises(
        ModelUnavailableError, match=r"compiled form of my_model\.h5 cannot be written: "
    ):
        find_compiled(model, tmp_path / "cache")


def test_a_missing_model_is_an_error_that_says_so(tmp_path: Path, builds: list[Path]) -> None:
    with pytest.raises(
        ModelUnavailableError, match=r"^nowhere\.h5 cannot be read: No such file or directory\.$"
    ):
        find_compiled(tmp_path / "nowhere.h5", tmp_path / "cache")
    with pytest.raises(ModelUnavailableError, match="this is a folder, not a model file"):
        find_compiled(tmp_path, tmp_path / "cache")
    assert [] == builds


@pytest.mark.process
def test_a_build_that_takes_too_long_is_given_up(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "BUILD_TIMEOUT_S", 0)
    with pytest.raises(
        ModelUnavailableError, match=r"my_model\.h5: compiling took longer than 0 s"
    ):
        build_compiled(model, model.with_suffix(".onnx"))
    assert [model] == list(model.parent.iterdir())


@pytest.mark.train
def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    """In the words of the child process, without its traceback."""
    (tmp_path / "my_model.h5").write_text("I am no model.")
    with pytest.raises(
        ModelUnavailableError,
        match=r"^my_model\.h5: not a Keras model file, or damaged: it is not whole in HDF5 form\.$",
    ):
        find_compiled(tmp_path / "my_model.h5", tmp_path / "cache")
    assert ["my_model.h5"] == [path.name for path in tmp_path.iterdir()]


ASK = """
import json, sys
from pathlib import Path
import numpy as np
from flaskapi.serving import compiled
from flaskapi.serving.classifier import load_classifier

build_compiled, builds = compiled.build_compiled, []
compiled.build_compiled = lambda *paths: builds.append(paths) or build_compiled(*paths)
model, images = map(Path, sys.argv[1:])
sys.stdin.readline()  # all begin together
classifier = load_classifier(model, model.parent / "cache")
answers = classifier.probabilities(np.load(images)).tolist()
heavy = sorted({"keras", "tensorflow"} & set(sys.modules))
said = {"builds": len(builds), "answers": answers, "version": classifier.version, "heavy": heavy}
print(json.dumps(said))
"""


@pytest.mark.train
def test_a_new_model_is_built_once_even_if_several_processes_ask_at_once(tmp_path: Path) -> None:
    """Each gets the same build, a channels-first model of Keras 2.2.2, and none loads TensorFlow
    itself.
    """
    model = Path(shutil.copyfile(LEGACY / "keras222_first.h5", tmp_path / "my_model.h5"))
    command = [sys.executable, "-c", ASK, str(model), str(LEGACY / "x.npy")]
    asking = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in asking:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [json.loads(process.communicate()[0]) for process in asking]
    assert [0, 0, 1] == sorted(one["builds"] for one in told)
    assert {sha256_of(model)[:8]} == {one["version"] for one in told}, (
        "a model from elsewhere has no date"
    )
    assert [[]] * 3 == [one["heavy"] for one in told]
    expected = np.load(LEGACY / "keras222_first_probabilities.npy")
    for one in told:
        assert one["answers"] == pytest.approx(expected, abs=1e-5)
    assert {"my_model.h5", "my_model.onnx"} == {path.name for path in tmp_path.iterdir()}
