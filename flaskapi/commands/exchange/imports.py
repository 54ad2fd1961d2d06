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
from flaskapi.submissions.exchange import keep_labelled, label_kept

_TOGETHER, _TOGETHER_BYTES = 64, 1 << 22  # in one transaction, whichever is less


class Imported(NamedTuple):
    """How many images were kept, how many were there with that label already, how many got no
    answer (damaged ones, blank ones), and how many submissions that were there got their label.
    """

    kept: int
    there: int
    failed: int
    labelled: int = 0


def import_folder(store: Store, folder: Path, reader: Reader, *, numbers: bool) -> Imported:
    """Keep the images of a folder with their labels, as an operator's unless the table says that
    they are a sender's; a submission that is named and kept here gets the label itself.

    What is there already stays as it is, so that it can be repeated.

    Args:
        folder: as `evaluate` takes it; or Label Studio's JSON.
        reader: reads each image, for its answer is kept too.
        numbers: the labels are numbers, whose lines are not kept.

    Raises:
        FlaskapiError: the folder is of another form, there is no model, or the store cannot be
            used; what was kept until then stays.
    """
    images = load_labelled(folder, numbers=numbers)
    total = len(images)
    images, labelled = _label_named(store, images, numbers)
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
    return Imported(kept, total - labelled - failed - kept, failed, labelled)


def _label_named(
    store: Store, images: list[LabelledImage], numbers: bool
) -> tuple[list[LabelledImage], int]:
    """Label the submissions that images name, where they are kept here.

    Returns:
        The images that are left, and how many submissions had another label.
    """
    named = [(_read_id(image.submission), image) for image in images]
    labels = {one: _label(image) for one, image in named if one is not None}
    found, labelled = label_kept(store, labels, "number" if numbers else "digit")
    return [image for one, image in named if one not in found], labelled


def _read_id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _label(image: LabelledImage) -> str:
    return NONE if image.label is None else image.label.replace(LINE_END, "")


def _to_item(image: LabelledImage) -> Item:
    try:
        return Item(image.name, image.read())
    except OSError as error:
        return Item(image.name, FlaskapiError(f"It cannot be read: {error.strerror}."))
    except FlaskapiError as error:
        return Item(image.name, error)


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
    return sent._replace(
        label=_label(image), label_source="sender" if image.source == "sender" else "operator"
    )
