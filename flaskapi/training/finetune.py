"""A model that serves, trained a little further: mostly on what it knows, and on what people said
it should.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.artifacts.artifact import Card, read_card
from flaskapi.artifacts.keras_file import is_detector, load_artifact
from flaskapi.errors import DatasetError, ModelFileError
from flaskapi.handwriting.augment import augment
from flaskapi.handwriting.outliers import draw_outliers
from flaskapi.labels import NO_DIGIT
from flaskapi.sources.mnist import Dataset
from flaskapi.training.batches import targets
from flaskapi.training.calibrate import calibrate
from flaskapi.training.evaluate import evaluate
from flaskapi.training.reference import describe_digits
from flaskapi.training.train import origin

RATE = 3e-4  # the optimizer's largest step, less than that of a training's gentle last epochs
EMA_MOMENTUM = 0.99  # what is kept is the mean of about the last hundred steps
OUTLIERS = 2_000  # drawn once, varied in each step
HELD_OUT = 12  # of so many of MNIST's training images one, as in a training: 5,000


class FinetuneRecipe(NamedTuple):
    """Everything that decides what comes out, beside the model and the images."""

    steps: int = 400
    batch_size: int = 128
    labelled_share: float = 0.25  # of each batch; the rest is MNIST
    outliers_share: float = 0.1875  # pictures of no digit, beside the digits of each batch
    seed: int = 0


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """What people labelled, MNIST and what is no digit, drawn anew and varied anew for each step;
    the same for the same seed.

    Of what people labelled the network should say what they say, of all else what the teacher says:
    so it changes as little as may be (Li, Hoiem: "Learning without Forgetting", 2016).
    """

    def __init__(
        self,
        teacher: keras.Model,
        known: tuple[Bytes, Bytes],
        labelled: tuple[Bytes, Bytes],
        recipe: FinetuneRecipe,
    ) -> None:
        super().__init__(workers=1)
        outliers = draw_outliers(OUTLIERS, *known, np.random.default_rng(recipe.seed))
        mine = round(recipe.batch_size * recipe.labelled_share)
        self._parts = (
            (*labelled, mine),
            (*known, recipe.batch_size - mine),
            (
                outliers,
                np.full(len(outliers), NO_DIGIT, np.uint8),
                round(recipe.batch_size * recipe.outliers_share),
            ),
        )
        self._recipe, self._teacher, self._mine = recipe, teacher, mine

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        rng = np.random.default_rng([self._recipe.seed, index])
        chosen = [
            (images, labels, rng.integers(0, len(images), count))
            for images, labels, count in self._parts
        ]
        images = np.concatenate([images[rows] for images, _, rows in chosen])
        labels = np.concatenate([labels[rows] for _, labels, rows in chosen])
        pixels = augment(images, labels, rng, gently=True).reshape(
            -1, *self._teacher.input_shape[1:]
        )
        answers = targets(labels)
        answers[self._mine :] = self._teacher(pixels[self._mine :], training=False)
        return pixels, answers


def finetune(
    source: Path,
    dataset: Dataset,
    labelled: tuple[Bytes, Bytes],
    recipe: FinetuneRecipe,
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[keras.Model, Card]:
    """Train a copy of a model further, and go half of the way back.

    The mean of the weights before and those after has learned nearly as much and forgotten less
    than those after (Wortsman and others: "Robust fine-tuning of zero-shot models", 2022). Layers
    of batch normalization keep the statistics that they have: those of a few hundred mixed batches
    are none for either part.

    Args:
        source: the model file to start from.
        dataset: MNIST; a twelfth of its training part is held out, the same as when the shipped
            model was trained.
        labelled: `uint8 (n, 28, 28)`, 255 the ink, and `uint8 (n,)`, 0 to 9, or `NO_DIGIT`.
        recipe: how.
        progress: told the share of the steps that are done, 0 to 1.

    Returns:
        The model, its confidence calibrated anew, and its card.

    Raises:
        ModelFileError: the file is no classifier.
        DatasetError: fewer training images than a part can be held out of.
    """
    validation = len(dataset.train_images) // HELD_OUT
    if not validation:
        raise DatasetError(
            f"{len(dataset.train_images)} training images are too few to hold out a part."
        )
    keras.utils.set_random_seed(recipe.seed)
    model = load_artifact(source)
    if is_detector(model):
        raise ModelFileError(
            f"{source.name}: finds digits rather than naming one; it cannot learn from labels."
        )
    shape = model.input_shape[1:]
    order = np.random.default_rng(read_card(source).get("training", {}).get("seed", 0)).permutation(
        len(dataset.train_images)
    )
    images, labels = (part[order[:validation]] for part in dataset[:2])
    before = model.get_weights()
    kept = dataset.train_images[order[validation:]], dataset.train_labels[order[validation:]]
    batches = _Batches(load_artifact(source), kept, labelled, recipe)
    _fit(model, batches, recipe, progress)
    model.set_weights(
        [(old + new) / 2 for old, new in zip(before, model.get_weights(), strict=True)]
    )
    varied = augment(images, labels, np.random.default_rng(recipe.seed)).reshape(-1, *shape)
    temperature = round(calibrate(model, varied, labels), 3)
    how = {"labelled": len(labelled[0]), **recipe._asdict(), "temperature": temperature}
    reference = {
        "reference": describe_digits(
            *_mix_digits(kept, labelled, recipe.labelled_share), augmented=True
        )
    }
    return model, _card(source, dataset, validation, model, how) | reference


def _fit(
    model: keras.Model, batches: _Batches, recipe: FinetuneRecipe, progress: Callable[[float], None]
) -> None:
    frozen = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in frozen:
        layer.trainable = False
    warmup = recipe.steps // 10
    schedule = keras.optimizers.schedules.CosineDecay(
        RATE / 20,
        max(recipe.steps - warmup, 1),
        alpha=0.01,
        warmup_target=RATE,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=0.01, use_ema=True, ema_momentum=EMA_MOMENTUM
    )
    model.compile(optimizer, loss="categorical_crossentropy")
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: progress((step + 1) / recipe.steps)
    )
    model.fit(
        batches,
        epochs=1,
        shuffle=False,
        verbose=0,
        callbacks=[told, keras.callbacks.SwapEMAWeights()],
    )
    for layer in frozen:
        layer.trainable = True


def _mix_digits(
    known: tuple[Bytes, Bytes], labelled: tuple[Bytes, Bytes], labelled_share: float
) -> tuple[Bytes, Bytes]:
    """Put together the digits that are learned from, what people labelled as often as it is among
    them; no digit is none of them.
    """
    digits = np.flatnonzero(labelled[1] != NO_DIGIT)
    # That each labelled image comes to one of MNIST's.
    times = len(known[0]) * labelled_share / (1 - labelled_share) / len(labelled[0])
    rows = np.resize(digits, round(times * len(digits)))
    images, labels = (
        np.concatenate([part, mine[rows]]) for part, mine in zip(known, labelled, strict=True)
    )
    return images, labels


def _card(
    source: Path, dataset: Dataset, validation: int, model: keras.Model, retraining: dict[str, Any]
) -> Card:
    """What the model came from stays in its card; the figures are its own."""
    before, test = read_card(source), evaluate(model, dataset.test_images, dataset.test_labels)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    parent = "-".join(part for part in (before.get("date"), sha256[:8]) if part)
    return origin(dataset, validation, model) | {
        "training": before.get("training", {}),
        "retrainings": [*before.get("retrainings", []), {"from": parent} | retraining],
        "accuracy": {"test": round(test.accuracy, 6)},
        "confusion": test.confusion.tolist(),
    }
