"""MNIST is read from wherever it lies; what cannot be read is named, with what was expected of
it.
"""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flaskapi.errors import DatasetError
from flaskapi.sources.mnist import IDX_NAMES, NPZ_NAMES, Dataset, load_dataset

IMAGES, LABELS = IDX_NAMES[:2]


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    """The array as an IDX file."""
    return (
        bytes([0, 0, 8, array.ndim])
        + b"".join(size.to_bytes(4, "big") for size in array.shape)
        + array.tobytes()
    )


def plain(name: str, data: bytes) -> tuple[str, bytes]:
    return name, data


def gzipped(name: str, data: bytes) -> tuple[str, bytes]:
    return f"{name}.gz", gzip.compress(data)


def dotted(name: str, data: bytes) -> tuple[str, bytes]:
    return name.replace("-idx", ".idx"), data


def gzipped_without_saying(name: str, data: bytes) -> tuple[str, bytes]:
    return name, gzip.compress(data)


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset) -> Path:
    """A folder with the four plain IDX files."""
    for name, array in zip(IDX_NAMES, dataset, strict=True):
        (tmp_path / name).write_bytes(idx(array))
    return tmp_path


@pytest.fixture
def write_npz(tmp_path: Path, dataset: Dataset) -> Callable[..., Path]:
    """Write the data set as `.npz`, with other arrays in the place of those that are given; None
    leaves one out.
    """

    def write(**others: Any) -> Path:
        arrays = {
            name: others.get(name, array) for name, array in zip(NPZ_NAMES, dataset, strict=True)
        }
        np.savez(
            tmp_path / "digits.npz",
            **{name: array for name, array in arrays.items() if array is not None},
        )
        return tmp_path / "digits.npz"

    return write


def assert_same(expected: Dataset, actual: Dataset) -> None:
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(other, one)
        assert np.uint8 == other.dtype
    assert expected.sha256 == actual.sha256


@pytest.mark.parametrize("form", [plain, gzipped, dotted, gzipped_without_saying])
def test_a_folder_of_idx_files_is_read(
    tmp_path: Path, dataset: Dataset, form: Callable[[str, bytes], tuple[str, bytes]]
) -> None:
    for name, array in zip(IDX_NAMES, dataset, strict=True):
        stored_as, data = form(name, idx(array))
        (tmp_path / stored_as).write_bytes(data)
    assert_same(dataset, load_dataset(tmp_path))


def test_an_npz_file_is_read(write_npz: Callable[..., Path], dataset: Dataset) -> None:
    assert_same(dataset, load_dataset(write_npz()))


@pytest.mark.parametrize("kind", [np.int64, np.uint16, np.int8])
def test_labels_of_any_whole_type_are_the_same_data_set(
    write_npz: Callable[..., Path], dataset: Dataset, kind: type[np.integer[Any]]
) -> None:
    """Labels are `uint8` and the SHA-256 is the same however the arrays were stored."""
    assert_same(
        dataset,
        load_dataset(
            write_npz(
                y_train=dataset.train_labels.astype(kind), y_test=dataset.test_labels.astype(kind)
            )
        ),
    )


def test_the_sha256_changes_with_one_pixel(dataset: Dataset) -> None:
    other = dataset.test_images.copy()
    other[0, 0, 0] ^= 1
    assert dataset.sha256 != dataset._replace(test_images=other).sha256


