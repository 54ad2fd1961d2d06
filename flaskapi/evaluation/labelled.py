"""Images whose labels are known: a folder with `labels.csv`, MNIST's own files, or Label Studio's
JSON.
"""

import csv
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flaskapi.digits.encode import encode_png
from flaskapi.errors import DatasetError
from flaskapi.evaluation.tasks import read_image, read_tasks
from flaskapi.labels import NONE
from flaskapi.sources.mnist import holds_idx, load_dataset

NOT_A_DIGIT = ("", NONE)  # what a label says of a picture that shows no digit
NUMBER = re.compile(r"[0-9]+(\|[0-9]+)*")


class LabelledImage(NamedTuple):
    """An image file and its label: the digit or number that it shows, with `|` between lines. The
    label is None if it shows none.
    """

    name: str
    label: str | None
    read: Callable[[], bytes]
    source: str | None = None  # who gave the label, where the table says so in a column `source`
    sha256: str | None = (
        # Of the file that it was exported from, in hexadecimal, where the table has a column of
        # that name.
        None
    )
    id: str | None = None  # of the submission that it was exported from, in the same way


def load_labelled(
    source: Path, *, numbers: bool = False, may_be_empty: bool = False
) -> list[LabelledImage]:
    """List the labelled images of a folder.

    Args:
        source: a folder with `labels.csv`, whose columns `file` and `label` name files in it and
            digits (an empty label: no digit); or a folder with MNIST's four files, or an `.npz`,
            whose test images are encoded as PNG; or Label Studio's JSON, whose images are in it or
            beside it.
        numbers: labels are numbers, such as `05221859`, or `12|345` for two lines.
        may_be_empty: a `labels.csv` without rows is no error.

    Raises:
        DatasetError: there is no such folder, or its `labels.csv` is of another form; the text
            names the line.
    """
    if source.suffix == ".json":
        return _read_tasks(source, numbers)
    table = source / "labels.csv"
    if table.is_file():
        found = _read_table(table, numbers)
        if not found and not may_be_empty:
            raise DatasetError(f"{table}: names no image.")
        return found
    if source.suffix == ".npz" or holds_idx(source):
        dataset = load_dataset(source)
        pairs = zip(dataset.test_images, dataset.test_labels, strict=True)
        return [
            LabelledImage(f"test-{i:05}", str(label), functools.partial(encode_png, image))
            for i, (image, label) in enumerate(pairs)
        ]
    raise DatasetError(
        f"{source}: expected a folder with images and a labels.csv (columns file and label), "
        f"MNIST's files, or Label Studio's JSON."
    )


def load_filled_in(folder: Path, *, numbers: bool = False) -> list[LabelledImage]:
    """List the images of an `unlabelled.csv`, as `export` writes it, that a person has labelled.
    Without the file there are none.

    Raises:
        DatasetError: it is of another form; the text names the line.
    """
    table = folder / "unlabelled.csv"
    return _read_table(table, numbers, left_out=("",)) if table.is_file() else []


def _read_table(table: Path, numbers: bool, left_out: tuple[str, ...] = ()) -> list[LabelledImage]:
    """Read the rows. Rows whose label is in `left_out` are skipped."""
    labelled = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise DatasetError(
                    f"{table}: expected the columns file and label, found "
                    f"{', '.join(rows.fieldnames or ['nothing'])}."
                )
            for row in rows:
                if (row["label"] or "").strip() in left_out:
                    continue
                image = _labelled(table, rows.line_num, row["file"] or "", row["label"], numbers)
                source, sha256, id = (row.get(name) for name in ("source", "sha256", "id"))
                labelled.append(image._replace(source=source, sha256=sha256, id=id))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read as CSV in UTF-8: {error}.") from error
    return labelled


def _read_tasks(source: Path, numbers: bool) -> list[LabelledImage]:
    labelled = [
        LabelledImage(
            task.name,
            _check_label(f"{source}, {task.name}", task.label, numbers),
            functools.partial(read_image, task.image, source.parent),
            sha256=task.sha256,
            id=task.submission,
        )
        for task in read_tasks(source)
    ]
    if not labelled:
        raise DatasetError(f"{source}: no task in it has a label.")
    return labelled


def _labelled(table: Path, line: int, name: str, label: str | None, numbers: bool) -> LabelledImage:
    path = table.parent / name
    if not path.is_file():
        raise DatasetError(f"{table}, line {line}: there is no file {name!r}.")
    label = "missing" if label is None else label
    return LabelledImage(
        name, _check_label(f"{table}, line {line}", label, numbers), path.read_bytes
    )


def _check_label(where: str, label: str, numbers: bool) -> str | None:
    label = label.strip().lower()
    is_number = NUMBER.fullmatch(label)
    if label not in NOT_A_DIGIT and not (is_number if numbers else label in tuple("0123456789")):
        expected = "digits, with | between lines" if numbers else "a digit"
        hint = "; numbers are read with --number" if is_number else ""
        raise DatasetError(
            f"{where}: the label is {label!r}; it must be {expected}, or empty if the image "
            f"shows none{hint}."
        )
    return None if label in NOT_A_DIGIT else label
