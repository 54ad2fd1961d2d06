"""The artifact, `my_model.h5`: written whole or not at all, with its model card inside."""

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from flaskapi.errors import ModelFileError

if TYPE_CHECKING:  # importing Keras takes seconds, which reading or stripping a file need not
    import keras

CARD_ATTRIBUTE = "model_card"
PICTURE_DATASET = "mistakes_png"
Card = dict[str, Any]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Return a temporary name beside `path` to write to. On success it replaces `path` in one step.

    The suffix is kept, since Keras chooses the format by it. After any failure, including Ctrl-C,
    `path` is unchanged.
    """
    path = Path(os.path.realpath(path))  # of a link that leads to itself the link
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_artifact(model: "keras.Model", card: Card, path: Path) -> None:
    """Write the model without its optimizer, and its card, to `path`."""
    # By which Keras says of each .h5 file that there is a newer form.
    logging.getLogger("absl").setLevel(logging.ERROR)
    with replacing(path) as temporary:
        model.save(temporary, include_optimizer=False)
        with h5py.File(temporary, "r+") as file:
            file.attrs.pop("training_config", None)
            file.attrs[CARD_ATTRIBUTE] = json.dumps(card)


def read_card(path: Path) -> Card:
    """The model card in an artifact; empty if the file was not made here."""
    try:
        with h5py.File(path, "r") as file:
            card = file.attrs.get(CARD_ATTRIBUTE)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read as an HDF5 file: {error}") from error
    return json.loads(card) if card is not None else {}


def record_evaluation(
    path: Path, figures: dict[str, dict[str, int | float]], picture: bytes | None
) -> None:
    """Write the figures of an evaluation into an artifact's card, beside those of other sets.

    Args:
        path: the artifact; its content and so its SHA-256 change.
        figures: the measures on each set, by its name.
        picture: a PNG of its mistakes on MNIST's test set, empty if there are none; None keeps the
            present one.

    Raises:
        ModelFileError: the file is not in HDF5 form, or has no card.
    """
    card = check_recordable(path)
    card["evaluation"] = card.get("evaluation", {}) | figures
    with replacing(path) as temporary:
        shutil.copy(path, temporary)
        with h5py.File(temporary, "r+") as file:
            file.attrs[CARD_ATTRIBUTE] = json.dumps(card)
            if picture is not None:
                file.pop(PICTURE_DATASET, None)
            if picture:
                file[PICTURE_DATASET] = np.frombuffer(picture, np.uint8)


def check_recordable(path: Path) -> Card:
    """Return the card. Fail before an evaluation, not after it, if its figures could not be
    written.

    Raises:
        ModelFileError: the file cannot be written to, is not in HDF5 form, or has no card.
    """
    check_writable(path)
    if not (card := read_card(path)):
        raise ModelFileError(
            f"{path.name}: has no model card to write into; it was not made by train_mnist.py."
        )
    return card


def read_picture(path: Path) -> bytes:
    """The PNG of an artifact's mistakes on MNIST's test set.

    Raises:
        ModelFileError: there is none.
    """
    with h5py.File(path, "r") as file:
        if PICTURE_DATASET not in file:
            raise ModelFileError(
                f"{path.name}: has no picture; `.venv/bin/python -m flaskapi evaluate MNIST "
                f"--record` makes it."
            )
        return file[PICTURE_DATASET][()].tobytes()


def strip_optimizer(path: Path) -> int:
    """Remove the optimizer's weights from a model file, in place.

    Old versions of Keras could not load each other's optimizers, and serving needs none.

    Returns:
        By how many bytes the file became smaller; 0 if it had none, and then the file is unchanged.

    Raises:
        ModelFileError: the file is not in HDF5 form.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read as an HDF5 file: {error}") from error
    with file:
        if "optimizer_weights" not in file:
            return 0
        before = path.stat()
        with replacing(path) as temporary:
            # Copied rather than deleted in place: HDF5 would neither be safe from a crash nor give
            # back the room.
            with h5py.File(temporary, "w") as stripped:
                stripped.attrs.update(file.attrs)
                for name in file:
                    if name != "optimizer_weights":
                        file.copy(name, stripped)
            temporary.chmod(before.st_mode)
    return before.st_size - path.stat().st_size


def check_writable(path: Path) -> None:
    """Fail now, not after an hour of training.

    Raises:
        ModelFileError: the name does not end in `.h5`, or its folder cannot be written to.
    """
    if path.suffix != ".h5":
        raise ModelFileError(f"{path}: the artifact's name must end in .h5.")
    if not path.parent.is_dir():
        raise ModelFileError(f"{path.parent}: the folder does not exist.")
    if not os.access(path.parent, os.W_OK):
        raise ModelFileError(f"{path.parent}: the folder cannot be written to.")
