"""Erase submissions: one, the old ones, or those beyond the limits. Waiting writes go first.

Each function erases some at a time, so that a caller who keeps something waits only for those.
Submissions that were erased before an error stay erased.
"""

import time
from datetime import datetime
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.days import forget_days
from flaskapi.submissions.identifiers import first_id
from flaskapi.submissions.outside import erase_if_possible, note_erased
from flaskapi.submissions.retention import (
    Excess,
    end_turn,
    find_excess,
    find_first_to_go,
    find_oldest,
    find_size,
    hold_turn,
)
from flaskapi.submissions.room import find_free, find_pages
from flaskapi.submissions.tables import images, submissions

_ERASED_TOGETHER = 50  # submissions
# Between two transactions that erase, in which those that wait to write come first.
_BREATH_S = 0.01


def erase(store: Store, id: UUID) -> bool:
    """Erase a submission. Its image is erased with the last submission that has it.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    erased = store.run(lambda connection: _erase(connection, submissions.c.id == id), erases=True)
    erase_if_possible(store)
    return bool(erased)


def erase_before(store: Store, moment: datetime) -> int:
    """Erase submissions that were received before a moment, some at a time, so that a caller who
    keeps something waits only for those.

    Raises:
        StoreUnavailableError: the database cannot be reached or written; submissions that were
            erased before stay erased.
    """
    oldest = (
        sa.select(submissions.c.id)
        .where(submissions.c.id < first_id(moment))
        .order_by(submissions.c.id)
        .limit(_ERASED_TOGETHER)
    )
    erased = 0
    while count := store.run(
        lambda connection: _erase(
            connection, submissions.c.id.in_(connection.execute(oldest).scalars().all())
        ),
        long=True,
    ):
        erased += count
        time.sleep(_BREATH_S)
    if erased:
        empty_log(store)
    return erased


def erase_beyond(
    store: Store, most_submissions: int | None, most_bytes: int | None
) -> tuple[int, Excess | None]:
    """Erase the oldest submissions that no operator has labelled, until the rest is within the
    limits, as `erase_before` does.

    Returns:
        How many were erased, and what is still beyond the limits.

    Raises:
        StoreUnavailableError: the database cannot be reached or written; submissions that were
            erased before stay erased.
    """
    if most_submissions is None and most_bytes is None:
        return 0, None
    held = store.run(lambda connection: hold_turn(connection, None), long=True)
    excess = store.run(
        lambda connection: find_excess(connection, most_submissions, most_bytes),
        reads=True,
        long=True,
    )
    erased, after = 0, UUID(int=0)

    def erase_some(connection: sa.Connection) -> tuple[datetime, int, int, UUID | None]:
        until = hold_turn(connection, held)
        found = find_oldest(connection, after, excess, _ERASED_TOGETHER)
        before = find_size(connection, found)
        count = _erase(connection, submissions.c.id.in_([one.id for one in found]))
        return (
            until,
            count,
            before - find_size(connection, found),
            found[-1].id if found else None,
        )

    while excess:
        held, count, freed_bytes, last = store.run(erase_some, long=True)
        if last is None:
            break
        erased, after = erased + count, last
        excess = Excess(excess.submissions - count, excess.bytes - freed_bytes)
        time.sleep(_BREATH_S)
    store.run(lambda connection: end_turn(connection, held), long=True)
    if erased:
        empty_log(store)
    return erased, excess or None


def erase_for_room(store: Store, share: float) -> int:
    """Erase the oldest submissions until SQLite's database is no larger than a share of its own
    size and the free room on its disk together.

    Submissions that operators have labelled go last. A database server's disk is not looked at.

    Returns:
        How many were erased.

    Raises:
        StoreUnavailableError: the database cannot be reached or written; submissions that were
            erased before stay erased.
    """
    if share >= 1:
        return 0
    path = store.run(_find_path, reads=True, long=True)
    if path is None:
        return 0
    pages = store.run(find_pages, reads=True, long=True)
    most = share * (pages.used + pages.free + find_free(path)[0])
    if pages.used <= most:
        return 0
    held, erased = store.run(lambda connection: hold_turn(connection, None), long=True), 0

    def erase_some(connection: sa.Connection) -> tuple[datetime, int, int]:
        until = hold_turn(connection, held)
        ids = find_first_to_go(connection, _ERASED_TOGETHER)
        count = _erase(connection, submissions.c.id.in_(ids)) if ids else 0
        return until, count, find_pages(connection).used

    used = pages.used
    while used > most:
        held, count, used = store.run(erase_some, long=True)
        if not count:
            break
        erased += count
        time.sleep(_BREATH_S)
    store.run(lambda connection: end_turn(connection, held), long=True)
    empty_log(store)
    return erased


def empty_log(store: Store) -> None:
    """Remove erased data from SQLite's log, unless a process reads from it, and from outside the
    database.
    """
    store.run(lambda connection: None, long=True, erases=True)
    erase_if_possible(store)


def _find_path(connection: sa.Connection) -> Path | None:
    """The path of SQLite's file; a database server has none."""
    name = connection.engine.url.database if connection.dialect.name == "sqlite" else None
    return Path(name) if name else None


def _erase(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    """Erase submissions, and the images that no other submission has. Returns how many submissions
    there were.
    """
    # Locked before their days are, as by whoever labels one.
    found = (
        sa.select(submissions.c.sha256, submissions.c.received_at)
        .where(which)
        .order_by(submissions.c.id)
        .with_for_update()
    )
    erased = connection.execute(found).all()
    digests = [sha256 for sha256, _ in erased]
    if digests:
        forget_days(connection, [received_at for _, received_at in erased])
        connection.execute(sa.delete(submissions).where(which))
        # Not `exists`, of which PostgreSQL would make a join that reads all submissions.
        user = (
            sa.select(submissions.c.id)
            .where(submissions.c.sha256 == images.c.sha256)
            .limit(1)
            .scalar_subquery()
        )
        gone = connection.execute(
            sa.delete(images)
            .where(images.c.sha256.in_(set(digests)), user.is_(None))
            .returning(images.c.place)
        )
        note_erased(connection, [place for place in gone.scalars() if place is not None])
    return len(digests)
