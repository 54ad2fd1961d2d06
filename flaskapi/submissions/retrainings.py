"""The requests for a retraining, which workers take as `leases` has it."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.leases import FAILED, REQUESTED, RUNNING, Leases, Outlook
from flaskapi.submissions.tables import retrainings

PROMOTED, STAYED, WITHDRAWN = "promoted", "stayed", "withdrawn"
SILENT = timedelta(minutes=3)  # after which a worker that was not heard of is given up
MOST_ATTEMPTS = 3
LOG_CHARACTERS = 8_000  # of the end of the log are kept
_LEASES = Leases(retrainings, SILENT, MOST_ATTEMPTS, "retraining worker")
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
    ends_at: datetime | None  # probably, as its worker last estimated it

    @property
    def seconds_left(self) -> float | None:
        """How long it probably still takes; None if that cannot be told."""
        if self.state != RUNNING or self.ends_at is None:
            return None
        return max(0.0, (self.ends_at - datetime.now(UTC)).total_seconds())


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
    """Take the oldest request that nobody works on; see `Leases.claim`.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    row = _LEASES.claim(
        store,
        worker,
        lambda row, now: {"progress": 0.0, "ends_at": None},
        lambda row: {"log": row.log + _GIVEN_UP.format(row.attempts)},
    )
    return Retraining(**row._mapping) if row else None


def hear(
    store: Store,
    taken: Retraining,
    progress: float,
    log: str,
    seconds_left: float | None = None,
) -> bool:
    """Note that a worker is still at it. Tells whether it still is the worker's: if not, it was
    given up, and must stop.

    Args:
        store: has the request.
        taken: what the worker took.
        progress: 0 to 1.
        log: all of it.
        seconds_left: what the worker expects; None if it cannot tell yet.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    now = datetime.now(UTC)
    change = {
        "heard_at": now,
        "progress": progress,
        "ends_at": None if seconds_left is None else now + timedelta(seconds=seconds_left),
        "log": log[-LOG_CHARACTERS:],
    }
    return _LEASES.update(store, taken, change)


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
    return _LEASES.update(store, taken, change | done | {"log": log[-LOG_CHARACTERS:]})


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
    return _LEASES.give_back(store, taken, {"progress": 0.0, "ends_at": None})


def note_worker(store: Store, now: datetime) -> None:
    """Note that there is a worker; see `Leases.note_worker`."""
    _LEASES.note_worker(store, now)


def look(store: Store, now: datetime) -> Outlook:
    """See whether anybody does what was asked for; see `Leases.look`."""
    return _LEASES.look(store, now)


def _select() -> sa.Select[Any]:
    return sa.select(*(retrainings.c[name] for name in Retraining._fields))
