"""A training that is killed at any moment goes on where it was, to the same weights."""

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from waiting import until

from flaskapi.training.loop import Batch, Training, TrainingPart, multiply_adds
from flaskapi.training.networks import compact, teacher

pytestmark = pytest.mark.train

STEPS, EPOCHS = 5, 3


class Terminal(io.StringIO):
    """Takes what would be shown on a terminal."""

    def isatty(self) -> bool:
        return True


def build() -> keras.Model:
    """A small network with all that a state must hold: averages, statistics and chance."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.AdamW(0.05, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def make(step: int) -> Batch:
    """Make the batch of a step."""
    rng = np.random.default_rng(step)
    images = rng.random((8, 4), np.float32)
    return images, np.eye(3, dtype=np.float32)[rng.integers(0, 3, 8)]


def training(folder: Path | None, out: io.StringIO | None = None, **identity: object) -> Training:
    """A training of two parts that keeps its state after each step."""
    parts = [
        TrainingPart("first", EPOCHS, STEPS, 1.0, is_open=True),
        TrainingPart("finish", 1, STEPS, 3.0),
    ]
    return Training(
        parts, folder=folder, identity=identity, keep_every_s=0, out=out or io.StringIO()
    )


def weights(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(value) for value in model.get_weights()]


@pytest.fixture(scope="module")
def whole() -> keras.Model:
    """After the first part, without an interruption."""
    model = build()
    training(None).fit("first", model, make)
    return model


@pytest.mark.parametrize("stop_at", [1, STEPS - 1, STEPS, 2 * STEPS + 3])
def test_an_interrupted_part_goes_on_to_the_same_weights(
    whole: keras.Model, tmp_path: Path, stop_at: int
) -> None:
    cut, again = build(), build()

    def interrupted(step: int) -> Batch:
        if step == stop_at:
            raise KeyboardInterrupt
        return make(step)

    with pytest.raises(KeyboardInterrupt):
        training(tmp_path).fit("first", cut, interrupted)
    asked = []

    def recorded(step: int) -> Batch:
        asked.append(step)
        return make(step)

    training(tmp_path).fit("first", again, recorded)
    assert list(range(stop_at, EPOCHS * STEPS)) == asked, "no step is made twice, and none left out"
    for expected, found in zip(weights(whole), weights(again), strict=True):
        np.testing.assert_allclose(expected, found, atol=1e-6)


def test_what_is_kept_is_the_mean_of_the_weights_and_learning_goes_on_with_others(
    whole: keras.Model,
) -> None:
    seen = []
    model = build()

    def validate() -> dict[str, float]:
        seen.append(weights(model))
        return {"loss": 0.0}

    training(None).fit("first", model, make, validate=validate)
    assert EPOCHS == len(seen)
    for measured, kept, without in zip(seen[-1], weights(model), weights(whole), strict=True):
        np.testing.assert_array_equal(measured, kept)
        np.testing.assert_allclose(kept, without, atol=1e-6)


def test_a_part_that_is_done_is_not_done_again_and_its_time_still_counts(tmp_path: Path) -> None:
    first = training(tmp_path)
    first.fit("first", build(), make)
    second, asked = training(tmp_path), []
    second.fit("first", build(), lambda step: asked.append(step) or make(step))
    assert [] == asked
    assert 0 < second.hours == pytest.approx(first.hours, rel=0.5)


def test_another_training_in_the_same_folder_begins_anew(tmp_path: Path) -> None:
    training(tmp_path, seed=0).fit("first", build(), make)
    asked: list[int] = []
    training(tmp_path, seed=1).fit("first", build(), lambda step: asked.append(step) or make(step))
    assert EPOCHS * STEPS == len(asked)


@pytest.mark.parametrize("size", [0, 1000])
def test_a_state_that_a_disk_spoiled_begins_anew(tmp_path: Path, size: int) -> None:
    training(tmp_path).fit("first", build(), make)
    (state,) = tmp_path.iterdir()
    state.write_bytes(state.read_bytes()[:size])
    asked: list[int] = []
    training(tmp_path).fit("first", build(), lambda step: asked.append(step) or make(step))
    assert EPOCHS * STEPS == len(asked)


def test_states_are_forgotten_once_they_are_not_needed_and_nothing_else_is(tmp_path: Path) -> None:
    done, other = training(tmp_path), training(tmp_path, seed=1)
    done.fit("first", build(), make)
    done.fit("finish", build(), make)
    other.fit("first", build(), make)
    states = list(tmp_path.iterdir())
    assert 3 == len(states)
    finish = next(path for path in states if path.name.startswith("finish"))
    (tmp_path / f".{finish.stem}.12345.npz").write_bytes(b"of a run that was killed")
    done.forget()
    assert 1 == len(list(tmp_path.iterdir()))


def test_progress_tells_the_share_and_the_time_of_all_parts_together() -> None:
    out = io.StringIO()
    both = training(None, out)

    def slow(step: int) -> Batch:
        time.sleep(0.02)
        return make(step)

    both.fit("first", build(), slow, validate=lambda: {"accuracy": 0.5})
    both.fit("finish", build(), slow)
    lines = out.getvalue().splitlines()
    # Three epochs that cost 5, one that costs 15.
    assert [" 17%", " 33%", " 50%", "100%"] == [re.search(r"\] (....)", one)[1] for one in lines]
    assert "first: epoch 1/3, accuracy" in lines[0]
    assert "held-out accuracy 0.5000" in lines[0]
    assert re.search(r"\[#{10}\.{10}\]  50%, \d+ min left", lines[2])
    assert "finish: epoch 1/1" in lines[3]


def test_progress_stays_on_one_line_of_a_terminal_within_an_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flaskapi.training.loop.SHOW_EVERY_S", 0)
    out = Terminal()
    training(None, out).fit("first", build(), make)
    assert EPOCHS == out.getvalue().count("\n")
    assert out.getvalue().count("\r\x1b[K") >= EPOCHS * STEPS


def test_multiply_adds_are_what_the_networks_say_of_themselves() -> None:
    assert 8e6 == pytest.approx(multiply_adds(compact((28, 28, 1))), rel=0.05)
    assert 42e6 == pytest.approx(multiply_adds(teacher((1, 28, 28))), rel=0.05)


KILLED = """
    import sys, time
    from pathlib import Path
    sys.path[:0] = [{tests!r}]
    from test_loop import build, make, training, weights
    import numpy as np

    def slow(step):
        time.sleep(0.05)
        return make(step)

    model = build()
    training(Path(sys.argv[1])).fit("first", model, slow)
    np.savez(sys.argv[2], *weights(model))
"""


def test_a_training_that_is_killed_again_and_again_comes_to_the_same_weights(
    whole: keras.Model, tmp_path: Path
) -> None:
    """By SIGKILL, each time as soon as a state is newer than that which it went on from."""
    states, result = tmp_path / "states", tmp_path / "weights.npz"
    code = textwrap.dedent(KILLED.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, "-c", code, str(states), str(result)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    kills, reached = 0, [0]
    while kills < 2:
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            until(lambda: process.poll() is not None or _steps(states) > reached[-1], every_s=0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert -signal.SIGKILL == process.returncode, "it was done before it was killed"
        reached.append(_steps(states))
        kills += 1
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert reached == sorted(set(reached)), "each run went on further"
    with np.load(result) as found:
        for expected, name in zip(weights(whole), found.files, strict=True):
            np.testing.assert_allclose(expected, found[name], atol=1e-5)


def _steps(states: Path) -> int:
    for path in states.glob("first-*.npz"):
        with np.load(path) as state:
            return int(state["step"])
    return 0
