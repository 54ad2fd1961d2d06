"""`train_mnist.py` writes a model and its compiled form, or says why not and writes nothing."""

import functools
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import draw_digit

from flaskapi.serving.classifier import load_classifier
from flaskapi.serving.detector import load_detector

pytestmark = pytest.mark.train

SCRIPT = Path(__file__).parents[1] / "train_mnist.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """120 drawn digits to learn from, 20 to be judged by."""
    labels = np.arange(140, dtype=np.uint8) % 10
    images = np.stack([draw_digit(int(digit), side=28, dark_on_light=False) for digit in labels])
    np.savez(
        tmp_path / "digits.npz",
        x_train=images[:120],
        y_train=labels[:120],
        x_test=images[120:],
        y_test=labels[120:],
    )
    return tmp_path / "digits.npz"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """An empty folder for what is written."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """Where states are kept."""
    return tmp_path / "states"


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def environment() -> dict[str, str]:
    """A user's: nothing set for TensorFlow."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))
    } | {"PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize(
    "order", [[], ["--channels-first"]], ids=["channels last", "channels first"]
)
def test_a_training_writes_a_model_that_serves(
    data: Path, models: Path, states: Path, order: list[str]
) -> None:
    output = models / "my_model.h5"
    arguments = ["--network", "tutorial", "--epochs", 1, "--validation", 20, "--seed", 5, *order]
    done = subprocess.run(
        command("--data", data, "--output", output, "--backup", states, *arguments),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    assert {"my_model.h5", "my_model.onnx"} == {path.name for path in models.iterdir()}
    assert re.search(r"^Test set: \d+\.\d\d% of 20 right, \d+ wrong$", done.stdout, re.MULTILINE)
    assert 10 == len(re.findall(r"^  \d is  ", done.stdout, re.MULTILINE)), (
        "the confusion has a row for each digit"
    )
    assert f"Wrote {output}.\nWrote its compiled form, my_model.onnx." in done.stdout
    classifier = load_classifier(output, models / "cache")
    assert {
        "seed": 5,
        "epochs": 1,
        "validation": 20,
        "channels_first": bool(order),
    }.items() <= classifier.card["training"].items()
    assert ([1, 28, 28] if order else [28, 28, 1]) == classifier.card["input_shape"]
    assert (2, 10) == classifier.probabilities(np.zeros((2, 28, 28, 1), np.float32)).shape
    assert " ".join(["python train_mnist.py", *map(str, arguments)]) == classifier.card["command"]
    assert {"commit", "instructions", "cores", "hours"} <= classifier.card.keys()
    assert [] == list(states.iterdir()), "what is done needs no state any more"
    json.dumps(classifier.card)


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> SystemExit:
    """Run the script in this process, which has TensorFlow already; it must end by `sys.exit`."""
    monkeypatch.setattr(sys, "argv", command(*arguments)[1:])
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return caught.value


def test_a_training_of_the_detector_writes_one_that_serves(
    data: Path,
    models: Path,
    states: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from flaskapi.training import detector

    monkeypatch.setattr(detector, "CALIBRATION_PAGES", 20)
    monkeypatch.setattr(
        detector, "DetectorRecipe", functools.partial(detector.DetectorRecipe, steps=2)
    )
    output = models / "detector.h5"
    arguments = [
        "--data",
        data,
        "--output",
        output,
        "--backup",
        states,
        "--network",
        "detector",
        "--epochs",
        1,
        "--batch-size",
        2,
        "--validation",
        20,
    ]
    assert 0 == run_here(monkeypatch, *arguments).code
    assert re.search(
        r"^Held-out pages: \d+ digits, \d+ found, \d+ read correctly, \d+ false alarms$",
        capsys.readouterr().out,
        re.MULTILINE,
    )
    assert (4, 16, 15) == load_detector(output, models / "cache").detect(
        np.zeros((16, 32), np.float32)
    ).shape


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["--data", "no-folder", "--output", "my_model.h5"],
            r"^error: no-folder: expected a folder with the four MNIST",
            id="no data",
        ),
        pytest.param(
            ["--data", ".", "--output", "my_model.h5"],
            r"^error: train-images-idx3-ubyte: no such file",
            id="a file is missing",
        ),
        pytest.param(
            ["--data", "text.npz", "--output", "my_model.h5"],
            r"^error: text.npz: expected an .npz file",
            id="no npz",
        ),
        pytest.param(
            ["--data", ".", "--output", "my_model.keras"],
            r"^error: my_model.keras: .* must end in .h5",
            id="not .h5",
        ),
        pytest.param(
            ["--data", ".", "--output", "nowhere/my_model.h5"],
            r"^error: nowhere: the folder does not exist",
            id="no folder",
        ),
    ],
)
def test_what_is_wrong_is_named_before_any_training(
    models: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(models)
    (models / "text.npz").write_text("I am no archive.")
    # A text as the code is printed, and ends with status 1.
    assert re.search(said, str(run_here(monkeypatch, *arguments).code))
    assert ["text.npz"] == [path.name for path in models.iterdir()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", 0],
        ["--batch-size", 0],
        ["--epochs", "many"],
        ["--validation", -1],
        ["--network", "resnet"],
        ["--seed", -1],
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    models: Path,
    data: Path,
    arguments: list[object],
) -> None:
    assert (
        2
        == run_here(
            monkeypatch, "--data", data, "--output", models / "my_model.h5", *arguments
        ).code
    )
    assert f"argument {arguments[0]}: " in capsys.readouterr().err
    assert [] == list(models.iterdir())


def test_an_interrupted_training_writes_nothing(data: Path, models: Path, states: Path) -> None:
    old = models / "my_model.h5"
    old.write_bytes(b"the model before")
    arguments = ["--network", "tutorial", "--epochs", 100_000, "--validation", 20]
    with subprocess.Popen(
        command("--data", data, "--output", old, "--backup", states, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "epoch 2/" in line)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert 130 == process.returncode
    assert (
        "Interrupted. Only files that were reported as written have changed."
        == errors.splitlines()[-1]
    )
    assert "Traceback" not in errors
    assert 1 == len(list(states.glob("first-*.npz"))), "and the same command goes on"
    assert {"my_model.h5": b"the model before"} == {
        path.name: path.read_bytes() for path in models.iterdir()
    }
