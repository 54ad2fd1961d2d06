"""What is said of one image of many, in an answer, a line or a row."""

import json
from typing import Any

from flaskapi.answers import Answer
from flaskapi.numbers import NumberPrediction
from flaskapi.web.errors import describe
from flaskapi.web.number import as_answer

encode_result = json.JSONEncoder(separators=(",", ":")).encode


def to_result(answer: Answer) -> dict[str, Any]:
    """Give an image's name, and what `/predict` answers or the error."""
    if isinstance(answer.outcome, Exception):
        return {"name": answer.name, "error": describe(answer.outcome)}
    if isinstance(answer.outcome, NumberPrediction):
        return {"name": answer.name} | as_answer(answer.outcome)
    return {"name": answer.name} | answer.outcome._asdict()
