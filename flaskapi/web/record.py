"""The step between a prediction and its answer: keep it, so that the `id` in the answer is a
receipt.
"""

from collections.abc import Sequence
from uuid import UUID

from flask import current_app, request

from flaskapi.contract.keeping import Kept, to_submission
from flaskapi.errors import StoreUnavailableError
from flaskapi.web.services import services


def record(
    kept: Sequence[Kept], batch: UUID | None = None, *, keep: bool = True
) -> list[str | None]:
    """Keep images with their answers, and give their ids; None where they are not kept.

    Args:
        batch: the same for all images of one request.
        keep: False where the caller asks that nothing be kept, which the setting STORE = `required`
            overrules.

    Raises:
        StoreUnavailableError: they cannot be kept, and the setting STORE says `required`.
    """
    own, store = services(), current_app.config["STORE"]
    if not kept or store == "off" or not (keep or store == "required"):
        return [None] * len(kept)
    try:
        ids = own.store.record([to_submission(one, request.path, batch) for one in kept])
    except StoreUnavailableError:
        own.metrics.count_submissions(len(kept), kept=False)
        if current_app.config["STORE"] == "required":
            raise
        return [None] * len(kept)
    own.metrics.count_submissions(len(kept), kept=True)
    if shadow := own.models.shadow:
        for one, identifier in zip(kept, ids, strict=True):
            if one.normalized is not None and identifier is not None:
                shadow.offer(identifier, one.normalized.pixels)
    return [str(identifier) if identifier else None for identifier in ids]
