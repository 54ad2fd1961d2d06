"""`python -m flaskapi import`: labelled images, read as the service reads them and kept with their
labels.
"""

import sys
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from tqdm import tqdm

from flaskapi.contract.keeping import Kept, to_submission
from flaskapi.errors import FlaskapiError
from flaskapi.evaluation.labelled import LabelledImage, load_labelled
from flaskapi.evaluation.measures import LINE_END
from flaskapi.labels import NONE
from flaskapi.reading.many import Answer
from flaskapi.reading.reader import Reader
from flaskapi.sources import Item
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.exchange import keep_labelled

_TOGETHER, _TOGETHER_BYTES = 64, 1 << 22  # in one transaction, whichever is less


class Imported(NamedTuple):
    """How many images were kept, how many were there with that label already, and how many got no
    answer: damaged ones, blank ones.
    """

    kept: int
    there: int
    failed: int


def import_folder(store: Store, folder: Path, reader: Reader, *, numbers: bool) -> Imported:
    """Keep the images of a folder with their labels, as an operator's unless the table says that
    they are a sender's.

    What is there already stays as it is, so that it can be repeated.

    Args:
        folder: as `evaluate` takes it.
        reader: reads each image, for its answer is kept too.
        numbers: the labels are numbers, whose lines are not kept.

    Raises:
        FlaskapiError: the folder is of another form, there is no model, or the store cannot be
            used; what was kept until then stays.
    """
    images = load_labelled(folder, numbers=numbers)
    kept = failed = 0
    waiting, sent_as = list[Submission](), dict[UUID, bytes]()
    with tqdm(total=len(images), unit=" images", disable=None) as progress:
        answers = reader.many(map(_to_item, images), "number" if numbers else "digit", split=False)
        for image, answer in zip(images, answers, strict=True):
            if isinstance(answer.outcome, Exception):
                failed += 1
                tqdm.write(f"error: {image.name}: {_reason(answer.outcome)}", file=sys.stderr)
            else:
                waiting.append(_to_submission(image, answer, numbers))
                sent_as |= (
                    {waiting[-1].id: digest} if (digest := _read_digest(image.sha256)) else {}
                )
            if (
                len(waiting) >= _TOGETHER
                or sum(len(one.image) for one in waiting) >= _TOGETHER_BYTES
            ):
                kept += keep_labelled(store, waiting, sent_as)
                waiting.clear()
                sent_as.clear()
            progress.update()
        kept += keep_labelled(store, waiting, sent_as)
    return Imported(kept, len(images) - failed - kept, failed)


def _to_item(image: LabelledImage) -> Item:
    try:
        return Item(image.name, image.read())
    except OSError as error:
        return Item(image.name, FlaskapiError(f"It cannot be read: {error.strerror}."))


def _read_digest(text: str | None) -> bytes:
    """What is no hexadecimal names no file: the column of that name may be of another's making."""
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        return b""


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FlaskapiError) else f"a fault of this program: {error!r}"


def _to_submission(image: LabelledImage, answer: Answer, numbers: bool) -> Submission:
    assert not isinstance(answer.outcome, Exception)
    sent = to_submission(
        Kept(answer.image, answer.outcome, answer.normalized),
        "/predict/number" if numbers else "/predict",
        None,
    )
    label = NONE if image.label is None else image.label.replace(LINE_END, "")
    return sent._replace(
        label=label, label_source="sender" if image.source == "sender" else "operator"
    )
