"""The card is a page that says what the artifact says, and nothing else."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from flaskapi.artifacts.artifact import read_card, read_picture, record_evaluation, save_artifact
from flaskapi.artifacts.card import render_card
from flaskapi.errors import ModelFileError
from flaskapi.training.train import RECIPES

pytestmark = pytest.mark.train

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("validated", [True, False])
def test_the_page_says_what_the_artifact_says(
    tmp_path: Path, tiny_model: Callable[..., keras.Model], validated: bool
) -> None:
    card = {
        "date": "2026-01-02",
        "data": {
            "name": "not MNIST",
            "sha256": "abc123",
            "training": 1800,
            "validation": 200,
            "test": 100,
        },
        "network": "tiny",
        "input_shape": [1, 28, 28],
        "weights": 7850,
        "training": {"epochs": 3, "batch_size": 64, "seed": 9, "augmented": validated},
        "accuracy": {"test": 0.97} | ({"validation": 0.955} if validated else {}),
        "confusion": [[10 if row == column else 0 for column in range(10)] for row in range(9)]
        + [[3] + [0] * 8 + [7]],
        "versions": {"python": "3.11.2", "keras": "3.15.1"},
    }
    path = tmp_path / "my_model.h5"
    save_artifact(tiny_model(), card, path)
    page = render_card(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for said in (
        f"2026-01-02-{sha256[:8]}",
        sha256,
        "(1, 28, 28)",
        "7,850 weights",
        "1,800 images",
        "abc123",
        "3 epochs",
        "seed 9",
        "keras 3.15.1",
    ):
        assert said in page
    assert "97.00% on the test set (3 wrong of 100)" in page
    assert validated == ("95.50% on the validation part" in page) == ("varied anew" in page)
    assert "| **9** | 3 |  |  |  |  |  |  |  |  | 7 |" in page


def test_the_page_shows_what_evaluations_found(
    tmp_path: Path, tiny_model: Callable[..., keras.Model]
) -> None:
    figures = {
        "digits": 1000,
        "wrong": 25,
        "accuracy": 0.975,
        "uncertain": 0.01,
        "wrong_of_certain": 0.002,
        "calibration_error": 0.0041,
    }
    card = read_card(MODELS / "my_model.h5") | {
        "evaluation": {"exams": figures, "letters": {"others": 800, "rejected": 0.9512}}
    }
    save_artifact(tiny_model(), card, tmp_path / "my_model.h5")
    page = render_card(tmp_path / "my_model.h5")
    assert "| exams | 1,000 | 97.50% | 25 | 1.00% | 0.20% | 0.41% |" in page
    assert "| letters | 800 | 95.12% |" in page
    assert "](mistakes.png)" not in page
    record_evaluation(tmp_path / "my_model.h5", {}, b"a picture")
    assert "](mistakes.png)" in render_card(tmp_path / "my_model.h5")


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        ("0123456789ab", "compact --seed 3` at commit `0123456789ab`, in 2.5 hours on 2 cores"),
        (None, "compact --seed 3`, in 2.5 hours on 2 cores"),
    ],
)
def test_the_page_says_how_the_model_is_made_again(
    tmp_path: Path, tiny_model: Callable[..., keras.Model], commit: str | None, said: str
) -> None:
    made = {
        "command": "python train_mnist.py --network compact --seed 3",
        "commit": commit,
        "hours": 2.49,
        "cores": 2,
        "instructions": "AVX2",
    }
    card = read_card(MODELS / "my_model.h5")
    save_artifact(tiny_model(), {**card, **made}, tmp_path / "my_model.h5")
    page = render_card(tmp_path / "my_model.h5")
    assert f"- **Made** by `python train_mnist.py --network {said} with AVX2." in page


def test_the_card_of_a_model_of_the_script_names_its_recipe() -> None:
    """Who trains with other figures ships what they made, or goes back to these."""
    card = read_card(MODELS / "my_model.h5")
    if "command" not in card:
        pytest.skip("the shipped model was made before the script named its command")
    recipe = RECIPES[card["network"]]._asdict()
    assert recipe == {name: card["training"].get(name) for name in recipe}


def test_a_model_from_elsewhere_has_no_page(legacy: Callable[[str], Path]) -> None:
    with pytest.raises(ModelFileError, match=r"my_model\.h5: has no model card"):
        render_card(legacy("last"))


def test_the_page_beside_the_shipped_model_is_its_own() -> None:
    """Write both with `python -m flaskapi card models/my_model.h5 --picture models/mistakes.png >
    models/README.md`.
    """
    assert render_card(MODELS / "my_model.h5") == (MODELS / "README.md").read_text("utf-8")
    assert read_picture(MODELS / "my_model.h5") == (MODELS / "mistakes.png").read_bytes()
