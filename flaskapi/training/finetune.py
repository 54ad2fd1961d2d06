"""Train a serving model a little further: mostly on what it already knows, and on people's
labels.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from flaskapi.arrays import Bytes, Floats
from flaskapi.artifacts.artifact import Card, read_card
from flaskapi.artifacts.keras_file import is_detector, load_artifact
from flaskapi.errors import DatasetError, ModelFileError
from flaskapi.handwriting.augment import augment
from flaskapi.handwriting.outliers import draw_outliers
from flaskapi.labels import NO_DIGIT
from flaskapi.sources.mnist import MNIST_NOISE, Dataset
from flaskapi.training.batches import targets
from flaskapi.training.calibrate import calibrate, fit_temperature
from flaskapi.training.evaluate import evaluate
from flaskapi.training.reference import describe_digits
from flaskapi.training.train import origin

RATE = 3e-4  # the optimizer's largest step, less than that of a training's gentle last epochs
EMA_MOMENTUM = 0.98  # what is kept is the mean of about the last fifty steps
OUTLIERS = 2_000  # drawn once, varied in each step
HELD_OUT = 12  # of so many of MNIST's training images one, as in a training: 5,000
DESCRIBED = 10_000  # of the training images, which tells any share to within 0.01
STEPPED = 0.6  # of the time that a copy takes, about, its steps take; the rest is the way back
# Of the way from the weights that serve to those that were learned, the longest first.
SHARES = (1.0, 0.75, 0.5, 0.25)

Weights = Sequence[npt.NDArray[np.floating]]


class FinetuneRecipe(NamedTuple):
    """Everything that determines the result, beside the model and the images."""

    steps: int = 160
    batch_size: int = 128
    labelled_share: float = 0.25  # of each batch; the rest is MNIST
    outliers_share: float = 0.1875  # pictures of no digit, beside the digits of each batch
    seed: int = 0


class Learned(NamedTuple):
    """The result of one training."""

    weights: Weights
    share: float  # of the way from the weights before, one of `SHARES`; 0: no part of it held
    temperature: float  # to divide the logits by, so that confidence means what it says


class Finetuner:
    """Trains copies of one model further, each on its own labelled images.

    Of labelled images a copy learns the label, and of all others the model's own answer, so that it
    changes as little as possible (Li, Hoiem: "Learning without Forgetting", 2016). The others,
    MNIST and pictures of no digit, are drawn once for all copies.

    Then a copy goes back towards the model until it reads held-out digits as well as before. The
    mean of the weights before and after has learned nearly as much and forgotten less (Wortsman and
    others: "Robust fine-tuning of zero-shot models", 2022).

    Args:
        source: the model file to start from.
        dataset: MNIST; a twelfth of its training part is held out, the same as in the shipped
            model's training.
        recipe: how to train.

    Raises:
        ModelFileError: the file is no classifier.
        DatasetError: there are too few training images to hold out a part.
    """

    def __init__(self, source: Path, dataset: Dataset, recipe: FinetuneRecipe) -> None:
        validation = len(dataset.train_images) // HELD_OUT
        if not validation:
            raise DatasetError(
                f"{len(dataset.train_images)} training images are too few to hold out a part."
            )
        keras.utils.set_random_seed(recipe.seed)
        self._model = load_artifact(source)
        if is_detector(self._model):
            raise ModelFileError(
                f"{source.name}: finds digits rather than naming one; it cannot learn from labels."
            )
        self._source, self._dataset, self._recipe = source, dataset, recipe
        seed = read_card(source).get("training", {}).get("seed", 0)
        order = np.random.default_rng(seed).permutation(len(dataset.train_images))
        images, self._labels = (part[order[:validation]] for part in dataset[:2])
        self._plain = self._shape(images.astype(np.float32) / np.float32(255))
        self._varied = self._shape(
            augment(images, self._labels, np.random.default_rng(recipe.seed))
        )
        self._known = order[validation:]  # places of the images to learn from
        self._before: Weights = self._model.get_weights()
        self._allowed = self._count_wrong() + round(MNIST_NOISE * 2 * validation)
        self._rehearsal = self._draw_rehearsal()
        self._compile()
        self._start = [keras.ops.convert_to_numpy(one) for one in self._model.variables]

    @property
    def serving(self) -> Learned:
        """The model as it was."""
        return Learned(self._before, 0.0, 1.0)

    def learn(
        self,
        labelled: tuple[Bytes, Bytes],
        progress: Callable[[float], None] = lambda share: None,
        *,
        share: float | None = None,
    ) -> Learned:
        """Train a copy, then go back as far as the held-out digits require.

        Layers of batch normalization keep their statistics: those of a few hundred mixed batches
        fit neither part.

        Args:
            labelled: `uint8 (n, 28, 28)`, 255 the ink, and `uint8 (n,)`, 0 to 9, or `NO_DIGIT`.
            progress: called with the share of the time that is over, 0 to 1, about.
            share: of the way, what to keep; None: as much as the held-out digits allow.
        """
        model, recipe = self._model, self._recipe
        for variable, value in zip(model.variables, self._start, strict=True):
            variable.assign(value)  # weights, and the chance of dropout
        for variable in model.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        count = round(recipe.batch_size * recipe.labelled_share)
        for step, (pixels, answers) in enumerate(self._rehearsal):
            rng = np.random.default_rng([recipe.seed, step])
            chosen = rng.integers(0, len(labelled[0]), count)
            images, labels = (part[chosen] for part in labelled)
            mine = self._shape(augment(images, labels, rng, gently=True))
            known = self._shape(pixels.astype(np.float32) / np.float32(255))
            model.train_on_batch(
                np.concatenate([mine, known]), np.concatenate([targets(labels), answers])
            )
            progress(STEPPED * (step + 1) / recipe.steps)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        after = model.get_weights()
        learned = self._go(after, self._find_share(after) if share is None else share)
        progress(1.0)
        return learned

    def classify(self, learned: Learned, images: Floats) -> Floats:
        """The probabilities, `(n, 10)`, that a copy gives for `float32 (n, 28, 28, 1)`."""
        self._model.set_weights(learned.weights)
        answers = self._predict(self._shape(images))
        logarithms = np.log(np.maximum(answers, 1e-12)) / np.float32(learned.temperature)
        powers = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def finish(self, learned: Learned, labelled: tuple[Bytes, Bytes]) -> tuple[keras.Model, Card]:
        """Calibrate a copy in the form that will serve.

        Args:
            learned: the result of `learn`.
            labelled: the images and labels that it learned from.

        Returns:
            The model and its card.
        """
        model, recipe = self._model, self._recipe
        model.set_weights(learned.weights)
        temperature = round(calibrate(model, self._varied, self._labels), 3)
        how = {
            "labelled": len(labelled[0]),
            **recipe._asdict(),
            "share": learned.share,
            "temperature": temperature,
        }
        mixed = _mix_digits(self._take(self._known[:DESCRIBED]), labelled, recipe.labelled_share)
        reference = {"reference": describe_digits(*mixed, augmented=True)}
        card = _card(self._source, self._dataset, len(self._labels), model, how)
        return model, card | reference

    def _find_share(self, after: Weights) -> float:
        """The longest share of the way at which held-out digits are read as well as before."""
        for share in SHARES:
            self._model.set_weights(self._between(after, share))
            if self._count_wrong() <= self._allowed:
                return share
        return 0.0

    def _go(self, after: Weights, share: float) -> Learned:
        """Keep that share of the way, and calibrate on varied digits."""
        weights = self._between(after, share)
        self._model.set_weights(weights)
        temperature = fit_temperature(self._predict(self._varied), self._labels)
        return Learned(weights, share, temperature)

    def _between(self, after: Weights, share: float) -> Weights:
        return [
            old + np.float32(share) * (new - old)
            for old, new in zip(self._before, after, strict=True)
        ]

    def _count_wrong(self) -> int:
        """Mistakes on held-out digits, as they are and varied."""
        return sum(
            int((self._predict(pixels).argmax(axis=1) != self._labels).sum())
            for pixels in (self._plain, self._varied)
        )

    def _draw_rehearsal(self) -> list[tuple[Bytes, Floats]]:
        """MNIST and pictures of no digit for every step, with the model's answers to them."""
        recipe, (images, labels) = self._recipe, self._take(self._known)
        rng = np.random.default_rng(recipe.seed)
        outliers = draw_outliers(OUTLIERS, images, labels, rng)
        digits = recipe.batch_size - round(recipe.batch_size * recipe.labelled_share)
        others = round(recipe.batch_size * recipe.outliers_share)
        batches = []
        for _ in range(recipe.steps):
            rows, strange = (
                rng.integers(0, len(part), count)
                for part, count in ((images, digits), (outliers, others))
            )
            drawn = augment(
                np.concatenate([images[rows], outliers[strange]]),
                np.concatenate([labels[rows], np.full(others, NO_DIGIT, np.uint8)]),
                rng,
                gently=True,
            )
            pixels = np.rint(255 * drawn).astype(np.uint8)
            seen = self._shape(pixels.astype(np.float32) / np.float32(255))
            batches.append((pixels, self._model.predict_on_batch(seen)))
        return batches

    def _take(self, places: npt.NDArray[np.integer]) -> tuple[Bytes, Bytes]:
        """Some of MNIST's training images, and their labels."""
        return self._dataset.train_images[places], self._dataset.train_labels[places]

    def _compile(self) -> None:
        for layer in self._model.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        steps = self._recipe.steps
        warmup = steps // 10
        schedule = keras.optimizers.schedules.CosineDecay(
            RATE / 20,
            max(steps - warmup, 1),
            alpha=0.01,
            warmup_target=RATE,
            warmup_steps=warmup,
        )
        optimizer = keras.optimizers.AdamW(
            schedule, weight_decay=0.01, use_ema=True, ema_momentum=EMA_MOMENTUM
        )
        self._model.compile(optimizer, loss="categorical_crossentropy", jit_compile=False)
        optimizer.build(self._model.trainable_variables)

    def _predict(self, pixels: Floats) -> Floats:
        batches = np.array_split(pixels, -(-len(pixels) // 500)) if len(pixels) else []
        answers = [self._model.predict_on_batch(batch) for batch in batches]
        return np.concatenate([np.zeros((0, 10), np.float32), *answers])

    def _shape(self, pixels: Floats) -> Floats:
        return pixels.reshape(-1, *self._model.input_shape[1:])


def _mix_digits(
    known: tuple[Bytes, Bytes], labelled: tuple[Bytes, Bytes], labelled_share: float
) -> tuple[Bytes, Bytes]:
    """Mix digits of MNIST and labelled ones in the proportion of the batches, without pictures of
    no digit.
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
    """The model's history stays in its card; the figures are its own."""
    before, test = read_card(source), evaluate(model, dataset.test_images, dataset.test_labels)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    parent = "-".join(part for part in (before.get("date"), sha256[:8]) if part)
    return origin(dataset, validation, model) | {
        "training": before.get("training", {}),
        "retrainings": [*before.get("retrainings", []), {"from": parent} | retraining],
        "accuracy": {"test": round(test.accuracy, 6)},
        "confusion": test.confusion.tolist(),
    }
