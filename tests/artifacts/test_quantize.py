"""A quantized network serves only where it answers as the one it was made of."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from trainings import LEGACY

from flaskapi.artifacts import compile as compiling
from flaskapi.artifacts.compile import compile_artifact
from flaskapi.artifacts.keras_file import load_artifact
from flaskapi.artifacts.quantize import (
    Difference,
    PageDifference,
    answer,
    compare,
    compare_detectors,
    quantize,
)
from flaskapi.handwriting.drawn import draw_digits, draw_pictures
from flaskapi.training.calibrate import answer_as_served

pytestmark = pytest.mark.train

MODELS = Path(__file__).parents[2] / "models"


def precision(compiled: Path) -> str:
    return {entry.key: entry.value for entry in onnx.load(compiled).metadata_props}["precision"]


def weights_of_8_bits(compiled: Path) -> list[np.ndarray]:
    """Those of convolutions, for a bias is quantized to 32."""
    values = map(onnx.numpy_helper.to_array, onnx.load(compiled).graph.initializer)
    return [value for value in values if value.dtype == np.int8 and value.ndim == 4]


def spoil(compiled: Path, folder: Path) -> Path:
    """Weights of which a tenth is lost stand for any difference that a processor makes."""
    spoiled = onnx.load(compiled)
    for weight in spoiled.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.int8 and values.ndim == 4:
            weight.CopyFrom(onnx.numpy_helper.from_array(np.clip(values, -24, 24), weight.name))
    onnx.save(spoiled, folder / "spoiled.onnx")
    return folder / "spoiled.onnx"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The shipped classifier, compiled in float32 and quantized."""
    folder = tmp_path_factory.mktemp("shipped")
    source = Path(shutil.copy(MODELS / "my_model.h5", folder))
    compile_artifact(source, folder / "float32.onnx", quantized=False)
    compile_artifact(source, folder / "int8.onnx")
    return folder / "float32.onnx", folder / "int8.onnx"


def test_the_shipped_classifier_is_quantized_and_a_third_as_large(
    shipped: tuple[Path, Path],
) -> None:
    as_float, as_int8 = shipped
    assert ("float32", "int8") == (precision(as_float), precision(as_int8))
    assert as_int8.stat().st_size < 0.4 * as_float.stat().st_size
    assert compare(as_float, as_int8).is_small


def test_between_a_quantized_convolution_and_its_activation_nothing_is_rounded() -> None:
    nodes = onnx.load(MODELS / "my_model.onnx").graph.node
    made_by = {output: node.op_type for node in nodes for output in node.output}
    assert ["Conv"] == [made_by[node.input[0]] for node in nodes if node.op_type == "Relu"], (
        "the first, which calculates in float32, alone has its activation apart"
    )


def test_products_by_pairs_do_not_saturate_on_any_processor(shipped: tuple[Path, Path]) -> None:
    """On processors without VNNI u8 times s8 is added by pairs in 16 bits: 2 x 255 x 64 fits."""
    weights = weights_of_8_bits(shipped[1])
    assert 4 == len(weights), "all convolutions but the first"
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) <= 64
    assert 2 * 255 * 64 < 2**15


def test_digits_are_named_as_by_the_float_model(shipped: tuple[Path, Path]) -> None:
    """Of other drawn digits than those that were compared when it was compiled."""
    images, _ = draw_digits(500, np.random.default_rng(7))
    pixels = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    was, now = (
        session.run(None, {session.get_inputs()[0].name: pixels})[0]
        for session in map(onnxruntime.InferenceSession, shipped)
    )
    assert (was.argmax(axis=1) != now.argmax(axis=1)).mean() <= 0.01
    assert np.abs(was - now).max(axis=1).mean() <= 0.01


