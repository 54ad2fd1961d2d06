"""Labelled images are listed as they lie; what cannot be read is named by file and line."""

import gzip
import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fakes import draw_digit
from PIL import Image as Pillow

from flaskapi.errors import DatasetError
from flaskapi.evaluation.labelled import load_labelled
from flaskapi.sources.mnist import IDX_NAMES, NPZ_NAMES

DIGITS = (7, 2, 4)
IMAGES = np.stack([draw_digit(digit, side=28, dark_on_light=False) for digit in DIGITS])
MNIST = (IMAGES[:1], np.array(DIGITS[:1], np.uint8), IMAGES, np.array(DIGITS, np.uint8))


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    """The array as an IDX file."""
    return (
        bytes([0, 0, 8, array.ndim])
        + b"".join(size.to_bytes(4, "big") for size in array.shape)
        + array.tobytes()
    )


def fill(folder: Path, table: str | bytes) -> Path:
    """A folder with two files and this `labels.csv`."""
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(name.encode())
    (folder / "labels.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    return folder


def test_files_and_labels_are_listed_in_the_order_of_the_table(tmp_path: Path) -> None:
    images = load_labelled(fill(tmp_path, "file,label\nb.png,0\na.png,9\nb.png,5\n"))
    assert [("b.png", "0", b"b.png"), ("a.png", "9", b"a.png"), ("b.png", "5", b"b.png")] == [
        (i.name, i.label, i.read()) for i in images
    ]


@pytest.mark.parametrize("label", ["", "none", "None", " ", '""'])
def test_a_label_that_is_empty_or_none_is_of_no_digit(tmp_path: Path, label: str) -> None:
    assert [None] == [
        image.label for image in load_labelled(fill(tmp_path, f"file,label\na.png,{label}\n"))
    ]


@pytest.mark.parametrize(
    "table",
    [
        "\ufefffile,label\na.png,3\n",
        "file,label\na.png, 3 \n",
        "file,label\r\na.png,3\r\n\r\n",
        "label,writer,file\n3,someone,a.png\n",
        'file,label\n"a.png","3"',
    ],
    ids=["byte order mark", "spaces", "from Windows", "more columns", "quotes"],
)
def test_tables_as_spreadsheets_write_them_are_read(tmp_path: Path, table: str) -> None:
    assert [("a.png", "3")] == [
        (image.name, image.label) for image in load_labelled(fill(tmp_path, table))
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(
            "name,label\na.png,3\n",
            ": expected the columns file and label, found name, label",
            id="other columns",
        ),
        pytest.param(
            "file;label\na.png;3\n",
            ": expected the columns file and label, found file;label",
            id="semicolons",
        ),
        pytest.param("", ": expected the columns file and label, found nothing", id="nothing"),
        pytest.param("file,label\n", ": names no image", id="no rows"),
        pytest.param(
            "file,label\na.png,3\nc.png,3\n",
            ", line 3: there is no file 'c.png'",
            id="no such file",
        ),
        pytest.param("file,label\n,3\n", ", line 2: there is no file ''", id="no name"),
        pytest.param("label,file\n3\n", ", line 2: there is no file", id="cut off"),
        pytest.param(
            "file,label\na.png,3\nb.png,10\n", ", line 3: the label is '10'", id="label 10"
        ),
        pytest.param("file,label\na.png,seven\n", ", line 2: the label is 'seven'", id="a word"),
        pytest.param(
            b"file,label\na.png,3\n\xe9.png,3\n", ": cannot be read as CSV in UTF-8", id="Latin-1"
        ),
    ],
)
def test_a_table_of_another_form_is_named_with_its_line(
    tmp_path: Path, table: str | bytes, expected: str
) -> None:
    with pytest.raises(
        DatasetError, match=f"^{re.escape(str(tmp_path / 'labels.csv'))}{re.escape(expected)}"
    ):
        load_labelled(fill(tmp_path, table))


def test_numbers_are_read_as_they_are_written_zeros_and_lines_included(tmp_path: Path) -> None:
    table = "file,label\na.png,05221859\na.png,12345|6879\nb.png,\nb.png,7\n"
    assert ["05221859", "12345|6879", None, "7"] == [
        image.label for image in load_labelled(fill(tmp_path, table), numbers=True)
    ]


@pytest.mark.parametrize("label", ["12a", "|12", "12|", "12||3", "-5", "1 2", "\u0663"])
def test_a_label_that_is_no_number_is_named_with_its_line(tmp_path: Path, label: str) -> None:
    with pytest.raises(
        DatasetError,
        match=r", line 2: the label is .*; it must be digits, with \| between lines, or empty",
    ):
        load_labelled(fill(tmp_path, f"file,label\na.png,{label}\n"), numbers=True)


def test_a_number_where_a_digit_is_read_leads_to_the_option(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"it must be a digit, .*; numbers are read with --number"
    ):
        load_labelled(fill(tmp_path, "file,label\na.png,12|3\n"))


@pytest.mark.parametrize("name", ["", "nowhere"], ids=["an empty folder", "no folder"])
def test_a_folder_without_a_table_is_named_with_what_was_expected(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(
        DatasetError,
        match=f"^{re.escape(str(tmp_path / name))}: expected a folder with images and a labels.csv",
    ):
        load_labelled(tmp_path / name)


@pytest.mark.parametrize("form", ["plain", "gzipped", "dotted", "npz"])
def test_of_mnist_the_test_images_are_listed_as_png_files(tmp_path: Path, form: str) -> None:
    """In each of the forms in which `load_dataset` takes it."""
    source = tmp_path / "mnist.npz" if form == "npz" else tmp_path
    if form == "npz":
        np.savez(source, **dict(zip(NPZ_NAMES, MNIST, strict=True)))
    else:
        for name, array in zip(IDX_NAMES, MNIST, strict=True):
            stored_as = {
                "plain": name,
                "gzipped": f"{name}.gz",
                "dotted": name.replace("-idx", ".idx"),
            }[form]
            (source / stored_as).write_bytes(
                gzip.compress(idx(array)) if form == "gzipped" else idx(array)
            )
    images = load_labelled(source)
    assert [("test-00000", "7"), ("test-00001", "2"), ("test-00002", "4")] == [
        (image.name, image.label) for image in images
    ]
    for image, pixels in zip(images, IMAGES, strict=True):
        np.testing.assert_array_equal(
            np.asarray(Pillow.open(io.BytesIO(image.read()), formats=["PNG"])), pixels
        )
