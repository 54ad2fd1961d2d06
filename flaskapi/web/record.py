"""The step between a prediction and its answer: keep it, so that the `id` in the answer is a
receipt.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from flask import current_app, request

from flaskapi.digits import NormalizedDigit
from flaskapi.digits.decode import media_type
from flaskapi.digits.encode import to_bytes
from flaskapi.digits.likeness import measure_likeness
from flaskapi.errors import StoreUnavailableError
from flaskapi.numbers import NumberPrediction
from flaskapi.recognition import Prediction
from flaskapi.submissions import Submission
from flaskapi.submissions.identifiers import new_id
from flaskapi.web.services import services


class Kept(NamedTuple):
    """An image as it was sent, what is answered to it, and what the network saw, if it is a
    digit.
    """

    image: bytes
    prediction: Prediction | NumberPrediction
    normalized: NormalizedDigit | None = None


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
    store = current_app.config["STORE"]
    if not kept or store == "off" or not (keep or store == "required"):
        return [None] * len(kept)
    try:
        ids = services().store.record([to_submission(one, request.path, batch) for one in kept])
    except StoreUnavailableError:
        services().metrics.count_submissions(len(kept), kept=False)
        if current_app.config["STORE"] == "required":
            raise
        return [None] * len(kept)
    services().metrics.count_submissions(len(kept), kept=True)
    if shadow := services().models.shadow:
        for one, identifier in zip(kept, ids, strict=True):
            if one.normalized is not None and identifier is not None:
                shadow.offer(identifier, one.normalized.pixels)
    return [str(identifier) if identifier else None for identifier in ids]


def add_id(answer: dict[str, Any], identifier: str | None) -> dict[str, Any]:
    """Put the receipt into an answer, before the model."""
    model = {name: answer.pop(name) for name in ("model", "generation")}
    return answer | {"id": identifier} | model


def to_submission(kept: Kept, route: str, batch: UUID | None) -> Submission:
    answer = kept.prediction
    likeness = measure_likeness(kept.normalized)._asdict() if kept.normalized else {}
    return Submission(
        id=new_id(),
        received_at=datetime.now(UTC),
        image=kept.image,
        media_type=media_type(kept.image),
        route=route,
        batch=batch,
        prediction=answer.number if isinstance(answer, NumberPrediction) else str(answer.digit),
        confidence=answer.confidence,
        uncertain=answer.uncertain,
        model=answer.model,
        probabilities=answer.probabilities if isinstance(answer, Prediction) else None,
        normalized=to_bytes(kept.normalized.pixels) if kept.normalized else None,
        lines=answer.lines if isinstance(answer, NumberPrediction) else None,
        digits=[digit._asdict() | {"box": digit.box._asdict()} for digit in answer.digits]
        if isinstance(answer, NumberPrediction)
        else None,
        **likeness,
    )
