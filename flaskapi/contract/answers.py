"""The answer to one image, alone or as one of many: as JSON, as a line or as a row."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flaskapi.contract.problems import describe
from flaskapi.reading.many import Answer
from flaskapi.reading.predictions import NumberPrediction

encode_result = json.JSONEncoder(separators=(",", ":")).encode


def to_result(
    answer: Answer, describe: Callable[[Exception], dict[str, Any]] = describe
) -> dict[str, Any]:
    """Give an image's name with the answer of `/predict`, or with its error."""
    if isinstance(answer.outcome, Exception):
        return {"name": answer.name, "error": describe(answer.outcome)}
    if isinstance(answer.outcome, NumberPrediction):
        return {"name": answer.name} | as_number_answer(answer.outcome)
    return {"name": answer.name} | answer.outcome._asdict()


def as_number_answer(prediction: NumberPrediction, *, alternatives: bool = False) -> dict[str, Any]:
    """The answer for a number; with its alternatives and its check if they were requested."""
    answer = prediction._asdict()
    answer["digits"] = [
        digit._asdict() | {"box": digit.box._asdict()} for digit in prediction.digits
    ]
    answer["marks"] = [mark._asdict() | {"box": mark.box._asdict()} for mark in prediction.marks]
    others, passes = answer.pop("alternatives"), answer.pop("passes")
    if passes is not None:
        answer["passes"] = passes
    if alternatives:
        answer["alternatives"] = [other._asdict() for other in others]
    return answer


def add_id(answer: dict[str, Any], identifier: str | None) -> dict[str, Any]:
    """Put the id of the submission into an answer, before the model."""
    model = {name: answer.pop(name) for name in ("model", "generation")}
    return answer | {"id": identifier} | model


def write_moment(moment: datetime) -> str:
    """A time in the form of every answer, `2026-11-25T04:37:35.781Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
