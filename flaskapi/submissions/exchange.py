"""Whole submissions for export, and labelled ones from an import."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import InvalidRequestError, StoreUnavailableError
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.identifiers import first_id, new_id
from flaskapi.submissions.inserts import insert
from flaskapi.submissions.labels import Said, say_within
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.outside import stage
from flaskapi.submissions.tables import images, labels, submissions

IMPORTED = "import"  # stands in the history of a label in place of the name of an operator's key
_PAGE = 1000  # ids
_NOWHERE: Mapping[UUID, bytes] = MappingProxyType({})


class Wanted(NamedTuple):
    """A choice of submissions."""

    numbers: bool = False  # those of numbers, else those of digits
    labelled: bool | None = None  # only those with a label, or only those without one
    since: datetime | None = None
    until: datetime | None = None  # that moment excluded


class Lost(NamedTuple):
    """A submission whose image is missing or damaged outside the database."""

    id: UUID
    reason: str


def count_wanted(store: Store, wanted: Wanted) -> int:
    """The number of chosen submissions now.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    query = sa.select(sa.func.count()).select_from(submissions).where(*_conditions(wanted))
    return store.run(lambda connection: connection.execute(query).scalar_one(), reads=True)


def read_wanted(store: Store, wanted: Wanted) -> Iterator[Submission | Lost]:
    """Yield them one after the other, from the oldest to the newest, even if others are kept or
    erased meanwhile. One without its image does not end it.

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
            try:
                found: Submission | Lost | None = get_submission(store, id)
            except StoreUnavailableError as error:
                if not error.lost:
                    raise
                found = Lost(id, str(error))
            if found:
                yield found


def _conditions(wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    yield (
        submissions.c.lines.is_not(sa.null())
        if wanted.numbers
        else submissions.c.lines.is_(sa.null())
    )
    if wanted.labelled is not None:
        label = submissions.c.label
        yield label.is_not(None) if wanted.labelled else label.is_(None)
    if wanted.since:
        yield submissions.c.id >= first_id(wanted.since)
    if wanted.until:
        yield submissions.c.id < first_id(wanted.until)


def label_there(store: Store, said: Mapping[UUID, Said]) -> dict[UUID, bool | InvalidRequestError]:
    """Label submissions that the store already has, in one transaction.

    Returns:
        For each that is there, whether it was labelled now: False if it had that label from a
        source of that kind, the error if the label is not of its kind.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    query = sa.select(submissions.c.id, submissions.c.label, submissions.c.label_source)

    def work(connection: sa.Connection) -> dict[UUID, bool | InvalidRequestError]:
        outcomes = dict[UUID, bool | InvalidRequestError]()
        for row in connection.execute(query.where(submissions.c.id.in_(said))):
            one = said[row.id]
            is_new = (row.label, row.label_source) != (one.label, one.source)
            try:
                if is_new:
                    say_within(connection, row.id, one)
                outcomes[row.id] = is_new
            except InvalidRequestError as error:  # before anything was written
                outcomes[row.id] = error
        return outcomes

    return store.run(work)


class Taken(NamedTuple):
    """The result of importing labelled submissions."""

    kept: int
    labelled: int  # images that were there without a label


def keep_labelled(
    store: Store, kept: Sequence[Submission], sent_as: Mapping[UUID, bytes] = _NOWHERE
) -> Taken:
    """Keep submissions with their labels. One whose image already has that label, from a source of
    that kind, is not kept again. If the image is there without a label, all its submissions get
    this label, and none is added.

    All are kept in one transaction, or none.

    Args:
        kept: each has a label.
        sent_as: by id, the SHA-256 of the file that an image was exported from; if the store has
            that file, it is the image.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    kept = stage(store, kept)
    own = [hashlib.sha256(one.image).digest() for one in kept]
    is_number = submissions.c.lines.is_not(sa.null())
    known = sa.select(
        submissions.c.sha256,
        submissions.c.label,
        submissions.c.label_source,
        is_number.label("is_number"),
        submissions.c.id,
    )
    # Locked, so that none is erased before this ends.
    sources = (
        sa.select(images.c.sha256)
        .where(images.c.sha256.in_(set(sent_as.values())))
        .with_for_update(read=True, key_share=True)
    )

    def work(connection: sa.Connection) -> Taken:
        held = set(connection.execute(sources).scalars()) if sent_as else set()
        digests = [
            source if (source := sent_as.get(one.id)) in held else digest
            for one, digest in zip(kept, own, strict=True)
        ]
        there, bare = set[Any](), defaultdict[Any, list[UUID]](list)
        for row in connection.execute(known.where(submissions.c.sha256.in_(set(digests)))):
            if row.label is None:
                bare[row.sha256, bool(row.is_number)].append(row.id)
            else:
                there.add((row.sha256, row.label, row.label_source, bool(row.is_number)))
        fresh, labelled = dict[Any, Submission](), 0
        for one, digest in zip(kept, digests, strict=True):
            key = (digest, one.label, one.label_source, one.lines is not None)
            if key in there or key in fresh:
                continue
            if unlabelled := bare.pop((digest, one.lines is not None), None):
                for id in unlabelled:
                    say_within(connection, id, _said(one))
                there.add(key)
                labelled += 1
            else:
                fresh[key] = one
        if fresh:
            insert(connection, list(fresh.values()), [digest for digest, *_ in fresh])
            connection.execute(sa.insert(labels), [_history(one) for one in fresh.values()])
        return Taken(len(fresh), labelled)

    return store.run(work)


def say_imported(label: str | None, source: str | None) -> Said:
    """Describe the result of importing a submission."""
    if source == "sender":
        return Said(label, "sender")
    return Said(label, "operator", key_name=IMPORTED)


def _said(one: Submission) -> Said:
    return say_imported(one.label, one.label_source)


def _history(one: Submission) -> dict[str, Any]:
    said = _said(one)
    about = {"label": said.label, "source": said.source, "key_name": said.key_name}
    return {"id": new_id(), "submission_id": one.id, "labelled_at": one.received_at} | about
