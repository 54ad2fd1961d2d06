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
from flaskapi.evaluation.labelled import LabelledImage, load_filled_in, load_labelled
from flaskapi.evaluation.measures import LINE_END
from flaskapi.labels import NONE
from flaskapi.reading.many import Answer
from flaskapi.reading.reader import Reader
from flaskapi.sources import Item
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.exchange import keep_labelled, label_there, say_imported
from flaskapi.submissions.labels import Said

_TOGETHER, _TOGETHER_BYTES = 64, 1 << 22  # in one transaction, whichever is less
_NOBODY = UUID(int=0)


class Imported(NamedTuple):
    """How many images were kept, how many that are kept were labelled, how many had that label
    already, and how many got no answer: damaged ones, blank ones.
    """

    kept: int
    labelled: int
    there: int
    failed: int


def import_folder(store: Store, folder: Path, reader: Reader, *, numbers: bool) -> Imported:
    """Keep the images of a folder with their labels, as an operator's unless the table says that
    they are a sender's; a submission that is named and kept here gets the label itself.

    What is there already is labelled, or stays as it is, so that it can be repeated.

    Args:
        folder: as `evaluate` takes it, or with an `unlabelled.csv` that was filled in; or Label
            Studio's JSON.
        reader: reads each image that is not there, for its answer is kept too.
        numbers: the labels are numbers, whose lines are not kept.

    Raises:
        FlaskapiError: the folder is of another form, there is no model, or the store cannot be
            used; what was kept until then stays.
    """
    filled = load_filled_in(folder, numbers=numbers)
    with_table = filled and not (folder / "labels.csv").is_file()
    images = filled + (
        [] if with_table else load_labelled(folder, numbers=numbers, may_be_empty=bool(filled))
    )
    labelled, failed, others = _label(store, images, numbers)
    kept, more, unread = _keep(store, others, reader, numbers)
    labelled, failed = labelled + more, failed + unread
    return Imported(kept, labelled, len(images) - kept - labelled - failed, failed)


def _label(
    store: Store, images: list[LabelledImage], numbers: bool
) -> tuple[int, int, list[LabelledImage]]:
    """Label what is there by its id. Gives how many were labelled, how many could not be, and the
    images that are not there.
    """
    labelled, failed, others = 0, 0, list[LabelledImage]()
    for begin in range(0, len(images), _TOGETHER):
        said = dict[UUID, Said]()
        for image in images[begin : begin + _TOGETHER]:
            if id := _read_id(image.id):
                one = say_imported(_read_label(image), image.source)
                said[id] = one._replace(field="number" if numbers else "digit")
        outcomes = label_there(store, said) if said else {}
        for image in images[begin : begin + _TOGETHER]:
            outcome = outcomes.get(_read_id(image.id) or _NOBODY)
            if outcome is None:
                others.append(image)
            elif isinstance(outcome, Exception):
                failed += 1
                _tell(image, outcome)
            labelled += outcome is True
    return labelled, failed, others


def _keep(
    store: Store, images: list[LabelledImage], reader: Reader, numbers: bool
) -> tuple[int, int, int]:
    """Keep images with their answers and labels. Gives how many were kept, how many are there and
    were labelled, and how many got no answer.
    """
    kept = labelled = failed = 0
    waiting, sent_as = list[Submission](), dict[UUID, bytes]()
    with tqdm(total=len(images), unit=" images", disable=None) as progress:
        answers = reader.many(map(_to_item, images), "number" if numbers else "digit", split=False)
        for image, answer in zip(images, answers, strict=True):
            if isinstance(answer.outcome, Exception):
                failed += 1
                _tell(image, answer.outcome)
            else:
                waiting.append(_to_submission(image, answer, numbers))
                sent_as |= (
                    {waiting[-1].id: digest} if (digest := _read_digest(image.sha256)) else {}
                )
            if (
                len(waiting) >= _TOGETHER
                or sum(len(one.image) for one in waiting) >= _TOGETHER_BYTES
            ):
                taken = keep_labelled(store, waiting, sent_as)
                kept, labelled = kept + taken.kept, labelled + taken.labelled
                waiting.clear()
                sent_as.clear()
            progress.update()
        taken = keep_labelled(store, waiting, sent_as)
    return kept + taken.kept, labelled + taken.labelled, failed


def _tell(image: LabelledImage, error: Exception) -> None:
    tqdm.write(f"error: {image.name}: {_reason(error)}", file=sys.stderr)


def _read_id(text: str | None) -> UUID | None:
    """What is no id names no submission: the column of that name may be of another's making."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _read_label(image: LabelledImage) -> str:
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
    said = say_imported(_read_label(image), image.source)
    return sent._replace(label=said.label, label_source=said.source)
