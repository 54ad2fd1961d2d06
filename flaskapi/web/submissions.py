"""`/submissions`: list, show and erase images with their answers; for operators."""

import base64
import binascii
import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Flask, Response, current_app, request, url_for

from flaskapi.contract import documents, queries
from flaskapi.contract.answers import write_moment
from flaskapi.contract.bodies import BINARY
from flaskapi.digits.encode import encode_bytes
from flaskapi.errors import InvalidRequestError, NotFoundError
from flaskapi.submissions import Submission
from flaskapi.web.access import needs_scope, operators_only
from flaskapi.web.described import described
from flaskapi.web.payload import read_query
from flaskapi.web.services import services

if TYPE_CHECKING:
    from flaskapi.submissions.listing import Place

blueprint = Blueprint("submissions", __name__)
USUAL = 50  # on one page


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/submissions")
@described(documents.SubmissionList, query=queries.SUBMISSIONS)
@needs_scope("label")
def list_submissions() -> dict[str, Any]:
    """A page of submissions, newest first, and the address of the next page. With
    `?order=uncertain`, those to label next, the least certain first.
    """
    from flaskapi.submissions.listing import find_page, find_uncertain

    query = read_query(request, queries.SUBMISSIONS)
    filters, limit = read_filters(query), int(query.get("limit", USUAL))
    cursor, text = query.get("cursor"), None
    page: Any
    if query.get("order") == "uncertain":
        _refuse_other_filters(query)
        page = find_uncertain(services().store, filters, limit, read_place(cursor))
        text = write_place(page.last) if page.last is not None else None
    else:
        page = find_page(services().store, filters, limit, read_cursor(cursor))
        text = write_cursor(page.last) if page.last is not None else None
    following = None
    if text is not None:
        following_query = urlencode(query | {"cursor": text})
        following = f"{url_for('.list_submissions')}?{following_query}"
    return {"submissions": [describe_row(row) for row in page.rows], "next": following}


@blueprint.get("/submissions/<uuid:id>")
@described(documents.SUBMISSION)
@needs_scope("label")
def show_submission(id: UUID) -> dict[str, Any]:
    """Everything that is kept of one submission, with the history of its labels; its pictures have
    addresses of their own.
    """
    from flaskapi.submissions.listing import find_one

    read_query(request)
    row, history = find_one(services().store, id)
    answer = describe_row(row)
    for name in (
        "probabilities",
        "digits",
        "media_type",
        "size_bytes",
        "ink_share",
        "stroke_px",
        "size_px",
        "contrast",
    ):
        if row[name] is not None:
            answer[name] = row[name]
    answer["labels"] = [
        past._asdict() | {"labelled_at": write_moment(past.labelled_at)} for past in history
    ]
    return answer


@blueprint.get("/submissions/<uuid:id>/image")
@described({"*/*": BINARY})
@needs_scope("label")
def show_image(id: UUID) -> Response:
    """The image, unchanged. A stranger sent it, so browsers must not treat it as anything but a
    picture.
    """
    read_query(request)
    found = _get(id)
    return _picture(found.image, found.media_type, str(id))


@blueprint.get("/submissions/<uuid:id>/normalized")
@described({"image/png": BINARY})
@needs_scope("label")
def show_normalized(id: UUID) -> Response:
    """The 28x28 image that the network saw of a digit."""
    read_query(request)
    found = _get(id)
    if found.normalized is None:
        raise NotFoundError("This submission is a number; no 28x28 image is kept of numbers.")
    return _picture(encode_bytes(found.normalized), "image/png", f"{id}-normalized")


@blueprint.delete("/submissions/<uuid:id>")
@described(None, status=204)
@operators_only
def delete_submission(id: UUID) -> Response:
    """Erase a submission, its labels, and its image unless another submission has it too."""
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions.erasing import erase

    read_query(request)
    if current_app.config["STORE"] == "off" or not erase(services().store, id):
        raise _missing(id)
    return Response(status=204)


