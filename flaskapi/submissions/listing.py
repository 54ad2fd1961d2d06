"""Look through submissions, the newest first, a page at a time.

A page is what comes next in the order of the ids, which is that of time: `id < the last one seen
... ORDER BY id DESC LIMIT n`. So it stays the same whatever is added meanwhile, and the thousandth
page costs what the first does, where an index gives rows in that order:

| filter | index, by which the first that applies leads |
|---|---|
| disagreement | `(id) WHERE label IS NOT NULL AND label != prediction`; false: as for a label,
where they are the same |
| label, any or one | `(id, label, model, route, uncertain) WHERE label IS NOT NULL` |
| uncertain | `(id, model, route) WHERE uncertain = true`; false: the primary key, for most are not
|
| digit | `(prediction, id, model, route) WHERE lines IS NULL`: numbers have lines, and may be too
long for an index |
| model, route | `(model, id, route)`, `(route, id, model)` |
| none, since, until, label missing | the primary key: ids bear their time |

PostgreSQL chooses by what it has counted. SQLite counts nothing by itself and would rather follow
any equality than an index of few rows, so there the columns that do not lead are written `+column`,
which keeps it from looking for an index of theirs.

Images are in a table of their own and are not read here.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import NotFoundError
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.identifiers import first_id
from flaskapi.submissions.labels import PastLabel, read_history
from flaskapi.submissions.outside import make_missing, read
from flaskapi.submissions.tables import IMAGE_BYTES, images, submissions

LISTED = [
    column
    for column in submissions.c
    if column.name not in ("sha256", "normalized", "probabilities", "digits")
]


_PLUS = sa.sql.operators.custom_op[Any]("+")


class Filters(NamedTuple):
    """Conditions on submissions; None is no condition."""

    digit: str | None = None  # that was answered to one; numbers are none
    label: str | None = None  # a digit, a number, `none` for what shows none, `any`, or `missing`
    disagreement: bool | None = None  # is the label another than the answer?
    uncertain: bool | None = None
    model: str | None = None
    route: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # that moment excluded


class ListedPage(NamedTuple):
    """Some submissions, the newest first, and the id with which the next page begins, if there is
    one.
    """

    rows: list[dict[str, Any]]
    last: UUID | None


def find_page(store: Store, filters: Filters, limit: int, before: UUID | None = None) -> ListedPage:
    """Find submissions.

    Args:
        limit: how many at most.
        before: only those with a smaller id, which are older.
    """

    def work(connection: sa.Connection) -> list[dict[str, Any]]:
        conditions = _conditions(filters, steered=connection.dialect.name == "sqlite")
        query = (
            sa.select(*LISTED).where(*conditions).order_by(submissions.c.id.desc()).limit(limit + 1)
        )
        if before is not None:
            query = query.where(submissions.c.id < before)
        return [dict(row) for row in connection.execute(query).mappings()]

    rows = store.run(work, reads=True)
    return ListedPage(rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None)


class Place(NamedTuple):
    """Where a page of the least certain ends."""

    confidence: float
    id: UUID


class UncertainPage(NamedTuple):
    """Some submissions, the least certain first, and where the next page begins, if there is
    one.
    """

    rows: list[dict[str, Any]]
    last: Place | None


def find_uncertain(
    store: Store, filters: Filters, limit: int, after: Place | None = None
) -> UncertainPage:
    """Find what a person should label next: uncertain submissions without a label, the least
    certain first. Of equal images only the newest is there, and none if one has a label.

    The uncertain ones are found by their index, and are few enough to be sorted each time.
    """
    other, own = submissions.alias(), submissions.c
    wanted = filters._replace(uncertain=True, label="missing")

    def work(connection: sa.Connection) -> list[dict[str, Any]]:
        steered = connection.dialect.name == "sqlite"
        is_asked_again = sa.and_(
            other.c.id > own.id, *_conditions(wanted, steered=steered, of=other)
        )
        seen = sa.exists().where(
            other.c.sha256 == own.sha256, sa.or_(other.c.label.is_not(None), is_asked_again)
        )
        query = sa.select(*LISTED).where(*_conditions(wanted, steered=steered), ~seen)
        if after is not None:
            later = sa.and_(own.confidence == after.confidence, own.id < after.id)
            query = query.where(sa.or_(own.confidence > after.confidence, later))
        query = query.order_by(own.confidence, own.id.desc()).limit(limit + 1)
        return [dict(row) for row in connection.execute(query).mappings()]

    rows = store.run(work, reads=True)
    ends = rows[limit - 1] if len(rows) > limit else None
    return UncertainPage(rows[:limit], Place(ends["confidence"], ends["id"]) if ends else None)


def find_one(store: Store, id: UUID) -> tuple[dict[str, Any], list[PastLabel]]:
    """All that is kept of one submission except its pictures, with the size of the image in bytes
    and the history of its labels.

    Raises:
        NotFoundError: there is no submission with this id.
    """
    columns = [column for column in submissions.c if column.name not in ("sha256", "normalized")]
    about = (images.c.media_type, IMAGE_BYTES.label("size_bytes"))
    query = sa.select(*columns, *about).join(images).where(submissions.c.id == id)

    def work(connection: sa.Connection) -> tuple[dict[str, Any], list[PastLabel]]:
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no submission with the id {id}.")
        return dict(row), read_history(connection, id)

    return store.run(work, reads=True)


def _conditions(
    filters: Filters, *, steered: bool, of: sa.FromClause = submissions
) -> list[sa.ColumnElement[bool]]:
    leading = _leading(filters)

    def column(name: str, *, leads: bool) -> sa.ColumnElement[Any]:
        found = of.c[name]
        return (
            found
            if leads or not steered
            else sa.UnaryExpression(found, operator=_PLUS, type_=found.type)
        )

    if (filters.label == "missing" and filters.disagreement is not None) or (
        filters.digit and filters.route == "/predict/number"
    ):
        return [sa.false()]  # there is none, which a database would go through many to find out
    own, found = of.c, list[sa.ColumnElement[bool]]()
    for name in ("uncertain", "model", "route"):
        if (value := getattr(filters, name)) is not None:
            if name == "route" and filters.model is not None and steered and leading is None:
                # The index of routes leads, in which a model that never answered would be looked
                # for to the end.
                other = submissions.alias()
                value = sa.case((sa.exists().where(other.c.model == filters.model), value))
            found.append(column(name, leads=leading in (None, name)) == value)
    if filters.digit is not None:
        found += [
            own.lines.is_(sa.null()),
            column("prediction", leads=leading == "prediction") == filters.digit,
        ]
    if filters.label == "missing":
        found.append(own.label.is_(None))
    elif leading == "label":
        found.append(own.label.is_not(None))
    if filters.label not in (None, "any", "missing"):
        found.append(column("label", leads=False) == filters.label)
    if filters.disagreement is not None:
        found.append(
            own.label != own.prediction if filters.disagreement else own.label == own.prediction
        )
    if filters.disagreement is False and filters.digit is not None:
        # Which is the same, and in the index.
        found.append(column("label", leads=False) == filters.digit)
    if filters.since is not None:
        found.append(own.id >= first_id(filters.since))
    if filters.until is not None:
        found.append(own.id < first_id(filters.until))
    return found


def _leading(filters: Filters) -> str | None:
    """The column whose index finds the submissions; with None the database chooses."""
    if filters.disagreement is not None or filters.label not in (None, "missing"):
        return "label"
    if filters.uncertain:
        return "uncertain"
    return None if filters.digit is None else "prediction"


def get_submission(store: Store, id: UUID) -> Submission | None:
    """Return a submission.

    Raises:
        StoreUnavailableError: the database cannot be reached, or its image cannot be read; it is
            `lost` where the image is missing or damaged.
    """
    query = (
        sa.select(*submissions.c, images.c.content, images.c.media_type, images.c.place)
        .join(images)
        .where(submissions.c.id == id)
    )
    # Read again where it may have been erased between the row and its image.
    for _ in range(2):
        row = store.run(lambda connection: connection.execute(query).one_or_none(), reads=True)
        if row is None:
            return None
        found = dict(row._mapping)
        sha256, image, place = (found.pop(name) for name in ("sha256", "content", "place"))
        if place is not None:
            image = read(store, place, sha256)
        if image is not None:
            return Submission(**found, image=image)
    raise make_missing(place)
