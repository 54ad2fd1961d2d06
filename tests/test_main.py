"""The command line says what it did, or on standard error why it did not."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from uuid import UUID

import pytest
from fakes import FixedClassifier, make_submission

from flaskapi import create_app
from flaskapi.__main__ import main
from flaskapi.commands import TRAIN_EXTRA, tell_missing
from flaskapi.submissions import Submission
from flaskapi.submissions.listing import get_submission

LEGACY = Path(__file__).parent / "data" / "keras_2_2_2" / "keras222_last.h5"
MODELS = Path(__file__).parents[1] / "models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of a model by Keras 2.2.2, with its optimizer."""
    return Path(shutil.copyfile(LEGACY, tmp_path / "my_model.h5"))


@pytest.fixture(autouse=True)
def _environment_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """`compile` sets variables for TensorFlow, which is right for a process that ends after it."""
    for name in ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, {"KERAS_BACKEND": "tensorflow"}.get(name, "1"))


@pytest.mark.process
def test_the_example_that_finds_no_service_says_how_to_name_another() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "examples/boxes.py",
            "examples/number.jpg",
            "out.jpg",
            "http://127.0.0.1:9",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=MODELS.parent,
    )
    assert done.stderr.startswith("error: no service answers at http://127.0.0.1:9: ")
    assert "as the third argument: boxes.py examples/number.jpg out.jpg URL" in done.stderr


