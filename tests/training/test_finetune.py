"""A model learns from a few labelled images, and keeps what it knows."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from labelled import normalize, write_digit, write_otherwise

from flaskapi.__main__ import main
from flaskapi.artifacts.artifact import read_card, save_artifact
from flaskapi.artifacts.card import render_card
from flaskapi.artifacts.keras_file import load_artifact
from flaskapi.drift import find_reference
from flaskapi.errors import DatasetError, ModelFileError
from flaskapi.labels import NO_DIGIT
from flaskapi.sources.mnist import Dataset
from flaskapi.training.finetune import Finetuner, FinetuneRecipe, Learned

if TYPE_CHECKING:
    import keras

pytestmark = pytest.mark.train

RECIPE = FinetuneRecipe(steps=40, batch_size=64)
SHIPPED = Path(__file__).parents[2] / "models" / "my_model.h5"


def draw(write: Callable[..., np.ndarray], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits by a hand, in MNIST's form."""
    rng, labels = np.random.default_rng(seed), np.arange(count, dtype=np.uint8) % 10
    return normalize(write(int(digit), rng) for digit in labels), labels


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """A stand-in for MNIST, by an ordinary hand."""
    return Dataset(*draw(write_digit, 240, seed=1), *draw(write_digit, 50, seed=2))


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray]:
    """Digits by a hand that the shipped model reads badly."""
    return draw(write_otherwise, 100, seed=3)


def finetune(
    source: Path,
    dataset: Dataset,
    labelled: tuple[np.ndarray, np.ndarray],
    recipe: FinetuneRecipe,
    progress: Callable[[float], None] = lambda share: None,
) -> "tuple[keras.Model, dict[str, Any]]":
    finetuner = Finetuner(source, dataset, recipe)
    return finetuner.finish(finetuner.learn(labelled, progress), labelled)


def accuracy(model: "keras.Model", images: np.ndarray, labels: np.ndarray) -> float:
    answers = np.asarray(
        model(images.reshape(-1, 28, 28, 1).astype(np.float32) / 255, training=False)
    )
    return float((answers.argmax(axis=1) == labels).mean())


