"""What is kept of an image and its answer."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from flaskapi.digits import NormalizedDigit
from flaskapi.digits.decode import media_type
from flaskapi.digits.encode import to_bytes
from flaskapi.digits.likeness import measure_likeness
from flaskapi.digits.outline import cut
from flaskapi.reading.predictions import NumberPrediction, Prediction
from flaskapi.submissions import Submission
from flaskapi.submissions.identifiers import new_id


class Kept(NamedTuple):
    """An image as it was sent, its answer, and the network's input if it is a digit."""

    image: bytes
    prediction: Prediction | NumberPrediction
    normalized: NormalizedDigit | None = None


def to_submission(kept: Kept, route: str, batch: UUID | None) -> Submission:
    """Make the database row of an image that was just answered."""
    answer = kept.prediction
    likeness = measure_likeness(kept.normalized)._asdict() if kept.normalized else {}
    return Submission(
        id=new_id(),
        received_at=datetime.now(UTC),
        image=cut(kept.image),
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