def test_weights_that_would_saturate_are_refused(
    shipped: tuple[Path, Path], tmp_path: Path
) -> None:
    assert not compare(shipped[0], spoil(shipped[1], tmp_path)).is_small


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The shipped detector, compiled in float32 and quantized."""
    folder = tmp_path_factory.mktemp("detectors")
    source = Path(shutil.copy(MODELS / "detector.h5", folder))
    compile_artifact(source, folder / "float32.onnx", quantized=False)
    compile_artifact(source, folder / "int8.onnx")
    return folder / "float32.onnx", folder / "int8.onnx"


def test_the_shipped_detector_is_quantized_and_a_third_as_large(
    detectors: tuple[Path, Path],
) -> None:
    as_float, as_int8 = detectors
    assert ("float32", "int8") == (precision(as_float), precision(as_int8))
    assert as_int8.stat().st_size < 0.4 * as_float.stat().st_size
    assert 12 == len(weights_of_8_bits(as_int8)), "all but the first two and the last"
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights_of_8_bits(as_int8)) <= 64


def test_a_detector_doubles_what_it_sees_coarsely_in_one_step(
    detectors: tuple[Path, Path],
) -> None:
    """Keras exports thirteen nodes for it; the answers were compared with Keras's own."""
    kinds = [node.op_type for node in onnx.load(detectors[0]).graph.node]
    assert (2, 0) == (kinds.count("Resize"), kinds.count("Tile"))


def test_a_detector_whose_weights_would_saturate_is_refused(
    detectors: tuple[Path, Path], tmp_path: Path
) -> None:
    assert not compare_detectors(detectors[0], spoil(detectors[1], tmp_path)).is_small


SMALL_ON_PAGES = PageDifference(0.005, 0.005, 0.01, 0.05, 0.0001)


@pytest.mark.parametrize(
    "change",
    [
        {"found_otherwise": 0.011},
        {"named_otherwise": 0.011},
        {"presence": 0.021},
        {"box": 0.11},
        {"elsewhere": 0.0006},
    ],
)
def test_a_difference_on_pages_beyond_any_bound_is_not_small(change: dict[str, float]) -> None:
    assert SMALL_ON_PAGES.is_small
    assert not SMALL_ON_PAGES._replace(**change).is_small


SMALL = Difference(0.001, 0.005, 0.004, 0.001, 0.0)


def test_a_difference_within_all_bounds_is_small() -> None:
    assert SMALL.is_small
    assert SMALL._replace(others_sure=-0.5).is_small, "less of what is no digit is named surely"


@pytest.mark.parametrize(
    "change",
    [
        {"named_otherwise": 0.005},
        {"crossing": 0.021},
        {"digits": 0.011},
        {"others": 0.011},
        {"others_sure": 0.003},
    ],
)
def test_a_difference_beyond_any_bound_is_not_small(change: dict[str, float]) -> None:
    assert not SMALL._replace(**change).is_small


def test_where_the_answers_differ_float32_serves(
    shipped: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(compiled: Path, target: Path) -> Difference:
        shutil.copy(shipped[1], target)
        return SMALL._replace(named_otherwise=1.0)

    monkeypatch.setattr(compiling, "quantize", differs)
    source = Path(shutil.copy(MODELS / "my_model.h5", tmp_path))
    compile_artifact(source, tmp_path / "my_model.onnx")
    assert "float32" == precision(tmp_path / "my_model.onnx")
    assert [] == weights_of_8_bits(tmp_path / "my_model.onnx")


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_model_of_one_convolution_stays_as_it_is(tmp_path: Path, order: str) -> None:
    source = Path(shutil.copy(LEGACY / f"keras222_{order}.h5", tmp_path / "my_model.h5"))
    compile_artifact(source, tmp_path / "my_model.onnx", quantized=False)
    convolutions = [
        node for node in onnx.load(tmp_path / "my_model.onnx").graph.node if node.op_type == "Conv"
    ]
    difference = quantize(tmp_path / "my_model.onnx", tmp_path / "quantized.onnx")
    assert (difference is None) == (len(convolutions) < 2)


def test_drawn_digits_are_digits_to_the_shipped_classifier(shipped: tuple[Path, Path]) -> None:
    """So that what they say of a model is of digits."""
    images, labels = draw_digits(500, np.random.default_rng(3))
    pixels = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    said = answer(shipped[0], pixels)
    assert (said.argmax(axis=1) == labels).mean() > 0.97


def test_a_temperature_is_fitted_on_what_serves(shipped: tuple[Path, Path]) -> None:
    """The compiled form of 8 bits, not what Keras says."""
    digits, _ = draw_pictures(100, 10, seed=4)
    images = digits[..., np.newaxis]
    said = answer_as_served(load_artifact(MODELS / "my_model.h5"), images)
    np.testing.assert_allclose(said, answer(shipped[1], images), atol=1e-5)
    assert np.abs(said - answer(shipped[0], images)).max() > 1e-3