def read_filters(query: dict[str, str]) -> Any:
    """The filters in the query.

    Raises:
        InvalidRequestError: a time is not valid; the text names the field.
    """
    from flaskapi.submissions.listing import Filters

    plain = {name: query[name] for name in ("digit", "label", "model", "route") if name in query}
    switches = {
        name: query[name] == "true" for name in ("disagreement", "uncertain") if name in query
    }
    moments = {
        name: _read_moment(name, query[name]) for name in ("since", "until") if name in query
    }
    return Filters(**plain, **switches, **moments)  # type: ignore[arg-type]


def write_cursor(id: UUID) -> str:
    """Write the id that a page ends with.

    >>> cursor = write_cursor(UUID("01a20550-970d-7108-901e-df08ce33c220"))
    >>> cursor, read_cursor(cursor)
    ('AaIFUJcNcQiQHt8IzjPCIA', UUID('01a20550-970d-7108-901e-df08ce33c220'))
    """
    return base64.urlsafe_b64encode(id.bytes).decode().rstrip("=")


def read_cursor(text: str | None) -> UUID | None:
    """Read what `write_cursor` wrote.

    Raises:
        InvalidRequestError: the text is something else.
    """
    if text is None:
        return None
    try:
        id = UUID(bytes=base64.urlsafe_b64decode(text + "=="))
    except (binascii.Error, ValueError):
        id = None
    if id is None or write_cursor(id) != text:
        raise _bad_cursor(text)
    return id


def write_place(place: "Place") -> str:
    """Write the position at the end of a page in the order of `order=uncertain`."""
    content = struct.pack(">d", place.confidence) + place.id.bytes
    return base64.urlsafe_b64encode(content).decode()


def read_place(text: str | None) -> "Place | None":
    """Read what `write_place` wrote.

    Raises:
        InvalidRequestError: the text is something else.
    """
    from flaskapi.submissions.listing import Place

    if text is None:
        return None
    if len(text) != 32:
        raise _bad_cursor(text)
    content = base64.urlsafe_b64decode(text)  # the pattern of the query allows nothing else
    (confidence,) = struct.unpack(">d", content[:8])
    return Place(confidence, UUID(bytes=content[8:]))


def _bad_cursor(text: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The query's 'cursor' is {text!r}; it must be {queries.SUBMISSIONS['cursor'].words}."
    )


def _refuse_other_filters(query: dict[str, str]) -> None:
    for name, only in (("uncertain", "true"), ("label", "missing"), ("disagreement", "")):
        if query.get(name, only) != only:
            raise InvalidRequestError(
                f"The query's {name!r} is {query[name]!r}; 'order=uncertain' lists only uncertain "
                f"submissions without a label."
            )


def _read_moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(
            f"The query's {name!r} is {text!r}; it must be {queries.SUBMISSIONS[name].words}."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def describe_row(row: dict[str, Any]) -> dict[str, Any]:
    """One submission on a page: its answer, its label, and the addresses of its pictures."""
    id = str(row["id"])
    answered = (
        {"number": row["prediction"], "lines": row["lines"]}
        if row["lines"] is not None
        else {"digit": int(row["prediction"])}
    )
    place = url_for("submissions.show_submission", id=id)
    return {
        "id": id,
        "received_at": write_moment(row["received_at"]),
        "route": row["route"],
        "batch": str(row["batch"]) if row["batch"] else None,
        **answered,
        **{
            name: row[name]
            for name in ("confidence", "uncertain", "model", "label", "label_source")
        },
        "image": f"{place}/image",
        "normalized": f"{place}/normalized" if row["lines"] is None else None,
    }


def _get(id: UUID) -> Submission:
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions.listing import get_submission

    if current_app.config["STORE"] == "off":
        raise _missing(id)
    found = get_submission(services().store, id)
    if found is None:
        raise _missing(id)
    return found


def _missing(id: UUID) -> NotFoundError:
    return NotFoundError(f"There is no submission with the id {id}.")


def _picture(content: bytes, media_type: str, name: str) -> Response:
    """A picture from a stranger: browsers must not show it as anything else, run it, or keep it in
    a cache after it is erased here.
    """
    shown, ending = (
        ("inline", media_type.removeprefix("image/"))
        if media_type.startswith("image/")
        else ("attachment", "bin")
    )
    headers = {
        "Content-Disposition": f'{shown}; filename="{name}.{ending}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "no-store",
    }
    return Response(content, content_type=media_type, headers=headers)
