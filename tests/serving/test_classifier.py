"""The shipped model reads digits, and what cannot be loaded is told in clear words."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from fakes import draw_digit, encode
from PIL import Image, ImageDraw, ImageFont

from flaskapi.errors import ModelUnavailableError
from flaskapi.reading.digit import predict_digit
from flaskapi.reading.protocols import Limits
from flaskapi.serving.classifier import NoClassifier, OnnxClassifier, load_classifier

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def shipped() -> OnnxClassifier:
    return OnnxClassifier(MODELS / "my_model.onnx")


@pytest.mark.parametrize("dark_on_light", [True, False], ids=["dark on light", "light on dark"])
@pytest.mark.parametrize("side", [28, 280])
@pytest.mark.parametrize("digit", range(10))
def test_the_shipped_model_reads_drawn_digits(
    shipped: OnnxClassifier, digit: int, side: int, dark_on_light: bool
) -> None:
    image = encode(draw_digit(digit, side=side, dark_on_light=dark_on_light))
    prediction, _ = predict_digit(image, shipped, Limits(10**6, 0.5))
    assert (digit, shipped.version) == (prediction.digit, prediction.model)
    assert prediction.confidence == prediction.probabilities[digit]
    # The font's 0 is a box with round corners: read, and left uncertain.
    assert prediction.confidence > 0.5 or digit == 0


def letter(text: str, size: int) -> bytes:
    """A letter of the font that Pillow ships, which nothing was trained on."""
    picture = Image.new("L", (2 * size, 2 * size), 255)
    ImageDraw.Draw(picture).text((size, size), text, 0, ImageFont.load_default(size), anchor="mm")
    return encode(picture)


@pytest.mark.parametrize("size", [28, 80, 300])
def test_the_shipped_model_is_not_sure_of_letters(shipped: OnnxClassifier, size: int) -> None:
    """Those that are written like no digit; nine in ten, or some would have to be named here."""
    letters = "ACDEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwxy"
    readings = [predict_digit(letter(text, size), shipped, Limits(10**6, 0.95)) for text in letters]
    sure = [
        text
        for text, reading in zip(letters, readings, strict=True)
        if not reading.prediction.uncertain
    ]
    assert len(sure) <= 4, sure


@pytest.mark.parametrize("number", ["37", "482", "90125"])
def test_the_shipped_model_is_not_sure_of_several_digits(
    shipped: OnnxClassifier, number: str
) -> None:
    row = np.hstack([draw_digit(int(digit), side=100, thickness=5) for digit in number])
    prediction = predict_digit(
        encode(np.pad(row, 60, constant_values=255)),
        shipped,
        Limits(10**6, 0.95),
    ).prediction
    assert prediction.uncertain


def test_the_shipped_model_says_what_it_is(shipped: OnnxClassifier) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[0-9a-f]{8}", shipped.version)
    assert (shipped.version, "MNIST") == (shipped.card["version"], shipped.card["data"]["name"])
    assert shipped.version == f"{shipped.card['date']}-{shipped.card['sha256'][:8]}"
    assert shipped.card["accuracy"]["test"] > 0.98


@pytest.mark.parametrize("count", [1, 2, 33])
def test_a_batch_of_any_size_is_answered_row_by_row(shipped: OnnxClassifier, count: int) -> None:
    batch = np.random.default_rng(0).random((count, 28, 28, 1), np.float32)
    answers = shipped.probabilities(batch)
    assert ((count, 10), np.float32) == (answers.shape, answers.dtype)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    one_by_one = np.concatenate(
        [shipped.probabilities(batch[row : row + 1]) for row in range(count)]
    )
    np.testing.assert_allclose(answers, one_by_one, atol=1e-6)


def test_several_threads_may_ask_at_once(shipped: OnnxClassifier) -> None:
    batches = np.random.default_rng(0).random((8, 4, 28, 28, 1), np.float32)
    expected = [shipped.probabilities(batch) for batch in batches]
    wrong: list[int] = []

    def ask(which: int) -> None:
        wrong.extend(
            which
            for _ in range(50)
            if not np.allclose(expected[which], shipped.probabilities(batches[which]), atol=1e-6)
        )

    threads = [threading.Thread(target=ask, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_the_shipped_model_is_loaded_without_building_anything(
    tmp_path: Path, shipped: OnnxClassifier
) -> None:
    assert shipped.version == load_classifier(MODELS / "my_model.h5", tmp_path).version
    assert [] == list(tmp_path.iterdir())


def test_a_missing_model_is_told_in_words_that_a_client_may_read(tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnavailableError, match=r"^nowhere\.h5 cannot be read: No such file or directory\.$"
    ):
        load_classifier(tmp_path / "nowhere.h5", tmp_path / "cache")


def test_a_compiled_form_without_its_marks_cannot_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ONNX Runtime or a lying file comes up with, it is one kind of error."""
    broken = tmp_path / "my_model.onnx"
    broken.write_bytes(b"I am no model.")
    monkeypatch.setattr("flaskapi.serving.model.find_compiled", lambda *_: broken)
    with pytest.raises(
        ModelUnavailableError, match=r"^my_model\.h5: its compiled form cannot be loaded: "
    ):
        load_classifier(tmp_path / "my_model.h5", tmp_path / "cache")


def test_where_there_is_no_model_every_question_is_answered_with_the_reason() -> None:
    nothing = NoClassifier("my_model.h5 cannot be read: No such file or directory.")
    assert "none" == nothing.version
    with pytest.raises(ModelUnavailableError, match="No such file"):
        nothing.probabilities(np.zeros((1, 28, 28, 1), np.float32))
    with pytest.raises(ModelUnavailableError, match="No such file"):
        nothing.card  # noqa: B018 asking is the test


SERVE = """
import io, sys
from pathlib import Path
from flaskapi import create_app

client = create_app({"INSTANCE_PATH": Path(sys.argv[1])}).test_client()
answer = client.post("/predict", data={"file": (io.BytesIO(sys.stdin.buffer.read()), "7.png")})
heavy = {"keras", "tensorflow", "tf2onnx", "onnx", "h5py"}
print(answer.get_json()["digit"], sorted(heavy & set(sys.modules)))
"""


@pytest.mark.process
def test_a_process_that_serves_never_loads_tensorflow(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("FLASKAPI_")
    }
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    done = subprocess.run(
        command, input=encode(draw_digit(7)), capture_output=True, env=environment, check=True
    )
    assert "7 []" == done.stdout.decode().strip()
