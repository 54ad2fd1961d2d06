"""A training is decided by its data and its recipe, and its card says both."""

import contextlib
import copy
import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest

from flaskapi.artifacts.artifact import Card
from flaskapi.errors import DatasetError
from flaskapi.sources.mnist import Dataset
from flaskapi.training.batches import Maker
from flaskapi.training.evaluate import Confusion
from flaskapi.training.loop import Training
from flaskapi.training.networks import NETWORKS
from flaskapi.training.train import RECIPES, TEACHERS_SHARE, Batches, Recipe, TaughtBatches, train

pytestmark = pytest.mark.train

SMALL = Recipe("tutorial", epochs=2, batch_size=64, augmented=True, seed=3, validation=20)
SHAPE = (28, 28, 1)
Trained = tuple[keras.Model, Card, Confusion, Training]


def weights_equal(one: keras.Model, other: keras.Model) -> bool:
    return all(
        np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )


@pytest.fixture(scope="module")
def trained(dataset: Dataset) -> Trained:
    """What comes of the small training."""
    return train(dataset, SMALL)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    dataset: Dataset, trained: Trained
) -> None:
    first, again, other = (
        trained[0],
        *(train(dataset, SMALL._replace(seed=seed))[0] for seed in (3, 4)),
    )
    assert weights_equal(first, again)
    assert not weights_equal(first, other)


def test_the_card_says_what_the_model_was_made_of_and_how_good_it_is(
    dataset: Dataset, trained: Trained
) -> None:
    model, card, test, _ = trained
    card = copy.deepcopy(card)
    assert card == json.loads(json.dumps(card)), "the card must survive being stored as JSON"
    assert {
        "name": "not MNIST",
        "sha256": dataset.sha256,
        "training": 180,
        "validation": 20,
        "test": 50,
    } == card["data"]
    assert 0 < card["training"].pop("temperature")
    assert ("tutorial", SMALL._asdict()) == (card["network"], card["training"])
    assert ([28, 28, 1], model.count_params()) == (card["input_shape"], card["weights"])
    assert {"python", "keras", "tensorflow", "numpy", "opencv"} == card["versions"].keys()
    assert keras.__version__ == card["versions"]["keras"]
    assert (test.confusion.tolist(), pytest.approx(test.accuracy, abs=1e-6)) == (
        card["confusion"],
        card["accuracy"]["test"],
    )
    assert 0 <= card["accuracy"]["validation"] <= 1
    assert datetime.timedelta(days=1) >= abs(
        datetime.datetime.now(datetime.UTC).date() - datetime.date.fromisoformat(card["date"])
    )
    assert 50 == test.total


def test_a_network_learns_to_read_drawn_digits(dataset: Dataset) -> None:
    """With the recipe's own optimizer, in little time: more than half right, where chance gives a
    tenth.
    """
    _, _, test, _ = train(
        dataset, SMALL._replace(epochs=12, batch_size=20, augmented=False, validation=0)
    )
    assert test.accuracy > 0.5


def test_the_compact_network_trains_channels_first_and_without_validation(dataset: Dataset) -> None:
    model, card, *_ = train(
        dataset,
        Recipe(
            "compact", epochs=1, batch_size=100, augmented=True, validation=0, channels_first=True
        ),
    )
    assert (None, 1, 28, 28) == model.input_shape
    assert {"test"} == card["accuracy"].keys()
    assert (200, 0) == (card["data"]["training"], card["data"]["validation"])


@pytest.mark.parametrize("validation", [200, 5000])
def test_too_few_images_to_hold_some_out_is_said(dataset: Dataset, validation: int) -> None:
    with pytest.raises(
        DatasetError,
        match=f"200 training images are too few to hold out {validation} for validation",
    ):
        train(dataset, SMALL._replace(validation=validation))


