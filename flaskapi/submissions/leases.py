"""How workers take requests: one worker takes a row; if it falls silent, another takes it again."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.tables import chores

REQUESTED, RUNNING, FAILED = "requested", "running", "failed"
Row = sa.Row[Any]


class Outlook(NamedTuple):
    """The state of a table's requests, for callers that are no workers."""

    waiting: int  # for a worker
    worker_is_alive: bool | None  # whether one has reported lately; None: none ever did


class Leases(NamedTuple):
    """The requests of one table, which has the columns `id`, `state`, `attempts`, `worker`,
    `heard_at` and `finished_at`.
    """

    table: sa.Table
    silent: timedelta  # without a report, after which a worker is given up
    most_attempts: int
    worker: str  # the row of `chores` that says until when one counts as alive

    def claim(
        self,
        store: Store,
        worker: str,
        taken: Callable[[Row, datetime], Mapping[str, Any]],
        given_up: Callable[[Row], Mapping[str, Any]],
    ) -> Row | None:
        """Take the oldest request that no worker has. A request fails if too many workers took it
        and then fell silent.

        If several workers ask at once, the one whose update still finds the row as it was read
        gets it.

        Args:
            worker: the name of the one that asks.
            taken: what else changes in a row that is taken, at this moment.
            given_up: what else changes in one that has failed.

        Returns:
            The row as it is then.

        Raises:
            StoreUnavailableError: the database cannot be reached or written.
        """

        def work(connection: sa.Connection) -> Row | None:
            now, of = datetime.now(UTC), self.table.c
            silent = (of.state == RUNNING) & (of.heard_at < now - self.silent)
            waiting = sa.select(self.table).where((of.state == REQUESTED) | silent)
            for row in connection.execute(waiting.order_by(of.id)).all():
                as_read = (of.id == row.id, of.state == row.state, of.attempts == row.attempts)
                same = of.heard_at.is_not_distinct_from(row.heard_at)
                is_taken = row.attempts < self.most_attempts
                change: dict[str, Any] = (
                    {
                        "state": RUNNING,
                        "attempts": row.attempts + 1,
                        "worker": worker,
                        "heard_at": now,
                        **taken(row, now),
                    }
                    if is_taken
                    else {"state": FAILED, "finished_at": now, **given_up(row)}
                )
                update = sa.update(self.table).where(*as_read, same).values(change)
                if connection.execute(update).rowcount and is_taken:
                    return connection.execute(sa.select(self.table).where(of.id == row.id)).one()
            return None

        return store.run(work)

    def mine(self, row: Any) -> sa.ColumnElement[bool]:
        """Whether a row still belongs to the worker that got it from `claim`."""
        of = self.table.c
        return sa.and_(
            of.id == row.id,
            of.state == RUNNING,
            of.attempts == row.attempts,
            of.worker == row.worker,
        )

    def update(self, store: Store, row: Any, change: Mapping[str, Any]) -> bool:
        """Change a row that a worker has taken. False if the worker was given up: it must stop.

        Raises:
            StoreUnavailableError: the database cannot be reached or written.
        """
        query = sa.update(self.table).where(self.mine(row)).values(change)
        return store.run(lambda connection: connection.execute(query).rowcount) > 0

    def give_back(self, store: Store, row: Any, change: Mapping[str, Any]) -> bool:
        """Let another worker take a row, as this one ends early. It does not count as an attempt.

        Raises:
            StoreUnavailableError: the database cannot be reached or written.
        """
        free = {"state": REQUESTED, "attempts": row.attempts - 1, "worker": None, "heard_at": None}
        return self.update(store, row, free | dict(change))

    def note_worker(self, store: Store, now: datetime) -> None:
        """Note that there is a worker, whether it has something to do or not.

        Raises:
            StoreUnavailableError: the database cannot be reached or written.
        """
        row = {"name": self.worker, "due_at": now + self.silent}

        def work(connection: sa.Connection) -> None:
            changed = sa.update(chores).where(chores.c.name == self.worker).values(row)
            if not connection.execute(changed).rowcount:
                connection.execute(sa.insert(chores), row)

        store.run(work)

    def look(self, store: Store, now: datetime) -> Outlook:
        """Count the waiting requests, and see whether a worker is alive.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        state = self.table.c.state
        waiting = sa.select(sa.func.count()).select_from(self.table).where(state == REQUESTED)
        heard = sa.select(chores.c.due_at).where(chores.c.name == self.worker)

        def work(connection: sa.Connection) -> Outlook:
            until = connection.execute(heard).scalar_one_or_none()
            alive = None if until is None else until > now
            return Outlook(connection.execute(waiting).scalar_one(), alive)

        return store.run(work, reads=True)
