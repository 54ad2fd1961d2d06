"""Train a model from a data set, and write its card."""

import contextlib
import datetime
import functools
import importlib.metadata
import platform
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.artifacts.artifact import Card
from flaskapi.errors import DatasetError
from flaskapi.handwriting.augment import augment
from flaskapi.sources.mnist import MNIST_SHA256, Dataset
from flaskapi.training.batches import Maker, Pool, targets
from flaskapi.training.calibrate import calibrate
from flaskapi.training.evaluate import Confusion, evaluate
from flaskapi.training.loop import KEEP_EVERY_S, Batch, Training, TrainingPart, multiply_adds
from flaskapi.training.networks import NETWORKS, Shape
from flaskapi.training.reference import describe_digits

FIRST_RATE, FINISHING_RATE, TAUGHT_RATE = 2e-3, 4e-4, 1e-3  # the optimizer's largest steps
TEACHERS_SHARE = 0.7  # of what a network that is taught should answer; the rest is what is known
CALIBRATION_COPIES = 4  # of each validation digit, varied as in training


class Recipe(NamedTuple):
    """Everything that determines the result of a training."""

    network: str
    epochs: int  # of which the last `cooling_epochs` end with small steps
    batch_size: int
    augmented: bool
    cooling_epochs: int = 0
    # After those, of what a teacher says, which is trained first, and what the network said itself.
    taught_epochs: int = 0
    finishing_epochs: int = 0  # after those, varied gently and with a small step
    outliers_share: float = (
        0.0  # pictures of no digit, beside the digits of each batch; more in the last epochs
    )
    seed: int = 0
    validation: int = 5000
    channels_first: bool = False

    @property
    def shape(self) -> Shape:
        """The shape of an image, in the network's form."""
        return (1, 28, 28) if self.channels_first else (28, 28, 1)


RECIPES = {
    "compact": Recipe(
        "compact",
        epochs=60,
        batch_size=128,
        augmented=True,
        cooling_epochs=20,
        finishing_epochs=8,
        outliers_share=0.1875,
    ),
    "tutorial": Recipe("tutorial", epochs=5, batch_size=32, augmented=False),
}


class Batches:
    """The batches of all epochs, one after the other, made by `Maker` in this many other processes,
    or in none.
    """

    def __init__(
        self, images: Bytes, labels: Bytes, recipe: Recipe, shape: Shape, processes: int = 0
    ) -> None:
        maker = Maker(
            images,
            labels,
            size=recipe.batch_size,
            seed=recipe.seed,
            is_augmented=recipe.augmented,
            outliers_share=recipe.outliers_share,
            gently_from=recipe.epochs + recipe.taught_epochs,
        )
        self._count, self._shape = len(maker), shape
        self._source = Pool(maker, processes) if processes else maker

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._count

    def make(self, step: int) -> Batch:
        """Make the batch of a step, counted from 0 over all epochs."""
        pixels, answers = self._source.make(*divmod(step, self._count))
        return pixels.reshape(-1, *self._shape), answers

    def close(self) -> None:
        """Stop the processes, if there are any."""
        if isinstance(self._source, Pool):
            self._source.close()


class TaughtBatches:
    """The same batches, in which most of each target is the mean of the teachers' answers to
    digits.

    An uncertain teacher shows which digits an image resembles, and which labels may be wrong
    (Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network", 2015).
    """

    def __init__(self, batches: Batches, *teachers: keras.Model) -> None:
        self._batches, self._teachers = batches, teachers

    def __len__(self) -> int:
        return len(self._batches)

    def make(self, step: int) -> Batch:
        """Make the batch of a step, counted from 0 over all epochs."""
        pixels, answers = self._batches.make(step)
        said = sum(teacher.predict_on_batch(pixels) for teacher in self._teachers) / len(
            self._teachers
        )
        mixed = TEACHERS_SHARE * said + (1 - TEACHERS_SHARE) * answers
        # Of what is none the answer is known: all ten alike.
        is_digit = answers.max(axis=1, keepdims=True) == 1
        return pixels, np.where(is_digit, mixed, answers)


