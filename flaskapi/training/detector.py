"""Train the network that finds digits in larger pictures."""

from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from flaskapi.training.dataset import Dataset
from flaskapi.training.networks import detector
from flaskapi.training.pages import NEAR, draw_page, draw_targets

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

LARGEST_RATE = 2e-3
VALIDATION_PAGES = 256


class DetectorRecipe(NamedTuple):
    """Everything that decides what comes out of a training."""

    epochs: int = 27
    steps: int = 500  # of an epoch
    batch_size: int = 32
    seed: int = 0
    validation: int = 5000  # digits held out


class Pages(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Pages drawn anew for each batch; the same for the same seed."""

    def __init__(self, images: Bytes, labels: Bytes, recipe: DetectorRecipe) -> None:
        super().__init__(workers=1)
        self._images, self._labels, self._recipe = images, labels, recipe
        self.start(0)

    def start(self, epoch: int) -> None:
        """Draw the pages of an epoch, counted from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        return draw_batch(self._images, self._labels, self._recipe.batch_size, rng)


def draw_batch(images: Bytes, labels: Bytes, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw pages, `float32 (count, 64, 256, 1)`, and what the network should answer, `float32 (count, 16, 64, 6)`."""
    pages = [draw_page(images, labels, rng) for _ in range(count)]
    return np.stack([page.pixels for page in pages])[..., np.newaxis], np.stack([draw_targets(page.digits) for page in pages])


def detection_loss(targets: Any, answers: Any) -> Any:
    """How far the answers are from the targets, one number for each page.

    Whether a digit is there: focal loss, lenient near a centre ("Objects as Points"). Which one: cross-entropy. Where: absolute error.
    """
    near, digit, box = targets[..., 0], ops.cast(targets[..., 1], "int32"), targets[..., 2:]
    presence = answers[..., 0]
    is_center, is_near = ops.cast(near == 1, "float32"), ops.cast(near > NEAR, "float32")
    share = ops.sigmoid(presence)
    found = is_center * (1 - share) ** 2 * ops.log_sigmoid(presence)
    found += (1 - is_center) * (1 - near) ** 4 * share**2 * ops.log_sigmoid(-presence)
    named = is_near * ops.sparse_categorical_crossentropy(digit, answers[..., 1:11], from_logits=True)
    placed = is_near * ops.sum(ops.abs(box - answers[..., 11:]), axis=-1)
    centers = ops.maximum(ops.mean(ops.sum(is_center, axis=(1, 2))), 1)
    return ops.sum(-found + 0.3 * named + 0.1 * placed, axis=(1, 2)) / centers


def train_detector(dataset: Dataset, recipe: DetectorRecipe, *, backup: Path | None = None) -> keras.Model:
    """Train the detector, with a progress bar."""
    keras.utils.set_random_seed(recipe.seed)
    order = np.random.default_rng(recipe.seed).permutation(len(dataset.train_images))
    held_out, kept = order[: recipe.validation], order[recipe.validation :]
    pages = Pages(dataset.train_images[kept], dataset.train_labels[kept], recipe)
    rng = np.random.default_rng(recipe.seed)
    validation = draw_batch(dataset.train_images[held_out], dataset.train_labels[held_out], VALIDATION_PAGES, rng)
    model = detector((None, None, 1))
    schedule = keras.optimizers.schedules.CosineDecay(
        LARGEST_RATE / 20, recipe.epochs * recipe.steps, alpha=0.001, warmup_target=LARGEST_RATE, warmup_steps=recipe.steps
    )
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01, use_ema=True, ema_momentum=0.999), loss=detection_loss)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: pages.start(epoch)), keras.callbacks.SwapEMAWeights()]
    if backup:
        callbacks.append(keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=False))
    model.fit(pages, epochs=recipe.epochs, validation_data=validation, validation_batch_size=32, callbacks=callbacks)
    return model