@pytest.mark.parametrize("name", IDX_NAMES)
def test_a_missing_file_is_named_with_all_that_are_expected(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    assert f"{folder / name}: no such file" in str(caught.value)
    assert all(expected in str(caught.value) for expected in IDX_NAMES)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "expected an IDX file", id="empty"),
        pytest.param(
            b"<html>Not found</html>",
            "expected an IDX file of unsigned bytes, which begins 00 00 08; it begins 3c 68",
            id="html",
        ),
        pytest.param(
            b"\0\0\x0d\x03" + bytes(12), "expected an IDX file of unsigned bytes", id="floats"
        ),
        pytest.param(b"\0\0\x08\x03\0\0", "the header is truncated after 6 bytes", id="header"),
        pytest.param(
            idx(np.zeros((3, 28, 28), np.uint8))[:-5],
            "expected 2352 bytes of data .* found 2347",
            id="cut off",
        ),
        pytest.param(
            idx(np.zeros((3, 28, 28), np.uint8)) + b"+",
            "expected 2352 bytes of data .* found 2353",
            id="too long",
        ),
        pytest.param(b"\0\0\x08\x03" + b"\xff" * 12, "bytes of data", id="a shape of 10^28 bytes"),
        pytest.param(
            b"\0\0\x08\x03\x80\0\0\0\x80\0\0\0\0\0\0\4", "bytes of data", id="a shape of 2^64 bytes"
        ),
        pytest.param(
            gzip.compress(idx(np.zeros((3, 28, 28), np.uint8)))[:-12],
            "cannot be read completely",
            id="gzip cut off",
        ),
        pytest.param(b"\x1f\x8b" + bytes(20), "cannot be read completely", id="no gzip at all"),
    ],
)
def test_a_damaged_idx_file_is_named_with_what_was_expected(
    folder: Path, content: bytes, expected: str
) -> None:
    (folder / IMAGES).write_bytes(content)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(folder / IMAGES))}: .*{expected}"):
        load_dataset(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    head=st.sampled_from(
        [
            b"",
            b"\0\0\x08\x01",
            b"\0\0\x08\x03",
            b"\x1f\x8b\x08",
            gzip.compress(b"\0\0\x08\x01\0\0\0\2"),
        ]
    ),
    rest=st.binary(max_size=40),
)
def test_no_bytes_break_the_reader(folder: Path, head: bytes, rest: bytes) -> None:
    (folder / LABELS).write_bytes(head + rest)
    with pytest.raises(DatasetError):
        load_dataset(folder)


@pytest.mark.parametrize("storage", ["folder", "npz"])
@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        pytest.param(
            "x_train",
            np.zeros((200, 32, 32), np.uint8),
            r"training images as uint8 \(n, 28, 28\), found uint8 \(200, 32, 32\)",
            id="size",
        ),
        pytest.param(
            "x_test",
            np.zeros((0, 28, 28), np.uint8),
            r"test images .* found uint8 \(0, 28, 28\)",
            id="none",
        ),
        pytest.param(
            "x_test", np.zeros(50, np.uint8), r"test images .* found uint8 \(50,\)", id="flat"
        ),
        pytest.param(
            "y_train",
            np.zeros(199, np.uint8),
            r"200 training labels, one for each image, found shape \(199,\)",
            id="count",
        ),
        pytest.param(
            "y_test",
            np.full(50, 10, np.uint8),
            "test labels to be whole numbers from 0 to 9",
            id="label 10",
        ),
    ],
)
def test_a_data_set_of_another_form_is_refused(
    folder: Path,
    write_npz: Callable[..., Path],
    storage: Literal["folder", "npz"],
    name: str,
    array: npt.NDArray[np.uint8],
    expected: str,
) -> None:
    if storage == "npz":
        source = write_npz(**{name: array})
    else:
        source = folder
        (folder / IDX_NAMES[NPZ_NAMES.index(name)]).write_bytes(idx(array))
    with pytest.raises(DatasetError, match=f"^{re.escape(str(source))}: expected {expected}"):
        load_dataset(source)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        pytest.param(
            {"x_train": np.zeros((200, 28, 28), np.float32)},
            r"found float32 \(200, 28, 28\)",
            id="floats",
        ),
        pytest.param({"y_train": np.zeros(200)}, "whole numbers", id="fractions"),
        pytest.param({"y_train": np.full(200, -1)}, "whole numbers from 0 to 9", id="negative"),
        pytest.param(
            {"y_train": np.full(200, 256)}, "whole numbers from 0 to 9", id="256 is not 0"
        ),
        pytest.param({"y_test": np.eye(10)[[0] * 50]}, r"found shape \(50, 10\)", id="one-hot"),
        pytest.param(
            {"y_test": None}, "the arrays x_train, y_train, x_test, y_test", id="one is missing"
        ),
        pytest.param(
            {"y_test": np.array([print] * 50)}, "an .npz file of NumPy arrays", id="pickled"
        ),
    ],
)
def test_an_npz_of_other_arrays_is_refused(
    write_npz: Callable[..., Path], others: dict[str, Any], expected: str
) -> None:
    path = write_npz(**others)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: expected .*{expected}"):
        load_dataset(path)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.npz", "text.npz", "text.csv", "array.npz"])
def test_what_is_neither_a_folder_nor_an_npz_is_named(tmp_path: Path, name: str) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("1,2,3")
    if name.startswith("array"):
        with (tmp_path / name).open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(
        DatasetError, match=f"^{re.escape(str(tmp_path / name))}: expected .*npz file"
    ):
        load_dataset(tmp_path / name)
