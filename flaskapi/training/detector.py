"""Train the network that finds digits in larger pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from flaskapi.arrays import Bytes, Doubles, Floats
from flaskapi.artifacts.artifact import Card
from flaskapi.digits.page import PADDING_PX, VALUES
from flaskapi.errors import DatasetError
from flaskapi.handwriting.pages import NEAR, DrawnPage, Placed, draw_page, draw_targets
from flaskapi.reading.candidates import find_candidates
from flaskapi.sources.mnist import Dataset
from flaskapi.training.calibrate import fit_logistic, fit_temperature
from flaskapi.training.loop import KEEP_EVERY_S, Batch, Training, TrainingPart
from flaskapi.training.networks import FusedNormalization, detector
from flaskapi.training.train import identity, make_optimizer, origin

LARGEST_RATE = 1.5e-3
VALIDATION_PAGES, CALIBRATION_PAGES = 256, 1500
MATCH = 0.5  # widths or heights of a digit from its middle: an answer as near to it is for it


class DetectorRecipe(NamedTuple):
    """Everything that decides what comes out of a training."""

    epochs: int = 200  # of which the last `cooling_epochs` end with small steps
    cooling_epochs: int = 30
    steps: int = 500  # of an epoch
    batch_size: int = 32
    seed: int = 0
    validation: int = 5000  # digits held out
    precision: str = "float32"  # or "mixed_bfloat16", which some processors multiply faster


class Pages:
    """Pages drawn anew for each batch; the same for the same seed."""

    def __init__(self, images: Bytes, labels: Bytes, recipe: DetectorRecipe) -> None:
        self._images, self._labels, self._recipe = images, labels, recipe

    def make(self, step: int) -> Batch:
        """Draw the batch of a step, counted from 0 over all epochs."""
        rng = np.random.default_rng([self._recipe.seed, *divmod(step, self._recipe.steps)])
        return draw_batch(self._images, self._labels, self._recipe.batch_size, rng)


def draw_batch(
    images: Bytes, labels: Bytes, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw pages, `float32 (count, 64, 256, 1)`, and what the network should answer, `float32
    (count, 16, 128, 6)`.
    """
    pages = [draw_page(images, labels, rng) for _ in range(count)]
    return np.stack([page.pixels for page in pages])[..., np.newaxis], np.stack(
        [draw_targets(page.digits) for page in pages]
    )


def detection_loss(targets: Any, answers: Any) -> Any:
    """How far the answers are from the targets, one number for each page.

    Whether a digit is there: focal loss, lenient near a centre ("Objects as Points"). Which one:
    cross-entropy. Where: absolute error.
    """
    answers = ops.cast(ops.reshape(answers, (-1, *targets.shape[1:3], VALUES)), "float32")
    near, digit, box = targets[..., 0], ops.cast(targets[..., 1], "int32"), targets[..., 2:]
    presence = answers[..., 0]
    is_center, is_near = ops.cast(near == 1, "float32"), ops.cast(near > NEAR, "float32")
    share = ops.sigmoid(presence)
    found = is_center * (1 - share) ** 2 * ops.log_sigmoid(presence)
    found += (1 - is_center) * (1 - near) ** 4 * share**2 * ops.log_sigmoid(-presence)
    named = is_near * ops.sparse_categorical_crossentropy(
        digit, answers[..., 1:11], from_logits=True
    )
    placed = is_near * ops.sum(ops.abs(box - answers[..., 11:]), axis=-1)
    centers = ops.maximum(ops.mean(ops.sum(is_center, axis=(1, 2))), 1)
    return ops.sum(-found + 0.5 * named + 0.1 * placed, axis=(1, 2)) / centers


