"""The requests for a retraining, and how workers take them: each by one worker, and again where
that worker is not heard of any more.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.tables import chores, retrainings

REQUESTED, RUNNING, PROMOTED, STAYED, WITHDRAWN, FAILED = (
    "requested",
    "running",
    "promoted",
    "stayed",
    "withdrawn",
    "failed",
)
SILENT = timedelta(minutes=3)  # after which a worker that was not heard of is given up
MOST_ATTEMPTS = 3
LOG_CHARACTERS = 8_000  # of the end of the log are kept
_WORKER = "retraining worker"  # the row of `chores` that says until when one is thought alive
_GIVEN_UP = "No worker that took it reported again, {} times.\n"


class Retraining(NamedTuple):
    """A request for a retraining, and what became of it."""

    id: UUID
    requested_at: datetime
    requested_by: str | None  # the name of the operator's key
    options: dict[str, Any]
    state: str
    attempts: int  # workers that took it
    worker: str | None
    heard_at: datetime | None
    finished_at: datetime | None
    progress: float  # 0 to 1
    version: str | None  # the candidate
    figures: dict[str, Any] | None
    log: str  # its end


def request(store: Store, options: dict[str, Any], by: str | None) -> UUID:
    """Ask for a retraining. When this returns, the request is committed.

    Raises:
        StoreUnavailableError: it cannot be kept.
    """
    row = {
        "id": new_id(),
        "requested_at": datetime.now(UTC),
        "requested_by": by,
        "options": options,
        "state": REQUESTED,
    }

    def work(connection: sa.Connection) -> None:
        if (
            connection.execute(_select().where(retrainings.c.id == row["id"])).one_or_none() is None
        ):  # it may be done again
            connection.execute(sa.insert(retrainings).values(row))

    store.run(work)
    return row["id"]  # type: ignore[return-value]


def get(store: Store, id: UUID) -> Retraining | None:
    """Read one; None if there is none of this id.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    row = store.run(
        lambda connection: connection.execute(
            _select().where(retrainings.c.id == id)
        ).one_or_none(),
        reads=True,
    )
    return Retraining(*row) if row else None


def list_newest(store: Store, limit: int, before: UUID | None = None) -> list[Retraining]:
    """Read some, those that were asked for last first.

    Args:
        limit: how many at most.
        before: only those that were asked for before this one.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    query = _select().order_by(retrainings.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(retrainings.c.id < before)
    return [
        Retraining(*row)
        for row in store.run(lambda connection: connection.execute(query).all(), reads=True)
    ]


def claim(store: Store, worker: str) -> Retraining | None:
    """Take the oldest request that nobody works on; one that was taken too often, by workers that
    were not heard of again, has failed.

    Of several workers that ask at once one gets it: it is the one whose update finds the row as it
    was read.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """

    def work(connection: sa.Connection) -> Retraining | None:
        now, of = datetime.now(UTC), retrainings.c
        free = (of.state == REQUESTED) | ((of.state == RUNNING) & (of.heard_at < now - SILENT))
        for row in connection.execute(_select().where(free).order_by(of.id)).all():
            found = Retraining(*row)
            change: dict[str, Any]
            as_read = (
                (of.id == found.id) & (of.state == found.state) & (of.attempts == found.attempts)
            )
            if found.attempts < MOST_ATTEMPTS:
                change = {
                    "state": RUNNING,
                    "attempts": found.attempts + 1,
                    "worker": worker,
                    "heard_at": now,
                    "progress": 0.0,
                }
            else:
                change = {
                    "state": FAILED,
                    "finished_at": now,
                    "log": found.log + _GIVEN_UP.format(found.attempts),
                }
            updated = connection.execute(sa.update(retrainings).where(as_read).values(change))
            if updated.rowcount and change["state"] == RUNNING:
                return found._replace(**change)
        return None

    return store.run(work)


def hear(store: Store, taken: Retraining, progress: float, log: str) -> bool:
    """Note that a worker is still at it. Tells whether it still is the worker's: if not, it was
    given up, and must stop.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    return _update(
        store,
        taken,
        {"heard_at": datetime.now(UTC), "progress": progress, "log": log[-LOG_CHARACTERS:]},
    )


def finish(
    store: Store,
    taken: Retraining,
    state: str,
    log: str,
    *,
    version: str | None,
    figures: dict[str, Any] | None,
) -> bool:
    """Note what came out. Tells whether it still was the worker's.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    change = {
        "state": state,
        "finished_at": datetime.now(UTC),
        "version": version,
        "figures": figures,
    }
    done = {} if state == FAILED else {"progress": 1.0}
    return _update(store, taken, change | done | {"log": log[-LOG_CHARACTERS:]})


def withdraw(store: Store, id: UUID) -> bool:
    """End a retraining that has not ended. Tells whether it had not; its worker stops when it
    reports next.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    of = retrainings.c
    query = (
        sa.update(retrainings)
        .where((of.id == id) & of.state.in_((REQUESTED, RUNNING)))
        .values({"state": WITHDRAWN, "finished_at": datetime.now(UTC)})
    )
    return store.run(lambda connection: connection.execute(query).rowcount) > 0


def give_back(store: Store, taken: Retraining) -> bool:
    """Let another worker take it; this one ends before it is done, and that does not count as an
    attempt.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    change = {
        "state": REQUESTED,
        "attempts": taken.attempts - 1,
        "worker": None,
        "heard_at": None,
        "progress": 0.0,
    }
    return _update(store, taken, change)


class Outlook(NamedTuple):
    """What is to be known of retrainings from outside."""

    waiting: int  # that nobody has taken yet
    worker_is_alive: bool | None  # whether any was heard of lately; None: there never was one


def note_worker(store: Store, now: datetime) -> None:
    """Note that there is a worker, whether it has something to do or not.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    row = {"name": _WORKER, "due_at": now + SILENT}

    def work(connection: sa.Connection) -> None:
        changed = sa.update(chores).where(chores.c.name == _WORKER).values(row)
        if not connection.execute(changed).rowcount:
            connection.execute(sa.insert(chores), row)

    store.run(work)


def look(store: Store, now: datetime) -> Outlook:
    """See whether anybody does what was asked for.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    waiting = (
        sa.select(sa.func.count()).select_from(retrainings).where(retrainings.c.state == REQUESTED)
    )
    heard = sa.select(chores.c.due_at).where(chores.c.name == _WORKER)

    def work(connection: sa.Connection) -> Outlook:
        until = connection.execute(heard).scalar_one_or_none()
        alive = None if until is None else until > now
        return Outlook(connection.execute(waiting).scalar_one(), alive)

    return store.run(work, reads=True)


def _select() -> sa.Select[Any]:
    return sa.select(*(retrainings.c[name] for name in Retraining._fields))


def _update(store: Store, taken: Retraining, change: dict[str, Any]) -> bool:
    of = retrainings.c
    mine = (
        (of.id == taken.id)
        & (of.state == RUNNING)
        & (of.attempts == taken.attempts)
        & (of.worker == taken.worker)
    )
    return (
        store.run(
            lambda connection: (
                connection.execute(sa.update(retrainings).where(mine).values(change)).rowcount
            )
        )
        > 0
    )
