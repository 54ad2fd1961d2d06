"""The requests for a retraining; `leases` defines how workers take them."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.leases import FAILED, REQUESTED, RUNNING, Leases, Outlook
from flaskapi.submissions.tables import retrainings

PROMOTED, STAYED, WITHDRAWN = "promoted", "stayed", "withdrawn"
SILENT = timedelta(minutes=3)  # without a report, after which a worker is given up
MOST_ATTEMPTS = 3
LOG_CHARACTERS = 8_000  # kept of the log, from its end
_LEASES = Leases(retrainings, SILENT, MOST_ATTEMPTS, "retraining worker")
_GIVEN_UP = "{} workers took it, and none reported again.\n"


class Retraining(NamedTuple):
    """A request for a retraining, its state and its result."""

    id: UUID
    requested_at: datetime
    requested_by: str | None  # the name of the operator's key
    options: dict[str, Any]
    state: str  # requested, running, failed, promoted, stayed or withdrawn
    attempts: int  # how many workers took it
    worker: str | None
    heard_at: datetime | None  # the worker's latest report
    finished_at: datetime | None
    progress: float  # 0 to 1
    version: str | None  # the candidate
    figures: dict[str, Any] | None
    log: str  # its last LOG_CHARACTERS
    ends_at: datetime | None  # probably, as its worker last estimated it

    @property
    def seconds_left(self) -> float | None:
        """How long it probably still takes; None if that cannot be told."""
        if self.state != RUNNING or self.ends_at is None:
            return None
        return max(0.0, (self.ends_at - datetime.now(UTC)).total_seconds())


def request(store: Store, options: dict[str, Any], by: str | None) -> UUID:
    """Ask for a retraining, and wait until the request is committed.

    Args:
        store: where it is kept.
        options: those of the command `retrain`.
        by: the name of the operator's key.

    Returns:
        The request's id.

    Raises:
        StoreUnavailableError: the request cannot be kept.
    """
    row = {
        "id": new_id(),
        "requested_at": datetime.now(UTC),
        "requested_by": by,
        "options": options,
        "state": REQUESTED,
    }

    def work(connection: sa.Connection) -> None:
        # The store may run this again.
        there = connection.execute(_select().where(retrainings.c.id == row["id"])).one_or_none()
        if there is None:
            connection.execute(sa.insert(retrainings).values(row))

    store.run(work)
    return row["id"]  # type: ignore[return-value]


def get(store: Store, id: UUID) -> Retraining | None:
    """Read one retraining; None if there is none with this id.

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
    """Read retrainings, the newest request first.

    Args:
        store: where they are kept.
        limit: how many at most.
        before: only requests that are older than this one.

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
    """Take the oldest request that no worker has; see `Leases.claim`. None: there is none.

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
    """Report that a worker still works on a request.

    Args:
        store: where the request is kept.
        taken: the request, as the worker took it.
        progress: 0 to 1.
        log: the whole log; its last LOG_CHARACTERS are kept.
        seconds_left: what the worker expects; None if it cannot tell yet.

    Returns:
        Whether the request still is this worker's. If not, the worker must stop: the request was
        withdrawn, or the worker was given up.

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
    """Record the result of a request.

    Args:
        store: where the request is kept.
        taken: the request, as the worker took it.
        state: promoted, stayed or failed.
        log: the whole log; its last LOG_CHARACTERS are kept.
        version: the candidate, if there is one.
        figures: how well it reads, if it was judged.

    Returns:
        Whether the request still was this worker's. If not, nothing is recorded.

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
    """Withdraw a request that has not ended; its worker stops at its next report.

    Returns:
        Whether it was withdrawn. If not, it had ended, or there is none with this id.

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
    """Give a request back, for another worker; the attempt does not count.

    Returns:
        Whether the request still was this worker's.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    return _LEASES.give_back(store, taken, {"progress": 0.0, "ends_at": None})


def note_worker(store: Store, now: datetime) -> None:
    """Record that a worker is alive; see `Leases.note_worker`."""
    _LEASES.note_worker(store, now)


def look(store: Store, now: datetime) -> Outlook:
    """Count waiting requests, and see whether a worker is alive; see `Leases.look`."""
    return _LEASES.look(store, now)


def _select() -> sa.Select[Any]:
    return sa.select(*(retrainings.c[name] for name in Retraining._fields))
