"""Look through submissions, the newest first, a page at a time.

A page is what comes next in the order of the ids, which is that of time: `id < the last one seen ... ORDER BY id DESC LIMIT n`. So it
stays the same whatever is added meanwhile, and the thousandth page costs what the first does, where an index gives rows in that order:

| filter | index |
|---|---|
| none, since, until | the primary key: ids bear their time |
| digit | `(prediction, id) WHERE lines IS NULL`: numbers have lines, and may be too long for an index |
| label, any | `(label, id) WHERE label IS NOT NULL`; any: `(id) WHERE label IS NOT NULL` |
| label missing | the primary key, for most are |
| disagreement | `(id) WHERE label IS NOT NULL AND label <> prediction`; false: `(id) WHERE label IS NOT NULL` |
| uncertain | `(id) WHERE uncertain = true`; false: the primary key, for most are not |
| model, route | `(model, id)`, `(route, id)` |

Images are in a table of their own and are not read here.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import NotFoundError
from flaskapi.submissions import Store
from flaskapi.submissions.identifiers import first_id
from flaskapi.submissions.labels import PastLabel, read_history
from flaskapi.submissions.tables import images, submissions

_LISTED = [column for column in submissions.c if column.name not in ("sha256", "normalized", "probabilities", "digits")]


class Filters(NamedTuple):
    """What submissions are looked for; None lets all through."""

    digit: str | None = None  # that was answered to one; numbers are none
    label: str | None = None  # a digit, a number, `none` for what shows none, `any`, or `missing`
    disagreement: bool | None = None  # is the label another than the answer?
    uncertain: bool | None = None
    model: str | None = None
    route: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # that moment excluded


class Page(NamedTuple):
    """Some submissions, the newest first, and the id from which the next page goes on, if there is one."""

    rows: list[dict[str, Any]]
    last: UUID | None


def find_page(store: Store, filters: Filters, limit: int, before: UUID | None = None) -> Page:
    """Find submissions.

    Args:
        limit: how many at most.
        before: only those with a smaller id, which are older.
    """
    query = sa.select(*_LISTED).where(*_conditions(filters)).order_by(submissions.c.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(submissions.c.id < before)
    rows = store.run(lambda connection: [dict(row) for row in connection.execute(query).mappings()], reads=True)
    return Page(rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None)


def find_one(store: Store, id: UUID) -> tuple[dict[str, Any], list[PastLabel]]:
    """All that is kept of one submission but its pictures, with the size of the image in bytes, and what was said of it.

    Raises:
        NotFoundError: there is no submission of this id.
    """
    columns = [column for column in submissions.c if column.name not in ("sha256", "normalized")]
    about = (images.c.media_type, sa.func.length(images.c.content).label("size_bytes"))
    query = sa.select(*columns, *about).join(images).where(submissions.c.id == id)

    def work(connection: sa.Connection) -> tuple[dict[str, Any], list[PastLabel]]:
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no submission of the id {id}.")
        return dict(row), read_history(connection, id)

    return store.run(work, reads=True)


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    column = submissions.c
    found: list[sa.ColumnElement[bool]] = []
    if filters.digit is not None:
        found += [column.lines.is_(sa.null()), column.prediction == filters.digit]
    if filters.label in ("any", "missing"):
        found.append(column.label.is_not(None) if filters.label == "any" else column.label.is_(None))
    elif filters.label is not None:
        found.append(column.label == filters.label)
    if filters.disagreement is not None:
        differs = column.label != column.prediction if filters.disagreement else column.label == column.prediction
        found += [column.label.is_not(None), differs]
    if filters.uncertain is not None:
        found.append(column.uncertain == filters.uncertain)
    if filters.model is not None:
        found.append(column.model == filters.model)
    if filters.route is not None:
        found.append(column.route == filters.route)
    if filters.since is not None:
        found.append(column.id >= first_id(filters.since))
    if filters.until is not None:
        found.append(column.id < first_id(filters.until))
    return found
