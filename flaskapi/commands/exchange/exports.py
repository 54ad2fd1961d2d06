"""`python -m flaskapi export`: what was kept, as a folder of images with a `labels.csv`."""

import contextlib
import csv
import hashlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from flaskapi.digits.convert import convert_to_png
from flaskapi.errors import FlaskapiError
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.exchange import Lost, Wanted, count_wanted, read_wanted

LABELLED, UNLABELLED = "labels.csv", "unlabelled.csv"
COLUMNS = (
    "file",
    "label",
    "source",
    "prediction",
    "confidence",
    "uncertain",
    "model",
    "received_at",
    "sha256",
    "id",
)


# Of the kinds of files that are kept, by the type that their bytes have.
_ENDINGS = {
    "application/pdf": ".pdf",
    **{
        f"image/{kind}": f".{ending}"
        for kind, ending in {
            **{kind: kind for kind in ("avif", "bmp", "gif", "heic", "png", "tiff", "webp")},
            "jpeg": "jpg",
        }.items()
    },
}


class Exported(NamedTuple):
    """How many images were written, how many could not be, and how many were lost."""

    labelled: int
    unlabelled: int
    failed: int
    lost: int


def export(store: Store, folder: Path, wanted: Wanted, *, original: bool = False) -> Exported:
    """Write submissions into a folder: the image of each, and a row in the table of the labelled or
    in that of the others.

    Each file is there whole or not at all; the tables come last, so that a folder that has them has
    all.

    Args:
        folder: is made; one that is there must be empty.
        original: each file as it was sent, byte for byte, rather than as a PNG.

    Raises:
        FlaskapiError: there is something in the folder, or the store cannot be used.
        OSError: it cannot be written into.
    """
    make_folder(folder)
    counts, failed, lost = {LABELLED: 0, UNLABELLED: 0}, 0, 0
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(
            tqdm(total=count_wanted(store, wanted), unit=" images", disable=None)
        )
        names = {None: (LABELLED, UNLABELLED), True: (LABELLED,), False: (UNLABELLED,)}[
            wanted.labelled
        ]
        tables = {name: stack.enter_context(_table(folder / name)) for name in names}
        for one in read_wanted(store, wanted):
            progress.update()
            if isinstance(one, Lost):
                tell_lost(one)
                lost += 1
                continue
            table = LABELLED if one.label else UNLABELLED
            if table not in tables:  # its label was withdrawn meanwhile
                continue
            content = one.image if original else to_png(one)
            if content is None:
                failed += 1
                continue
            name = f"{one.id}{_ENDINGS.get(one.media_type, '.bin') if original else '.png'}"
            with whole(folder / name) as path:
                path.write_bytes(content)
            tables[table].writerow(_row(one, name))
            counts[table] += 1
    return Exported(counts[LABELLED], counts[UNLABELLED], failed, lost)


def _row(one: Submission, name: str) -> tuple[Any, ...]:
    about = (
        one.label_source,
        one.prediction,
        one.confidence,
        one.uncertain,
        one.model,
        one.received_at.isoformat(),
    )
    sha256 = hashlib.sha256(
        one.image
    ).hexdigest()  # of what was sent, by which `import` knows it in another form
    label = one.label and as_evaluated(one.label, one.lines)
    return (name, label, *about, sha256, one.id)


def make_folder(folder: Path) -> None:
    """Make the folder of an export; one that is there must be empty.

    Raises:
        FlaskapiError: there is something in it.
        OSError: it cannot be made.
    """
    # What people sent is nobody else's on this machine.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FlaskapiError(
            f"{folder}: there is something in it. An export takes an empty folder, or makes one."
        )


def to_png(one: Submission) -> bytes | None:
    """Make a PNG of what was sent; None where it cannot be, which is said."""
    try:
        return convert_to_png(one.image)
    except Exception as error:  # Pillow says in many ways that a file is damaged
        tqdm.write(f"error: {one.id}: cannot be made a PNG: {error}", file=sys.stderr)
        return None


def tell_lost(one: Lost) -> None:
    """Say that an image is not in the export, for it is nowhere."""
    tqdm.write(f"error: {one.id}: {one.reason}", file=sys.stderr)


def as_evaluated(said: str, lines: list[str] | None) -> str:
    """A number as `evaluate` takes it, with `|` between lines, which are those that were read if
    they have as many digits; a digit, and `none`, as they are.
    """
    if not said.isdigit() or len(lines or []) < 2 or len(said) != sum(map(len, lines or [])):
        return said
    assert lines is not None
    ends = [sum(map(len, lines[:place])) for place in range(len(lines) + 1)]
    return "|".join(said[begin:end] for begin, end in itertools.pairwise(ends))


@contextlib.contextmanager
def _table(path: Path) -> Iterator[Any]:
    """Write a table that takes its name at the end."""
    with whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        yield writer


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file to write that takes its name when all went well, else goes."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.touch(mode=0o600)  # in a folder that was there others may look, too
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
