"""Whether the store can be used, as one process knows it.

| state | next | when |
|---|---|---|
| working | failing | a write failed, did not end in time, or the file is gone |
| failing | trying | `retry_s` later, at the next request: that one waits, others are told at once |
| trying | working | what was tried succeeded |
| trying | failing | it did not |

While it fails, nobody waits for it: that is what the state is for.
"""

import enum
import logging
import time

from flaskapi.errors import StoreUnavailableError


class State(enum.Enum):
    """See the table of this module."""

    WORKING = "working"
    FAILING = "failing"
    TRYING = "trying"


class Health:
    """The state, why it is that, and what was lost meanwhile. Not for several threads at once."""

    def __init__(self, log: logging.Logger, retry_s: float) -> None:
        self._log, self._retry_s = log, retry_s
        self._failure: StoreUnavailableError | None = None
        self._is_tried = False
        self._lost = 0  # submissions that were not kept
        self._retry_at_s = 0.0

    @property
    def state(self) -> State:
        """Where the process is in the table."""
        if self._failure is None:
            return State.WORKING
        return State.TRYING if self._is_tried else State.FAILING

    def check(self) -> None:
        """Let a caller go on who may find out for itself, once it is time to try again.

        Raises:
            StoreUnavailableError: the store failed, and it is not time yet.
        """
        failure = self._failure
        if failure is None or failure.only_keeping:  # what is kept is to be erased then
            return
        if time.monotonic() < self._retry_at_s:
            raise copy_error(failure)

    def admit(self, count: int, *, others_wait: bool) -> None:
        """Let a request in that waits for the store: any while it works, else one that tries.

        Args:
            count: submissions that it brings.
            others_wait: somebody tries already.

        Raises:
            StoreUnavailableError: it is not let in; what it brings is lost.
        """
        if self._failure is None:
            return
        now_s = time.monotonic()
        if now_s < self._retry_at_s or others_wait:
            self._lost += count
            raise copy_error(self._failure)
        self._is_tried, self._retry_at_s = True, now_s + self._retry_s

    def fail(self, error: StoreUnavailableError, lost: int) -> None:
        """Note a failure, and how many submissions it cost; the log has the first of them."""
        failure = self._failure
        if failure is None or (error.lasting and not failure.lasting):
            self._log.error("store: %s Predictions are answered without being kept.", error)
        self._failure, self._is_tried = copy_error(error), False
        self._retry_at_s = time.monotonic() + self._retry_s
        self._lost += lost

    def recover(self) -> None:
        """Note that something was written; the log says what was lost."""
        if self._failure is not None:
            self._log.warning(
                "store: it can be used again; %s predictions of this process were not kept.",
                f"{self._lost:,}",
            )
        self._failure, self._is_tried, self._lost = None, False, 0


def copy_error(error: StoreUnavailableError) -> StoreUnavailableError:
    """The same error for another who asks; one that is raised twice grows its traceback."""
    return StoreUnavailableError(
        str(error),
        lasting=error.lasting,
        only_keeping=error.only_keeping,
        public=error.public,
    )
