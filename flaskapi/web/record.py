"""Keep a prediction before it is answered, so that an `id` in an answer is always in the store."""

from collections.abc import Sequence
from uuid import UUID

from flask import current_app, request

from flaskapi.contract.keeping import Kept, to_submission
from flaskapi.errors import ForbiddenError, StoreUnavailableError
from flaskapi.steps import step
from flaskapi.web.cors import is_foreign_page
from flaskapi.web.services import services

_FOREIGN = (
    "Only what is kept is answered here (the setting STORE), and what pages of other origins send "
    "is not, unless the setting CORS_ORIGINS names them."
)


def record(
    kept: Sequence[Kept], batch: UUID | None = None, *, keep: bool = True
) -> list[str | None]:
    """Keep images with their answers, and give their ids; None for those that are not kept.

    Args:
        batch: an id that all images of one request share.
        keep: False if the caller asks to keep nothing; STORE = `required` overrules it.

    Raises:
        StoreUnavailableError: they cannot be kept, and the setting STORE is `required`.
        ForbiddenError: they come from a page whose images are not kept, and STORE is `required`.
    """
    own, store = services(), current_app.config["STORE"]
    if not kept or store == "off" or not (keep or store == "required"):
        return [None] * len(kept)
    if is_foreign_page():
        if store == "required":
            raise ForbiddenError(_FOREIGN)
        return [None] * len(kept)
    try:
        with step("store"):
            ids = own.store.record([to_submission(one, request.path, batch) for one in kept])
    except StoreUnavailableError:
        own.metrics.count_submissions(len(kept), kept=False)
        if current_app.config["STORE"] == "required":
            raise
        return [None] * len(kept)
    note_kept(kept, ids)
    return [str(identifier) if identifier else None for identifier in ids]


def note_kept(kept: Sequence[Kept], ids: Sequence[UUID | None]) -> None:
    """Count what was kept, and show its digits to the version in the shadow, if there is one."""
    own = services()
    own.metrics.count_submissions(len(kept), kept=True)
    if shadow := own.models.shadow:
        for one, identifier in zip(kept, ids, strict=True):
            if one.normalized is not None and identifier is not None:
                shadow.offer(identifier, one.normalized.pixels)
