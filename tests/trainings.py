"""A small data set of drawn digits, model files to read and spoil, and what to do where Keras is
not installed.
"""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import draw_digit

from flaskapi.sources.mnist import Dataset

if TYPE_CHECKING:
    import keras

LEGACY = Path(__file__).parent / "data" / "keras_2_2_2"

# TensorFlow reads them when it is imported; without oneDNN it runs no channels-first convolution on
# a CPU. The networks of the tests are small: threads would mostly wait for each other, in every
# process that tests.
os.environ |= {
    "KERAS_BACKEND": "tensorflow",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


class NotAsked(pytest.Module):
    """Stands for a test module of which no test is chosen: importing Keras takes seconds."""

    def collect(self) -> Iterator[pytest.Item]:
        return iter(())


class WithoutKeras(pytest.Module):
    """Stands for a test module that cannot even be imported."""

    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip("Keras is not installed: pip install '.[train]'", allow_module_level=True)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """A user without Keras sees modules that need it skipped with the reason; in CI they fail.

    With `-m "... not train ..."` they are not imported.
    """
    if "\npytestmark = pytest.mark.train" not in module_path.read_text("utf-8"):
        return None
    chosen: str = parent.config.option.markexpr
    if "not train" in chosen and " or " not in chosen:
        return NotAsked.from_parent(parent, path=module_path)  # type: ignore[no-any-return]
    if importlib.util.find_spec("keras") or os.environ.get("CI"):
        return None
    return WithoutKeras.from_parent(parent, path=module_path)  # type: ignore[no-any-return]


@pytest.fixture(scope="module", autouse=True)
def _few_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a training draws beside its digits, and a compilation to compare answers on, takes many
    seconds for a network that is to serve. `test_quantize.py` needs it all.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("train") and request.path.stem != "test_quantize":
            draw_few_pictures(patch)
        yield


def draw_few_pictures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("flaskapi.artifacts.quantize.CALIBRATION", (100, 30))
    patch.setattr("flaskapi.artifacts.quantize.CHECKED", (500, 100))
    patch.setattr("flaskapi.training.batches.OUTLIERS", 400)
    patch.setattr("flaskapi.training.finetune.OUTLIERS", 200)


def compile_here(patch: pytest.MonkeyPatch) -> None:
    """Let models be compiled in this process, which has Keras already, and few answers be compared.

    `tests/serving/test_compiled.py` and `test_circle.py` let a process of its own do so.
    """
    from flaskapi.artifacts.compile import compile_artifact

    draw_few_pictures(patch)
    for module in ("flaskapi.serving.compiled", "flaskapi.versions.registry"):
        patch.setattr(f"{module}.build_compiled", compile_artifact)


def draw_digits(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Digits in MNIST's form, each moved and with a pen of its own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    drawn = (
        draw_digit(int(digit), side=28, thickness=int(rng.integers(1, 4)), dark_on_light=False)
        for digit in labels
    )
    return np.stack(
        [np.roll(image, tuple(rng.integers(-2, 3, 2)), (0, 1)) for image in drawn]
    ), labels


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """200 digits to learn from and 50 to be judged by."""
    return Dataset(*draw_digits(200, seed=1), *draw_digits(50, seed=2))


@pytest.fixture(scope="session")
def tiny_model() -> "Callable[..., keras.Model]":
    """Build a model of one layer: `tiny_model((784,))` fits the task, other arguments make it a
    misfit.
    """
    import keras

    def build(
        shape: tuple[int, ...] = (28, 28, 1), outputs: int = 10, activation: str | None = "softmax"
    ) -> keras.Model:
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [
                keras.Input(shape),
                keras.layers.Flatten(),
                keras.layers.Dense(outputs, activation=activation),
            ],
            name="tiny",
        )

    return build


def small_detector(
    shape: tuple[int | None, int | None, int], normalize: object = None
) -> "keras.Model":
    """Of the detector's form, faster to train."""
    import keras

    source = inner = keras.Input(shape)
    for filters, size, stride in ((8, 5, 2), (16, 3, 2), (24, 11, 1)):
        inner = keras.layers.Conv2D(filters, size, stride, "same", activation="relu")(inner)
    return keras.Model(
        source, keras.layers.Conv2D(30, 1, name="answer")(inner), name="small_detector"
    )


@pytest.fixture
def legacy(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a model by Keras 2.2.2, channels "last" or "first", that a test may spoil."""
    return lambda order: Path(
        shutil.copyfile(LEGACY / f"keras222_{order}.h5", tmp_path / "my_model.h5")
    )


def legacy_answers(order: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The images `float32 (64, 28, 28, 1)`, and what Keras 2.2.2 answered to them with that
    model.
    """
    return np.load(LEGACY / "x.npy"), np.load(LEGACY / f"keras222_{order}_probabilities.npy")


def rewrite_config(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the configuration in a model file."""
    import h5py

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config))