def make_learner(precision: str) -> keras.Model:
    """The detector in the form that learns fastest; its weights are float32 in any."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        is_tensorflow = keras.backend.backend() == "tensorflow"
        shape = (None, None, 1)
        return detector(shape, FusedNormalization) if is_tensorflow else detector(shape)
    finally:
        keras.config.set_dtype_policy(before)


def train_detector(
    dataset: Dataset,
    recipe: DetectorRecipe,
    *,
    backup: Path | None = None,
    keep_every_s: float = KEEP_EVERY_S,
) -> tuple[keras.Model, Card, Training]:
    """Train the detector, with a progress bar, on pages written with all training digits but a part
    held out for validation.

    Args:
        dataset: whose training digits to write with.
        recipe: how to train.
        backup: a folder to keep the state in; the same call goes on from there, however this one
            ended.
        keep_every_s: seconds between two states; each epoch's end is kept too.

    Returns:
        The model, calibrated, its card, and the training, to forget its states.

    Raises:
        DatasetError: fewer training images than the validation part takes.
    """
    if not 0 < recipe.validation < len(dataset.train_images):
        raise DatasetError(
            f"Of {len(dataset.train_images)} training images, {recipe.validation} cannot be held "
            f"out for validation."
        )
    keras.utils.set_random_seed(recipe.seed)
    order = np.random.default_rng(recipe.seed).permutation(len(dataset.train_images))
    (held_images, images), (held_labels, labels) = (
        np.split(part[order], [recipe.validation]) for part in dataset[:2]
    )
    rng = np.random.default_rng(recipe.seed)
    learner = make_learner(recipe.precision)
    validation = draw_batch(held_images, held_labels, VALIDATION_PAGES, rng)
    training = Training(
        _parts(recipe),
        folder=backup,
        identity=recipe._replace(epochs=0, cooling_epochs=0)._asdict() | identity(dataset),
        keep_every_s=keep_every_s,
    )
    _fit(
        training,
        recipe,
        learner,
        Pages(images, labels, recipe),
        validate=lambda: learner.evaluate(*validation, batch_size=32, verbose=0, return_dict=True),
    )
    model = detector((None, None, 1))
    model.set_weights(learner.get_weights())
    calibration = calibrate_detector(
        model, [draw_page(held_images, held_labels, rng) for _ in range(CALIBRATION_PAGES)]
    )
    found = look_over(
        model, [draw_page(held_images, held_labels, rng) for _ in range(CALIBRATION_PAGES)]
    )
    card = origin(dataset, recipe.validation, model) | {
        "training": recipe._asdict() | calibration,
        "pages": found.figures(),
        "hours": round(training.hours, 3),
    }
    return model, card, training


def _parts(recipe: DetectorRecipe) -> list[TrainingPart]:
    """Steps that stay large first, which leave open how many epochs there are; then smaller ones,
    as in Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations"
    (2024).
    """
    cooling = min(recipe.cooling_epochs, recipe.epochs)
    parts = [
        TrainingPart("detector", recipe.epochs - cooling, recipe.steps, 1.0, is_open=cooling > 0),
        TrainingPart("detector-cool", cooling, recipe.steps, 1.0),
    ]
    return [part for part in parts if part.epochs]


def _fit(
    training: Training,
    recipe: DetectorRecipe,
    learner: keras.Model,
    pages: Pages,
    validate: Callable[[], dict[str, float]],
) -> None:
    """Go through the parts of a training, each with its own schedule."""
    before = 0
    for part in _parts(recipe):
        learner.compile(
            make_optimizer(LARGEST_RATE, part.epochs, part.steps, is_even=part.is_open),
            loss=detection_loss,
            jit_compile=False,  # XLA's convolutions on processors are slower
        )
        training.fit(part.name, learner, pages.make, first=before, validate=validate)
        before += part.total


class Found(NamedTuple):
    """What a detector says of some pages, one entry for each of its candidates."""

    digits: int  # that are on the pages, whole
    presence: Doubles
    shares: Floats  # `(n, 10)`
    labels: npt.NDArray[np.int64]  # what is there; -1: nothing

    def figures(self) -> dict[str, int]:
        """How many of the digits were found, and found and named rightly; and how many answers
        there were where none is.
        """
        sure, is_there = self.presence > 0.5, self.labels >= 0
        right = sure & (self.shares.argmax(axis=1) == self.labels)
        counts = {
            "digits": self.digits,
            "found": int((sure & is_there).sum()),
            "right": int(right.sum()),
        }
        return counts | {"false_alarms": int((sure & ~is_there).sum())}


def look_over(model: keras.Model, pages: Sequence[DrawnPage]) -> Found:
    """Compare what a detector says of pages with what is on them; digits that a page cuts off may
    be found or not.
    """
    answers = model.predict(
        np.stack([page.pixels for page in pages])[..., np.newaxis], batch_size=32, verbose=0
    )
    rows = []
    for page, answer in zip(pages, answers, strict=True):
        left = list(page.digits)
        for candidate in find_candidates(answer.reshape(len(answer), -1, VALUES), 1.0):
            x, y = (
                (candidate.edges[side] + candidate.edges[side + 2]) / 2 + PADDING_PX
                for side in (0, 1)
            )
            nearest = min(left, key=lambda digit: _distance(digit, x, y), default=None)
            if nearest is None or _distance(nearest, x, y) > MATCH:
                rows.append((candidate, -1))
                continue
            left.remove(nearest)
            if nearest.is_whole:
                rows.append((candidate, nearest.digit))
    whole = sum(digit.is_whole for page in pages for digit in page.digits)
    candidates = [candidate for candidate, _ in rows]
    presence, shares = (
        np.array([one.presence for one in candidates]),
        np.array([one.probabilities for one in candidates]),
    )
    return Found(
        whole, presence, shares.reshape(-1, 10), np.array([label for _, label in rows], np.int64)
    )


def _distance(digit: Placed, x: float, y: float) -> float:
    """From a point to the middle of a digit, in its widths or heights, at least 8 pixels each."""
    across = (digit.x + digit.width / 2 - x) / max(digit.width, 8)
    down = (digit.y + digit.height / 2 - y) / max(digit.height, 8)
    return float(np.hypot(across, down))


def calibrate_detector(model: keras.Model, pages: Sequence[DrawnPage]) -> dict[str, float]:
    """Scale the last layers so that presence and the digits' probabilities mean what they say, on
    pages not learned from.

    Returns:
        What was done: `presence_slope` and `presence_shift` to the logit of presence, `temperature`
        under the digits' logits.
    """
    found = look_over(model, pages)
    share = np.clip(found.presence, 1e-6, 1 - 1e-6)
    slope, shift = fit_logistic(np.log(share / (1 - share)), found.labels >= 0)
    is_there = found.labels >= 0
    temperature = (
        fit_temperature(found.shares[is_there], found.labels[is_there]) if is_there.any() else 1.0
    )
    kernel, bias = model.get_layer("answer").get_weights()
    of_presence, of_digits = (
        (np.arange(len(bias)) % VALUES == 0),
        np.isin(np.arange(len(bias)) % VALUES, range(1, 11)),
    )
    scale = np.where(of_presence, slope, np.where(of_digits, 1 / temperature, 1))
    model.get_layer("answer").set_weights(
        [kernel * scale, bias * scale + np.where(of_presence, shift, 0)]
    )
    return {
        "presence_slope": round(slope, 3),
        "presence_shift": round(shift, 3),
        "temperature": round(temperature, 3),
    }