def train(
    dataset: Dataset,
    recipe: Recipe,
    *,
    backup: Path | None = None,
    processes: int = 0,
    keep_every_s: float = KEEP_EVERY_S,
) -> tuple[keras.Model, Card, Confusion, Training]:
    """Train a network, with a progress bar, on all training images but a part held out for
    validation.

    Args:
        dataset: what to learn from; its test part is used once, at the end.
        recipe: what to train and how.
        backup: a folder to keep the state in; the same call continues from there, however this one
            ended.
        processes: how many others make the batches; the result is the same.
        keep_every_s: seconds between two states; each epoch's end is kept too.

    Returns:
        The model, its card, its confusion on the test part, and the training, to forget its states.

    Raises:
        DatasetError: there are fewer training images than the validation part needs.
    """
    if recipe.validation >= len(dataset.train_images):
        raise DatasetError(
            f"{len(dataset.train_images)} training images are too few to hold out "
            f"{recipe.validation} for validation."
        )
    shape = recipe.shape
    order = np.random.default_rng(recipe.seed).permutation(len(dataset.train_images))
    held_out, kept = order[: recipe.validation], order[recipe.validation :]
    learned = dataset.train_images[kept], dataset.train_labels[kept]
    validation = None
    if recipe.validation:
        pixels = dataset.train_images[held_out].reshape(-1, *shape).astype(np.float32) / np.float32(
            255
        )
        validation = (pixels, targets(dataset.train_labels[held_out]))
    training = Training(
        _parts(recipe, steps=-(-len(kept) // recipe.batch_size)),
        folder=backup,
        # How long each part is, is the parts' own.
        identity={name: value for name, value in recipe._asdict().items() if "epochs" not in name}
        | identity(dataset),
        keep_every_s=keep_every_s,
    )
    teacher = None
    if recipe.taught_epochs:
        teacher = _fit(training, _teaching(recipe), learned, validation, None, processes)
    model = _fit(training, recipe, learned, validation, teacher, processes)
    temperature = None
    if recipe.validation and recipe.augmented:
        images, labels = (
            np.repeat(part[held_out], CALIBRATION_COPIES, axis=0) for part in dataset[:2]
        )
        temperature = calibrate(
            model,
            augment(images, labels, np.random.default_rng(recipe.seed)).reshape(-1, *shape),
            labels,
        )
    test = evaluate(model, dataset.test_images, dataset.test_labels)
    accuracy = {"test": round(test.accuracy, 6)}
    if recipe.validation:
        part = evaluate(model, dataset.train_images[held_out], dataset.train_labels[held_out])
        accuracy["validation"] = round(part.accuracy, 6)
    card = _card(dataset, recipe, model, accuracy, temperature, test)
    card["reference"] = describe_digits(*learned, augmented=recipe.augmented)
    card["hours"] = round(training.hours, 3)
    return model, card, test, training


def _teaching(recipe: Recipe) -> Recipe:
    """The teacher's training, which has as many epochs as it teaches, including the gentle ones."""
    return recipe._replace(
        network="teacher", epochs=recipe.taught_epochs, cooling_epochs=0, taught_epochs=0
    )


def _parts(recipe: Recipe, steps: int) -> list[TrainingPart]:
    """All parts of a training, the teacher's first. The cost of a step is counted in
    multiplications.
    """
    # Backwards as well takes three times as long as forwards.
    own = 3 * multiply_adds(NETWORKS[recipe.network](recipe.shape))
    parts = []
    if recipe.taught_epochs:
        teaching = _teaching(recipe)
        taught = own + own / 3 + multiply_adds(NETWORKS["teacher"](recipe.shape))
        parts = [
            part._replace(name=f"teacher-{part.name}", cost=3 * (taught - own - own / 3))
            for part in _parts(teaching, steps)
        ]
        parts += _first_parts(recipe, steps, own)
        parts += [TrainingPart("taught", recipe.taught_epochs, steps, taught)]
        parts += [TrainingPart("finish", recipe.finishing_epochs, steps, own + own / 3)]
    else:
        parts = [
            *_first_parts(recipe, steps, own),
            TrainingPart("finish", recipe.finishing_epochs, steps, own),
        ]
    return [part for part in parts if part.epochs]


def _first_parts(recipe: Recipe, steps: int, cost: float) -> list[TrainingPart]:
    cooling = recipe.cooling_epochs
    return [
        TrainingPart("first", recipe.epochs - cooling, steps, cost, is_open=cooling > 0),
        TrainingPart("cool", cooling, steps, cost),
    ]


def _fit(
    training: Training,
    recipe: Recipe,
    learned: tuple[Bytes, Bytes],
    validation: tuple[Floats, Floats] | None,
    teacher: keras.Model | None,
    processes: int,
) -> keras.Model:
    """Run the parts of a training, each with its own schedule.

    The taught network goes half of the way back, as a retrained one does (see `finetune`). In its
    last epochs it is taught by its own answers. It then reads digits as well, and is less confident
    on pictures of no digit.
    """
    keras.utils.set_random_seed(recipe.seed)
    model = NETWORKS[recipe.network](recipe.shape)
    parts = (
        ("first", recipe.epochs - recipe.cooling_epochs, FIRST_RATE),
        ("cool", recipe.cooling_epochs, FIRST_RATE),
        ("taught", recipe.taught_epochs, TAUGHT_RATE),
        ("finish", recipe.finishing_epochs, FINISHING_RATE),
    )

    validate = functools.partial(_measure, model, *validation) if validation else None
    prefix = "teacher-" if recipe.network == "teacher" else ""
    with contextlib.closing(Batches(*learned, recipe, recipe.shape, processes)) as source:
        batches: Batches | TaughtBatches = source
        before, done = [], 0
        for name, epochs, rate in parts:
            if not epochs:
                continue
            if name == "taught":
                before = model.get_weights()
                batches = TaughtBatches(source, teacher, _copy(model))
            is_even = name == "first" and recipe.cooling_epochs > 0
            optimizer = (
                keras.optimizers.Adam()
                if recipe.network == "tutorial"
                else make_optimizer(rate, epochs, len(batches), is_even=is_even)
            )
            model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
            first = done * len(batches)
            training.fit(
                prefix + name,
                model,
                batches.make,
                first=first,
                validate=validate,
            )
            done += epochs
            if name == "taught":
                model.set_weights(
                    [(old + new) / 2 for old, new in zip(before, model.get_weights(), strict=True)]
                )
                batches = TaughtBatches(source, _copy(model))
    return model


def _measure(model: keras.Model, pixels: Floats, answers: Floats) -> dict[str, float]:
    measured: dict[str, float] = model.evaluate(
        pixels, answers, batch_size=500, verbose=0, return_dict=True
    )
    return measured


def _copy(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def make_optimizer(
    rate: float, epochs: int, steps_per_epoch: int, *, is_even: bool
) -> keras.optimizers.Optimizer:
    """Make the optimizer of one part of a training: AdamW, with averaged weights.

    Args:
        rate: the largest step, reached after one epoch.
        epochs: of the part.
        steps_per_epoch: batches of each.
        is_even: the steps stay large; otherwise they fall to nearly 0, as a cosine does.
    """
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20,
        epochs * steps_per_epoch,
        # Steps that stay large leave open how many epochs there are.
        alpha=1.0 if is_even else 0.001,
        warmup_target=rate,
        warmup_steps=steps_per_epoch,
    )
    # The averaged weights (of about the last two epochs) are what validation sees and what is kept.
    return keras.optimizers.AdamW(schedule, weight_decay=0.01, use_ema=True, ema_momentum=0.999)


def _card(
    dataset: Dataset,
    recipe: Recipe,
    model: keras.Model,
    accuracy: dict[str, float],
    temperature: float | None,
    test: Confusion,
) -> Card:
    return origin(dataset, recipe.validation, model) | {
        "training": recipe._asdict()
        | ({} if temperature is None else {"temperature": round(temperature, 3)}),
        "accuracy": accuracy,
        "confusion": test.confusion.tolist(),
    }


def origin(dataset: Dataset, validation: int, model: keras.Model) -> Card:
    """The first entries of every model's card: when and from what it was made, and with which
    versions.
    """
    sha256 = dataset.sha256
    data: dict[str, Any] = {
        "name": "MNIST" if sha256 == MNIST_SHA256 else "not MNIST",
        "sha256": sha256,
    }
    data |= {
        "training": len(dataset.train_images) - validation,
        "validation": validation,
        "test": len(dataset.test_images),
    }
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "data": data,
        "network": model.name,
        "input_shape": list(model.input_shape[1:]),
        "weights": model.count_params(),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            keras.backend.backend(): _backend_version(),
            "numpy": np.__version__,
            "opencv": importlib.metadata.version("opencv-python-headless"),
        },
    }


def identity(dataset: Dataset) -> dict[str, str]:
    """What determines the result of any training beside its recipe."""
    return {
        "data": dataset.sha256,
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
    }


def _backend_version() -> str:
    return str(__import__(keras.backend.backend()).__version__)
