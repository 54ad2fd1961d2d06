"""Submissions as a whole, to be written elsewhere, and labelled ones from elsewhere."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import InvalidRequestError
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.identifiers import first_id, new_id
from flaskapi.submissions.inserts import insert
from flaskapi.submissions.labels import InForce, Said, say_many
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.tables import images, labels, submissions

IMPORTED = "import"  # stands in the history of a label in place of the name of an operator's key
_PAGE = 1000  # ids
_NOWHERE: Mapping[UUID, bytes] = MappingProxyType({})


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
    """Give them one after the other, from the oldest to the youngest, whatever is kept or erased
    meanwhile.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    query = (
        sa.select(submissions.c.id)
        .where(*_conditions(wanted))
        .order_by(submissions.c.id)
        .limit(_PAGE)
    )

    def find_page(after: UUID) -> Sequence[UUID]:
        return store.run(
            lambda connection: (
                connection.execute(query.where(submissions.c.id > after)).scalars().all()
            ),
            reads=True,
        )

    ids: Sequence[UUID] = [UUID(int=0)]
    while ids := find_page(ids[-1]):
        for id in ids:
            if found := get_submission(store, id):
                yield found


def _conditions(wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    yield (
        submissions.c.lines.is_not(sa.null())
        if wanted.numbers
        else submissions.c.lines.is_(sa.null())
    )
    if wanted.labelled:
        yield submissions.c.label.is_not(None)
    if wanted.since:
        yield submissions.c.id >= first_id(wanted.since)
    if wanted.until:
        yield submissions.c.id < first_id(wanted.until)


def keep_labelled(
    store: Store, kept: Sequence[Submission], sent_as: Mapping[UUID, bytes] = _NOWHERE
) -> int:
    """Keep submissions with the labels that they bear; one whose image has that label, from a
    source of that kind, is not kept again.

    All in one transaction or none.

    Args:
        kept: each bears a label.
        sent_as: by id, the SHA-256 of the file that an image was exported from; where the store has
            that file, it is the image.

    Returns:
        How many were kept.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    own = [hashlib.sha256(one.image).digest() for one in kept]
    is_number = submissions.c.lines.is_not(sa.null())
    labelled = sa.select(
        submissions.c.sha256, submissions.c.label, submissions.c.label_source, is_number
    ).where(submissions.c.label.is_not(None))
    # Locked, so that none is erased before this ends.
    sources = (
        sa.select(images.c.sha256)
        .where(images.c.sha256.in_(set(sent_as.values())))
        .with_for_update(read=True, key_share=True)
    )

    def work(connection: sa.Connection) -> int:
        held = set(connection.execute(sources).scalars()) if sent_as else set()
        digests = [
            source if (source := sent_as.get(one.id)) in held else digest
            for one, digest in zip(kept, own, strict=True)
        ]
        known = labelled.where(submissions.c.sha256.in_(set(digests)))
        there = {
            (sha256, label, source, bool(number))
            for sha256, label, source, number in connection.execute(known)
        }
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


def label_kept(
    store: Store, said: Mapping[UUID, str], field: Literal["digit", "number"]
) -> tuple[set[UUID], int]:
    """Label submissions that are kept here, as an operator does; what has that label already stays
    as it is.

    Args:
        said: the label of each submission, which need not be kept here.
        field: what all of them are.

    Returns:
        Those that are kept here, and how many of them had another label.

    Raises:
        InvalidRequestError: one of them is of the other kind.
        StoreUnavailableError: the store cannot be used; what was labelled until then stays.
    """
    found, labelled, ids = set[UUID](), 0, list(said)
    for start in range(0, len(ids), _PAGE):
        there = _read_labels(store, ids[start : start + _PAGE])
        news = [
            (id, Said(said[id], "operator", field, key_name=IMPORTED))
            for id, in_force in there.items()
            if in_force != InForce(said[id], "operator")
        ]
        for outcome in say_many(store, news):
            if isinstance(outcome, InvalidRequestError):
                raise outcome
            labelled += isinstance(outcome, InForce)  # else it was erased meanwhile
        found |= set(there)
    return found, labelled


def _read_labels(store: Store, ids: Sequence[UUID]) -> dict[UUID, InForce]:
    of = submissions.c
    query = sa.select(of.id, of.label, of.label_source).where(of.id.in_(ids))

    def work(connection: sa.Connection) -> dict[UUID, InForce]:
        return {id: InForce(*label) for id, *label in connection.execute(query)}

    return store.run(work, reads=True)


def _history(one: Submission) -> dict[str, Any]:
    about = {
        "label": one.label,
        "source": one.label_source,
        "key_name": IMPORTED if one.label_source == "operator" else None,
    }
    return {"id": new_id(), "submission_id": one.id, "labelled_at": one.received_at} | about
