"""Keep a prediction before it is answered, so that an `id` in an answer is always in the store."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from flask import current_app, request

from flaskapi.contract.keeping import Kept, to_submission
from flaskapi.errors import ForbiddenError, StoreUnavailableError
from flaskapi.reading.predictions import NumberPrediction, Prediction
from flaskapi.steps import step
from flaskapi.web.cors import is_foreign_page
from flaskapi.web.idempotency import Idempotency, answered
from flaskapi.web.services import services

_FOREIGN = (
    "Only what is kept is answered here (the setting STORE), and what pages of other origins send "
    "is not, unless the setting CORS_ORIGINS names them."
)


class Recorded(NamedTuple):
    """An answer, and the id under which it is kept; None if it is not."""

    prediction: Prediction | NumberPrediction
    id: str | None


def record(
    kept: Sequence[Kept], batch: UUID | None = None, *, keep: bool = True
) -> list[str | None]:
    """Keep images with their answers, and give their ids; see `record_once`."""
    return [one.id for one in record_once(kept, None, batch, keep=keep)]


def record_once(
    kept: Sequence[Kept],
    idempotency: Idempotency | None,
    batch: UUID | None = None,
    *,
    keep: bool = True,
    places: Sequence[int] = (0,),
) -> list[Recorded]:
    """Keep images with their answers. What was kept under the same idempotency key before is not
    kept again, and its answer is the one that was given then.

    Args:
        kept: the images.
        idempotency: the key of the request, if it has one.
        batch: an id that all images of one request share.
        keep: False if the caller asks to keep nothing; STORE = `required` overrules it.
        places: of each image in its request, from 0.

    Raises:
        StoreUnavailableError: they cannot be kept, and the setting STORE is `required`.
        ForbiddenError: they come from a page whose images are not kept, and STORE is `required`.
        IdempotencyKeyReusedError: another image or query is kept under the key.
    """
    own, store = services(), current_app.config["STORE"]
    not_kept = [Recorded(one.prediction, None) for one in kept]
    if not kept or store == "off" or not (keep or store == "required"):
        return not_kept
    if is_foreign_page():
        if store == "required":
            raise ForbiddenError(_FOREIGN)
        return not_kept
    try:
        with step("store"):
            found = _keep(kept, idempotency, batch, places)
    except StoreUnavailableError:
        own.metrics.count_submissions(len(kept), kept=False)
        if current_app.config["STORE"] == "required":
            raise
        return not_kept
    note_kept([one.kept for one in found if one.is_new], [one.id for one in found if one.is_new])
    return [Recorded(one.kept.prediction, str(one.id) if one.id else None) for one in found]


def note_kept(kept: Sequence[Kept], ids: Sequence[UUID | None]) -> None:
    """Count what was kept, and show its digits to the version in the shadow, if there is one."""
    own = services()
    own.metrics.count_submissions(len(kept), kept=True)
    if shadow := own.models.shadow:
        for one, identifier in zip(kept, ids, strict=True):
            if one.normalized is not None and identifier is not None:
                shadow.offer(identifier, one.normalized.pixels)


class _Found(NamedTuple):
    kept: Kept
    id: UUID | None
    is_new: bool


def _keep(
    kept: Sequence[Kept], idempotency: Idempotency | None, batch: UUID | None, places: Sequence[int]
) -> list[_Found]:
    store = services().store
    if idempotency is None:
        ids = store.record([to_submission(one, request.path, batch) for one in kept])
        return [_Found(one, identifier, True) for one, identifier in zip(kept, ids, strict=True)]
    receipts = idempotency.record(store, kept, request.path, batch, places)
    return [
        _Found(answered(one, receipt), receipt.id, receipt.is_new)
        for one, receipt in zip(kept, receipts, strict=True)
    ]