@pytest.mark.process
def test_a_reader_who_has_read_enough_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m flaskapi models list | true; echo ${{PIPESTATUS[0]}}"
    environment = os.environ | {"FLASKAPI_INSTANCE_PATH": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, env=environment
    )
    assert ("", "141\n") == (done.stderr, done.stdout)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--help"], ("compile", "strip-optimizer", "card")),
        (["compile", "--help"], ("model", "target")),
    ],
)
def test_help_names_what_there_is(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 0 == caught.value.code
    said = capsys.readouterr().out
    assert all(name in said for name in named)


@pytest.mark.parametrize(
    "arguments", [[], ["compile"], ["bake", "my_model.h5"], ["compile", "a", "b", "c"]]
)
def test_a_command_that_is_not_understood_is_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 2 == caught.value.code
    assert "usage: python -m flaskapi" in capsys.readouterr().err


@pytest.mark.train
def test_compile_writes_beside_the_model_unless_told_otherwise(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, target in (
        ([], model.with_suffix(".onnx")),
        ([str(model.with_name("other.onnx"))], model.with_name("other.onnx")),
    ):
        assert 0 == main(["compile", str(model), *arguments])
        assert target.is_file()
        assert f"Wrote {target}.\n" == capsys.readouterr().out


@pytest.mark.train
def test_a_library_of_serving_is_not_looked_for_in_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is missing where the command was given to the system's Python, most likely."""
    monkeypatch.delitem(sys.modules, "flaskapi.commands.predict.command", raising=False)
    monkeypatch.setitem(sys.modules, "flaskapi.commands.predict.workers", None)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert 1 == main(["predict", "examples/7.png"])
    assert capsys.readouterr().err.endswith(
        "is not installed for this Python, /usr/bin/python3, but serving needs it. Use "
        ".venv/bin/python, which `make run` installs.\n"
    )


def test_each_library_of_the_extra_is_known_to_be_of_it() -> None:
    project = tomllib.loads((MODELS.parent / "pyproject.toml").read_text())["project"]
    named = [re.split(r"[^\w-]", one)[0] for one in project["optional-dependencies"]["train"]]
    for name in named:
        missing = ModuleNotFoundError(name=name.removesuffix("-cpu"))
        assert TRAIN_EXTRA in tell_missing(missing), name


@pytest.mark.parametrize("command", ["compile", "strip-optimizer", "card"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param("I am no model.", id="text", marks=pytest.mark.train),  # Keras looks at it
    ],
)
def test_a_file_that_is_no_model_is_one_line_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, content: str | None
) -> None:
    path = tmp_path / "my_model.h5"
    if content is not None:
        path.write_text(content)
    assert 1 == main([command, str(path)])
    out, err = capsys.readouterr()
    assert "" == out
    assert err.startswith("error: ")
    assert path.name in err
    assert 1 == err.count("\n")
    assert ([path.name] if content else []) == [entry.name for entry in tmp_path.iterdir()]


@pytest.mark.train
def test_a_target_that_cannot_be_written_is_an_error_not_a_traceback(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["compile", str(model), str(model / "my_model.onnx")])
    assert capsys.readouterr().err.startswith("error: ")
    assert LEGACY.read_bytes() == model.read_bytes()


@pytest.mark.process
def test_without_keras_compile_says_what_to_install_and_what_to_run(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "flaskapi.artifacts.compile", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)  # importing it fails as if it were not installed
    assert 1 == main(["compile", str(model)])
    said = capsys.readouterr().err
    assert (
        f"error: my_model.h5 cannot be compiled here: onnx is not installed. {TRAIN_EXTRA}\n"
        == said
    )


@pytest.mark.parametrize("command", ["compile", "strip-optimizer", "card"])
def test_a_missing_file_is_named_before_the_extra_is_asked_for(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    for name in ("onnx", "h5py"):
        monkeypatch.setitem(sys.modules, name, None)
    assert 1 == main([command, str(tmp_path / "none.h5")])
    assert f"error: {tmp_path / 'none.h5'}: the file does not exist.\n" == capsys.readouterr().err


def test_check_says_whether_the_service_would_be_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    assert 0 == main(["check"])
    assert capsys.readouterr().out.startswith("Ready: model 2")
    (tmp_path / "config.toml").write_text("MAX_FORM_PARTS = 0")
    assert 1 == main(["check"])
    assert "expected a whole number of at least 1, found 0" in capsys.readouterr().err
    (tmp_path / "config.toml").write_text('MODEL_PATH = "models/none.h5"')
    assert 1 == main(["check"])
    assert "none.h5 cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(("setting", "status"), [("on", 0), ("required", 1)])
def test_check_says_whether_submissions_would_be_kept(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    status: int,
) -> None:
    """Where the store is not required, a service without one starts all the same."""
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    monkeypatch.setenv("FLASKAPI_STORE", setting)
    assert 0 == main(["check"])
    assert "Ready: store sqlite.\n" in capsys.readouterr().out
    monkeypatch.setenv("FLASKAPI_DATABASE_URL", "sqlite:////proc/none/submissions.db")
    assert status == main(["check"])
    assert "The store cannot be used" in capsys.readouterr().err


@pytest.mark.train
def test_strip_optimizer_says_how_much_it_removed_and_a_second_time_that_there_is_none(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model.stat().st_size
    assert [0, 0] == [main(["strip-optimizer", str(model)]) for _ in range(2)]
    assert [
        f"{model}: {before - model.stat().st_size:,} bytes of optimizer weights removed.",
        f"{model}: no optimizer weights in it.",
    ] == capsys.readouterr().out.splitlines()
    assert model.stat().st_size < before


@pytest.mark.train
def test_card_prints_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["card", str(MODELS / "my_model.h5")])
    assert capsys.readouterr().out.startswith("# Model card: my_model.h5\n")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Submission]:
    """Three submissions of the service of the settings: one of 1970, one of just now, and one of
    just now whose image it shares.
    """
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    sent = [
        make_submission(id=UUID(int=1 << 80)),
        make_submission(image=b"another"),
        make_submission(),
    ]
    store = create_app({"STORE": "on"}, classifier=FixedClassifier()).extensions["flaskapi"].store
    store.record(sent)
    store.close()
    return sent


def still_kept(sent: list[Submission]) -> list[bool]:
    store = create_app({"STORE": "on"}, classifier=FixedClassifier()).extensions["flaskapi"].store
    found = [get_submission(store, one.id) == one for one in sent]
    store.close()
    return found


def test_forget_erases_what_an_id_names(
    kept: list[Submission], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["forget", str(kept[1].id)])
    assert "Erased 1 submission," in capsys.readouterr().out
    assert [True, False, True] == still_kept(kept)
    assert 1 == main(["forget", str(kept[1].id), str(kept[2].id)])
    assert f"no submission with the id {kept[1].id}" in capsys.readouterr().err
    assert [True, False, False] == still_kept(kept)
    assert 1 == main(["forget", str(kept[1].id)])
    assert "" == capsys.readouterr().out


def test_forget_erases_what_is_older_than_so_many_days(kept: list[Submission]) -> None:
    assert 0 == main(["forget", "--older-than", "90"])
    assert [False, True, True] == still_kept(kept)


@pytest.mark.parametrize(
    "arguments", [[], ["--older-than", "-1"], ["--older-than", "nan"], ["--older-than", "1e9"]]
)
def test_forget_erases_nothing_that_was_not_asked_for(
    arguments: list[str], kept: list[Submission], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["forget", *arguments])
    assert 1 == capsys.readouterr().err.count("\n")
    assert [True, True, True] == still_kept(kept)
