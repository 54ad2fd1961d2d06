"""Choose the form of an answer by the header Accept: JSON by default, the digits alone as text,
rows as CSV, or the picture with the boxes that were found.
"""

import csv
import io
from collections.abc import Callable
from typing import Any

from flask import Response, request

from flaskapi.contract.bodies import BINARY
from flaskapi.digits.encode import data_url

JSON, TEXT, CSV = "application/json", "text/plain", "text/csv"
PNG, JPEG = "image/png", "image/jpeg"
# The forms of text, as the description has them.
TEXTS: dict[str, Any] = {form: {"type": "string"} for form in (TEXT, CSV)}
PICTURES: dict[str, Any] = dict.fromkeys((PNG, JPEG), BINARY)


def forms_of(document: Any) -> dict[str, Any]:
    """The forms of the answer to one picture, for the description.

    Args:
        document: the type of the JSON.
    """
    return {JSON: document, **TEXTS, **PICTURES}


def wanted_form(*more: str) -> str:
    """The form that the caller prefers, of the forms of digits and of `more`; JSON if it is as
    good as another.
    """
    if request.environ.get("HTTP_ACCEPT", "*/*") in ("*/*", JSON):  # as nearly all have it
        return JSON
    return request.accept_mimetypes.best_match([JSON, *more, TEXT, CSV]) or JSON


def wanted_picture() -> str:
    """The media type of a requested picture: PNG, unless the caller prefers JPEG."""
    return request.accept_mimetypes.best_match([PNG, JPEG]) or PNG


def give_answer(
    answer: dict[str, Any], read: str, name: str, draw: Callable[[str], bytes] | None = None
) -> dict[str, Any] | Response:
    """Give an answer in the requested form.

    Args:
        answer: the answer as JSON.
        read: the name of its member with the digits, `digit` or `number`.
        name: the image's name, as its sender wrote it.
        draw: makes the picture, as a PNG or JPEG, if the caller requested it.
    """
    form = wanted_form(*((PNG, JPEG) if draw else ()))
    if draw and form in (PNG, JPEG):
        return Response(draw(form), content_type=form)
    if form == TEXT:
        return Response(to_text(answer, read), content_type="text/plain; charset=utf-8")
    if form == CSV:
        rows = csv_header(read) + to_row({"name": name} | answer, read)
        return Response(rows, content_type="text/csv; charset=utf-8")
    if draw:
        kind = wanted_picture()
        answer |= {"picture": data_url(draw(kind), kind)}
    return answer


def to_text(result: dict[str, Any], read: str) -> str:
    """The digits alone, as a line. It is empty for an image without an answer, and holds the error
    if the error is not about one image but ends the request.
    """
    if "error" in result and "name" not in result:
        return f"error: {result['error']['detail']}\n"
    return f"{result.get(read, '')}\n"


def csv_header(read: str) -> str:
    """The names of the columns: those of `python -m flaskapi predict`, and the id."""
    return _line(("name", read, "confidence", "uncertain", "error", "id"))


def to_row(result: dict[str, Any], read: str) -> str:
    """An image's answer, or its error, as a row."""
    error, uncertain = result.get("error"), result.get("uncertain")
    return _line(
        (
            result.get("name"),
            result.get(read),
            result.get("confidence"),
            uncertain if uncertain is None else str(uncertain).lower(),
            error["detail"] if error else None,
            result.get("id"),
        )
    )


def _line(values: tuple[Any, ...]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
