"""What is to be done now and then with all that is kept. Processes take turns; none is started for
it, and no request waits for it.
"""

import logging
import random
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Store, batches
from flaskapi.submissions.chores import is_due, take_chore
from flaskapi.submissions.erasing import empty_log, erase_before, erase_beyond, erase_for_room
from flaskapi.submissions.outside import erase_noted
from flaskapi.submissions.statistics import summarize_days
from flaskapi.submissions.tables import chores

EVERY = timedelta(minutes=10)
LOOK_S = 60.0  # between two looks of one process whether it is due
_NAME = "housekeeping"


class KeepingLimits(NamedTuple):
    """How long and how much is kept; None: without a limit."""

    days: float | None = None
    submissions: int | None = None
    bytes: int | None = None  # of images, each counted once
    disk_share: float = 1.0  # of the disk, that SQLite's file may take; 1: all of it
    batch_days: float | None = None  # that a batch is kept which a worker answered


def find_limits(config: Mapping[str, Any]) -> KeepingLimits:
    """The limits that the settings name."""
    names = ("KEEP_DAYS", "KEEP_SUBMISSIONS", "KEEP_BYTES", "KEEP_DISK_SHARE", "KEEP_BATCH_DAYS")
    return KeepingLimits(*(config[name] for name in names))


class Done(NamedTuple):
    """What a housekeeping did."""

    too_old: int  # submissions that it erased
    too_many: int
    # Are the limits met? They are not where what operators have labelled is more than they allow.
    is_within: bool

    def __str__(self) -> str:
        text = f"erased {self.too_old:,} submissions by age, {self.too_many:,} beyond the limits"
        return (
            text
            if self.is_within
            else f"{text}; still beyond the limits, because submissions that operators have "
            f"labelled are erased only by age"
        )


def keep_house(store: Store, limits: KeepingLimits, now: datetime | None = None) -> Done:
    """Do all that is to be done, in many small transactions.

    Raises:
        StoreUnavailableError: the store cannot be used; what was done until then stays done.
    """
    now = now or datetime.now(UTC)
    too_old = 0 if limits.days is None else erase_before(store, now - timedelta(days=limits.days))
    too_many, excess = erase_beyond(store, limits.submissions, limits.bytes)
    too_many += erase_for_room(store, limits.disk_share)
    if limits.batch_days is not None:
        batches.expire(store, timedelta(days=limits.batch_days), now)
    summarize_days(store, now)  # after them, for an erasure has its day counted again
    empty_log(store)  # also of what was erased while somebody read from it
    erase_noted(store, now)
    return Done(too_old, too_many, not excess)


def take_turn(store: Store, now: datetime | None = None) -> bool:
    """Is it this process's turn? Then it is nobody else's until EVERY has passed.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    now = now or datetime.now(UTC)

    def look(connection: sa.Connection) -> bool:
        return not connection.execute(
            sa.select(chores.c.name).where(chores.c.name == _NAME, ~is_due(now, now + EVERY))
        ).first()

    return store.run(look, reads=True) and store.run(
        lambda connection: take_chore(connection, _NAME, now, now + EVERY)
    )


class Housekeeper:
    """A thread that keeps house whenever it is this process's turn."""

    def __init__(
        self, store: Store, limits: KeepingLimits, log: logging.Logger, *, look_s: float = LOOK_S
    ) -> None:
        self._store, self._limits, self._log, self._look_s = store, limits, log, look_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(
            self._look_s * random.uniform(0.5, 1)
        ):  # so that processes that start together look apart
            try:
                if take_turn(self._store):
                    done = keep_house(self._store, self._limits)
                    if not done.is_within:
                        self._log.warning("store: %s", done)
                    elif done.too_old or done.too_many:
                        self._log.info("store: %s", done)
            except StoreUnavailableError as error:
                self._log.info("store: housekeeping was not possible: %s", error)
            except (
                Exception
            ) as error:  # a fault of ours must not be the last housekeeping of this process
                self._log.error("store: an unexpected error in housekeeping", exc_info=error)