@pytest.mark.parametrize("augmented", [False, True])
def test_an_epoch_sees_each_image_once_in_an_order_of_its_own(
    dataset: Dataset, augmented: bool
) -> None:
    batches = Batches(
        dataset.train_images, dataset.train_labels, SMALL._replace(augmented=augmented), SHAPE
    )
    epochs = []
    for epoch in range(2):
        steps = range(epoch * len(batches), (epoch + 1) * len(batches))
        images, labels = zip(*(batches.make(step) for step in steps), strict=True)
        assert all(
            ((target == 0) | (target == 1)).all() and (target.sum(axis=1) == 1).all()
            for target in labels
        )
        assert [64, 64, 64, 8] == [len(batch) for batch in images]
        assert all(
            batch.shape[1:] == SHAPE and 0 <= batch.min() and batch.max() <= 1 for batch in images
        )
        epochs.append((np.concatenate(images), np.concatenate(labels).argmax(axis=1)))
    (first_images, first_labels), (second_images, second_labels) = epochs
    assert not np.array_equal(first_labels, second_labels)
    changed = np.bincount(first_labels) - np.bincount(second_labels)  # a few 7s are written as 1s
    assert np.abs(changed).sum() == (2 * abs(changed[1]) if augmented else 0)
    by_content = [
        np.sort(images.reshape(200, -1).sum(axis=1)) for images in (first_images, second_images)
    ]
    assert augmented != np.allclose(*by_content), "only augmented images differ from epoch to epoch"


def test_batches_made_in_another_process_are_the_same_ones(dataset: Dataset) -> None:
    recipe = SMALL._replace(outliers_share=0.25)
    here, beside = (
        Batches(dataset.train_images, dataset.train_labels, recipe, SHAPE, processes)
        for processes in (0, 1)
    )
    with contextlib.closing(beside):
        for step in range(2 * len(here)):
            for own, others in zip(here.make(step), beside.make(step), strict=True):
                np.testing.assert_array_equal(own, others)


