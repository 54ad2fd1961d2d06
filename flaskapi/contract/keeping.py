"""What is kept of an image and its answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from flaskapi.contract.answers import as_number_answer
from flaskapi.digits import Box, NormalizedDigit
from flaskapi.digits.decode import media_type
from flaskapi.digits.encode import to_bytes
from flaskapi.digits.likeness import measure_likeness
from flaskapi.digits.outline import cut
from flaskapi.reading.predictions import (
    Alternative,
    NumberDigit,
    NumberMark,
    NumberPrediction,
    Prediction,
)
from flaskapi.submissions import Submission
from flaskapi.submissions.identifiers import new_id

T = TypeVar("T")


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


def to_plain(prediction: Prediction | NumberPrediction) -> dict[str, Any]:
    """The answer as JSON, which `from_plain` reads."""
    if isinstance(prediction, Prediction):
        return prediction._asdict()
    return as_number_answer(prediction, alternatives=True)


def from_plain(plain: dict[str, Any]) -> Prediction | NumberPrediction:
    """The answer that `to_plain` wrote."""
    if "digit" in plain:
        return Prediction(**plain)
    return NumberPrediction(
        **plain
        | {
            "digits": [_with_box(NumberDigit, one) for one in plain["digits"]],
            "marks": [_with_box(NumberMark, one) for one in plain["marks"]],
            "alternatives": [Alternative(**one) for one in plain["alternatives"]],
        }
    )


def _with_box(kind: Callable[..., T], plain: dict[str, Any]) -> T:
    return kind(**plain | {"box": Box(**plain["box"])})
