"""Submissions as a whole, to be written elsewhere, and labelled ones from elsewhere."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.submissions import Store, Submission
from flaskapi.submissions.identifiers import first_id, new_id
from flaskapi.submissions.inserts import insert
from flaskapi.submissions.tables import labels, submissions

IMPORTED = "import"  # stands in the history of a label in place of the name of an operator's key
_PAGE = 1000  # ids


class Wanted(NamedTuple):
    """Which submissions are meant."""

    numbers: bool = False  # those of numbers, else those of digits
    labelled: bool = False  # only those with a label
    since: datetime | None = None
    until: datetime | None = None  # that moment excluded


def count_wanted(store: Store, wanted: Wanted) -> int:
    """How many there are now.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    query = sa.select(sa.func.count()).select_from(submissions).where(*_conditions(wanted))
    return store.run(lambda connection: connection.execute(query).scalar_one(), reads=True)


def read_wanted(store: Store, wanted: Wanted) -> Iterator[Submission]:
    """Give them one after the other, from the oldest to the youngest, whatever is kept or erased meanwhile.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    query = sa.select(submissions.c.id).where(*_conditions(wanted)).order_by(submissions.c.id).limit(_PAGE)

    def find_page(after: UUID) -> Sequence[UUID]:
        return store.run(lambda connection: connection.execute(query.where(submissions.c.id > after)).scalars().all(), reads=True)

    ids: Sequence[UUID] = [UUID(int=0)]
    while ids := find_page(ids[-1]):
        for id in ids:
            if found := store.get(id):
                yield found


def _conditions(wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    yield submissions.c.lines.is_not(sa.null()) if wanted.numbers else submissions.c.lines.is_(sa.null())
    if wanted.labelled:
        yield submissions.c.label.is_not(None)
    if wanted.since:
        yield submissions.c.id >= first_id(wanted.since)
    if wanted.until:
        yield submissions.c.id < first_id(wanted.until)


def keep_labelled(store: Store, kept: Sequence[Submission]) -> int:
    """Keep submissions with the labels that they bear; one whose image has that label, from a source of that kind, is not kept again.

    All in one transaction or none. Returns how many were kept.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    digests = [hashlib.sha256(one.image).digest() for one in kept]
    is_number = submissions.c.lines.is_not(sa.null())
    which = (submissions.c.sha256.in_(set(digests)), submissions.c.label.is_not(None))
    known = sa.select(submissions.c.sha256, submissions.c.label, submissions.c.label_source, is_number).where(*which)

    def work(connection: sa.Connection) -> int:
        there = {(sha256, label, source, bool(number)) for sha256, label, source, number in connection.execute(known)}
        fresh = dict[Any, Submission]()
        for one, digest in zip(kept, digests, strict=True):
            key = (digest, one.label, one.label_source, one.lines is not None)
            if key not in there:
                fresh.setdefault(key, one)
        if fresh:
            insert(connection, list(fresh.values()), [digest for digest, *_ in fresh])
            connection.execute(sa.insert(labels), [_history(one) for one in fresh.values()])
        return len(fresh)

    return store.run(work)


def _history(one: Submission) -> dict[str, Any]:
    about = {"label": one.label, "source": one.label_source, "key_name": IMPORTED if one.label_source == "operator" else None}
    return {"id": new_id(), "submission_id": one.id, "labelled_at": one.received_at} | about
