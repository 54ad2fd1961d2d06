"""MNIST's files, and data sets of their form: a folder of IDX files, or an `.npz`."""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flaskapi.arrays import Bytes
from flaskapi.errors import DatasetError

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
NPZ_NAMES = ("x_train", "y_train", "x_test", "y_test")
# Two models as good as each other differ by this share of MNIST's digits: one mistake in 5,000.
MNIST_NOISE = 1 / 5_000
# As `Dataset.sha256` counts it.
MNIST_SHA256 = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"


class Dataset(NamedTuple):
    """Digits to learn from and digits to be judged by.

    Images are `uint8 (n, 28, 28)`, 0 the paper and 255 the ink; labels are `uint8 (n,)`, 0 to 9.
    """

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of the four arrays, one after the other. It does not depend on how they are
        stored.
        """
        digest = hashlib.sha256()
        for array in self:
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def load_dataset(source: Path) -> Dataset:
    """Read MNIST, or a data set of its form.

    Args:
        source: a folder with the four IDX files (gzipped or not), an `.npz` file with
            `x_train`, `y_train`, `x_test` and `y_test`.

    Raises:
        DatasetError: a file is missing, truncated or of another form.
    """
    check_there(source)
    if source.is_dir():
        dataset = Dataset(*(_read_idx(_find_idx(source, name)) for name in IDX_NAMES))
    else:
        dataset = _read_npz(source)
    _check(source, "training", dataset.train_images, dataset.train_labels)
    _check(source, "test", dataset.test_images, dataset.test_labels)
    return dataset._replace(
        train_labels=dataset.train_labels.astype(np.uint8),
        test_labels=dataset.test_labels.astype(np.uint8),
    )


def check_there(source: Path) -> None:
    """Check that the files exist before work begins that needs them at its end.

    Raises:
        DatasetError: a file is missing.
    """
    if source.is_dir():
        for name in IDX_NAMES:
            _find_idx(source, name)
    elif source.suffix != ".npz" or not source.exists():
        raise DatasetError(
            f"{source}: expected a folder with the four MNIST files in IDX form, or an .npz file."
        )


def holds_idx(folder: Path) -> bool:
    """Does the folder contain any of the four files?"""
    return any(path.is_file() for name in IDX_NAMES for path in _idx_forms(folder, name))


def _idx_forms(folder: Path, name: str) -> list[Path]:
    return [folder / name, folder / f"{name}.gz", folder / name.replace("-idx", ".idx")]


def _find_idx(folder: Path, name: str) -> Path:
    for path in _idx_forms(folder, name):
        if path.is_file():
            return path
    raise DatasetError(
        f"{folder / name}: no such file, nor {name}.gz. Expected the four MNIST files: "
        f"{', '.join(IDX_NAMES)}."
    )


def _read_idx(path: Path) -> Bytes:
    """Read one IDX file of unsigned bytes (format: the end of
    http://yann.lecun.com/exdb/mnist/).
    """
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: cannot be read completely: {error}.") from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or data[3] not in (1, 3):
        raise DatasetError(
            f"{path}: expected an IDX file of unsigned bytes, which begins 00 00 08; it begins "
            f"{data[:4].hex(' ')}."
        )
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise DatasetError(f"{path}: the header is truncated after {len(data)} bytes.")
    shape = struct.unpack(f">{data[3]}I", data[4:header])
    expected = math.prod(shape)
    if len(data) - header != expected:
        raise DatasetError(
            f"{path}: expected {expected} bytes of data after the header for shape {shape}, found "
            f"{len(data) - header}."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_npz(path: Path) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Dataset(*(arrays[name] for name in NPZ_NAMES))
    except KeyError as error:
        raise DatasetError(
            f"{path}: expected the arrays {', '.join(NPZ_NAMES)}: {error.args[0]}"
        ) from error
    except Exception as error:  # NumPy and zipfile raise a dozen kinds for a file that is no .npz
        raise DatasetError(f"{path}: expected an .npz file of NumPy arrays: {error}") from error


def _check(where: Path, part: str, images: Bytes, labels: Bytes) -> None:
    if (
        images.dtype != np.uint8
        or images.ndim != 3
        or images.shape[1:] != (28, 28)
        or len(images) == 0
    ):
        raise DatasetError(
            f"{where}: expected {part} images as uint8 (n, 28, 28), found {images.dtype} "
            f"{images.shape}."
        )
    if labels.ndim != 1 or len(labels) != len(images):
        raise DatasetError(
            f"{where}: expected {len(images)} {part} labels, one for each image, found shape "
            f"{labels.shape}."
        )
    if labels.dtype.kind not in "iu" or int(labels.min()) < 0 or int(labels.max()) > 9:
        raise DatasetError(f"{where}: expected {part} labels to be whole numbers from 0 to 9.")