def test_batches_are_asked_for_in_order_so_that_each_is_made_once(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def make(
        self: Maker,
        epoch: int,
        index: int,
        make: Callable[..., tuple[np.ndarray, np.ndarray]] = Maker.make,
    ) -> object:
        asked.append((epoch, index))
        return make(self, epoch, index)

    monkeypatch.setattr(Maker, "make", make)
    train(dataset, SMALL._replace(epochs=3, batch_size=10))
    assert [(epoch, index) for epoch in range(3) for index in range(18)] == asked


def test_pictures_of_no_digit_come_with_every_batch_and_are_all_ten_digits_alike(
    dataset: Dataset,
) -> None:
    batches = Batches(
        dataset.train_images, dataset.train_labels, SMALL._replace(outliers_share=0.25), SHAPE
    )
    for index, digits in enumerate([64, 64, 64, 8]):
        images, targets = batches.make(index)
        assert (digits * 5 // 4, 10) == targets.shape == (len(images), 10)
        np.testing.assert_array_equal(1, targets[:digits].max(axis=1))
        np.testing.assert_allclose(targets[digits:], 0.1)


def test_an_interrupted_training_goes_on_where_it_was(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its second part, at no epoch's end, to the same weights."""
    recipe = SMALL._replace(epochs=3, cooling_epochs=1, finishing_epochs=1)
    whole, *_ = train(dataset, recipe)
    steps, make = [], Batches.make
    with monkeypatch.context() as patch:

        def interrupted(self: Batches, step: int) -> object:
            if step == 8:  # three to an epoch, two epochs before those that cool
                raise KeyboardInterrupt
            return make(self, step)

        patch.setattr(Batches, "make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(dataset, recipe, backup=tmp_path, keep_every_s=0)

    def recorded(self: Batches, step: int) -> object:
        steps.append(step)
        return make(self, step)

    monkeypatch.setattr(Batches, "make", recorded)
    again, card, *_ = train(dataset, recipe, backup=tmp_path)
    assert [8, 9, 10, 11] == steps
    assert 3 == card["training"]["epochs"]
    for expected, found in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(expected, found, atol=1e-6)


def test_a_training_goes_on_with_more_epochs_before_it_cools(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = SMALL._replace(epochs=2, cooling_epochs=1)
    train(dataset, short, backup=tmp_path)
    steps, make = [], Batches.make

    def recorded(self: Batches, step: int) -> object:
        steps.append(step)
        return make(self, step)

    monkeypatch.setattr(Batches, "make", recorded)
    longer, *_ = train(dataset, short._replace(epochs=3), backup=tmp_path)
    assert [*range(3, 6), *range(6, 9)] == steps, "the first three are done"
    assert weights_equal(longer, train(dataset, short._replace(epochs=3))[0])


def test_the_last_epochs_are_varied_gently(dataset: Dataset) -> None:
    recipe = SMALL._replace(epochs=1, finishing_epochs=1, batch_size=200)
    batches = Batches(dataset.train_images, dataset.train_labels, recipe, SHAPE)
    clean = {
        image.tobytes() for image in (dataset.train_images / np.float32(255)).astype(np.float32)
    }
    unchanged = []
    for epoch in range(2):
        images, _ = batches.make(epoch * len(batches))
        unchanged.append(sum(image.tobytes() in clean for image in images))
    assert 10 < unchanged[0] < unchanged[1] < 110


def test_a_training_with_last_epochs_goes_through_both_parts(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = SMALL._replace(finishing_epochs=1)
    _, card, *_ = train(dataset, recipe, backup=tmp_path / "backup")
    assert ["first: epoch 1/2", "first: epoch 2/2", "finish: epoch 1/1"] == re.findall(
        r"[a-z]+: epoch \d/\d", capsys.readouterr().out
    )
    assert 1 == card["training"]["finishing_epochs"]
    train(dataset, recipe, backup=tmp_path / "backup")
    assert ": epoch" not in capsys.readouterr().out, "the backup says that both parts are done"


def test_a_network_is_taught_by_one_that_is_trained_first(
    dataset: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(NETWORKS, "teacher", NETWORKS["compact"])  # in a fifth of the time
    recipe = SMALL._replace(taught_epochs=2, finishing_epochs=1)
    model, card, *_ = train(dataset, recipe, backup=tmp_path / "backup")
    told = capsys.readouterr().out
    parts = ("teacher-first", 2), ("teacher-finish", 1), ("first", 2), ("taught", 2), ("finish", 1)
    assert [
        f"{name}: epoch {epoch + 1}/{epochs}" for name, epochs in parts for epoch in range(epochs)
    ] == re.findall(r"[a-z-]+: epoch \d/\d", told)
    shares = [int(share) for share in re.findall(r"(\d+)%", told)]
    assert sorted(shares) == shares
    assert 100 == shares[-1], "one bar goes over all parts"
    assert ("tutorial", 2) == (model.name, card["training"]["taught_epochs"])
    train(dataset, recipe, backup=tmp_path / "backup")
    assert ": epoch" not in capsys.readouterr().out, "the backup says that all parts are done"


def test_what_a_teacher_says_is_most_of_the_answer_but_not_of_what_is_no_digit(
    dataset: Dataset,
) -> None:
    batches = Batches(
        dataset.train_images, dataset.train_labels, SMALL._replace(outliers_share=0.25), SHAPE
    )

    class Says(NamedTuple):
        digit: int

        def predict_on_batch(self, pixels: np.ndarray) -> np.ndarray:
            return np.tile(np.eye(10, dtype=np.float32)[self.digit], (len(pixels), 1))

    (pixels, answers), (same, taught) = (
        batches.make(0),
        TaughtBatches(batches, Says(3), Says(4)).make(0),
    )
    np.testing.assert_array_equal(pixels, same)
    np.testing.assert_array_equal(answers[64:], taught[64:])
    said = (np.eye(10)[3] + np.eye(10)[4]) / 2
    np.testing.assert_allclose(
        TEACHERS_SHARE * said + (1 - TEACHERS_SHARE) * answers[:64], taught[:64], atol=1e-6
    )
    assert len(batches) == len(TaughtBatches(batches, Says(3)))


def test_the_recipes_train_networks_that_exist() -> None:
    assert NETWORKS.keys() == RECIPES.keys() | {"teacher"}, (
        "a teacher's training is part of another's"
    )
    assert all(name == recipe.network for name, recipe in RECIPES.items())