def test_it_learns_what_was_labelled_and_forgets_nothing(
    dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a few large steps, where a retraining takes many small ones."""
    monkeypatch.setattr("flaskapi.training.finetune.RATE", 3e-3)
    before, told, others = load_artifact(SHIPPED), list[float](), draw(write_otherwise, 200, seed=4)
    model, _ = finetune(SHIPPED, dataset, labelled, RECIPE._replace(steps=80), progress=told.append)
    assert accuracy(model, *others) > accuracy(before, *others) + 0.03
    assert accuracy(model, *dataset[2:]) >= accuracy(before, *dataset[2:]) - 0.02
    assert (told[-1], sorted(told)) == (1.0, told)


def test_the_same_images_give_the_same_model_and_another_seed_another(
    dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    recipe = RECIPE._replace(steps=3)
    first, again, other = (
        finetune(SHIPPED, dataset, labelled, one)[0]
        for one in (recipe, recipe, recipe._replace(seed=1))
    )
    for one, same, another in zip(
        first.get_weights(), again.get_weights(), other.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, same, atol=1e-5)
        assert one.size < 1000 or np.abs(one - another).max() > 0


def test_its_card_says_what_it_came_from_and_can_be_shown(
    dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    model, card = finetune(SHIPPED, dataset, labelled, RECIPE._replace(steps=2))
    save_artifact(model, card, tmp_path / "my_model.h5")
    sha256 = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    (retraining,) = card["retrainings"]
    assert (f"{read_card(SHIPPED)['date']}-{sha256[:8]}", 100, 2) == (
        retraining["from"],
        retraining["labelled"],
        retraining["steps"],
    )
    assert f"- **Retrained** from `{retraining['from']}`: 2 batches of 64" in render_card(
        tmp_path / "my_model.h5"
    )


def test_its_card_says_what_the_digits_were_like_that_it_learned_from(dataset: Dataset) -> None:
    """A quarter is what people labelled: twice an 8 for each 1; what shows no digit is not
    counted.
    """
    labels = np.array([8, 8, 1, NO_DIGIT] * 5, np.uint8)
    images = np.zeros((20, 28, 28), np.uint8)
    images[:, 4:24, 10:18] = 255  # 20 % of all, more than any of those drawn
    _, card = finetune(SHIPPED, dataset, (images, labels), RECIPE._replace(steps=1))
    source, shares = find_reference(card)
    assert ("the model's card", 1.0) == (source, pytest.approx(sum(shares["digit"]), abs=0.001))
    of_mnist, labelled = 0.8, 0.2  # 12 of 16 and, of the 4 of a quarter, the 3 that show a digit
    assert labelled == pytest.approx(shares["ink_share"][-1], abs=0.01)
    assert of_mnist / 10 + labelled * 2 / 3 == pytest.approx(shares["digit"][8], abs=0.02)
    assert of_mnist / 10 + labelled / 3 == pytest.approx(shares["digit"][1], abs=0.02)
    assert of_mnist / 10 == pytest.approx(shares["digit"][9], abs=0.02)


def test_a_model_that_was_not_made_here_is_retrained_too(
    tiny_model: "Callable[..., keras.Model]", dataset: Dataset, tmp_path: Path
) -> None:
    """One that takes flat images, and bears no card; what shows no digit is learned as that."""
    tiny_model((784,)).save(tmp_path / "my_model.h5")
    images, labels = draw(write_otherwise, 20, seed=5)
    labels[::2] = NO_DIGIT
    model, card = finetune(
        tmp_path / "my_model.h5", dataset, (images, labels), RECIPE._replace(steps=2)
    )
    save_artifact(model, card, tmp_path / "new.h5")
    assert "- **Retrained** from" in render_card(tmp_path / "new.h5")


def test_what_cannot_be_retrained_is_refused(
    dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(ModelFileError, match="finds digits"):
        finetune(SHIPPED.with_name("detector.h5"), dataset, labelled, RECIPE)
    few = Dataset(*(part[:11] for part in dataset))
    with pytest.raises(DatasetError, match="11 training images are too few"):
        finetune(SHIPPED, few, labelled, RECIPE)


def test_each_copy_is_trained_as_if_it_were_the_only_one(
    dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    finetuner = Finetuner(SHIPPED, dataset, RECIPE._replace(steps=3))
    first, other, again = (
        finetuner.learn((labelled[0][part], labelled[1][part]))
        for part in (slice(50), slice(50, None), slice(50))
    )
    for one, same in zip(first.weights, again.weights, strict=True):
        np.testing.assert_allclose(one, same, atol=1e-6)
    assert any(
        np.abs(one - same).max() > 1e-6 for one, same in zip(first[0], other[0], strict=True)
    )


def test_a_copy_that_forgets_goes_back_until_held_out_digits_are_read_as_before(
    dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a step that is far too large next to nothing may be left, and confidence is as before."""
    monkeypatch.setattr("flaskapi.training.finetune.RATE", 1.0)
    finetuner = Finetuner(SHIPPED, dataset, RECIPE._replace(steps=5))
    learned = finetuner.learn(labelled)
    assert 0 == learned.share
    images = dataset.test_images.reshape(-1, 28, 28, 1).astype(np.float32) / 255
    np.testing.assert_allclose(
        finetuner.classify(learned._replace(temperature=1.0), images),
        finetuner.classify(finetuner.serving, images),
        atol=1e-6,
    )


def test_the_temperature_of_a_copy_divides_its_logits(
    dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    finetuner = Finetuner(SHIPPED, dataset, RECIPE._replace(steps=1))
    images = labelled[0].reshape(-1, 28, 28, 1).astype(np.float32) / 255
    plain = finetuner.classify(finetuner.serving, images)
    cold = finetuner.classify(Learned(finetuner.serving.weights, 1.0, 2.0), images)
    expected = np.sqrt(plain) / np.sqrt(plain).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cold, expected, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_copy_goes_as_far_as_it_is_told(
    share: float, dataset: Dataset, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """As those do whose answers are the candidate's evidence."""
    finetuner = Finetuner(SHIPPED, dataset, RECIPE._replace(steps=2))
    whole, part = (finetuner.learn(labelled, share=far) for far in (1.0, share))
    assert share == part.share
    for old, new, between in zip(
        finetuner.serving.weights, whole.weights, part.weights, strict=True
    ):
        np.testing.assert_allclose(between, old + share * (new - old), atol=1e-5)


def test_the_help_and_the_documentation_say_how_many_batches_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["retrain", "--help"])
    said = f"batches of each training ({FinetuneRecipe().steps})"
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in (SHIPPED.parents[1] / "docs" / "versions.md").read_text("utf-8")
