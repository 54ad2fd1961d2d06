"""Whether the store can be used, from the view of one process.

| state | next | when |
|---|---|---|
| working | failing | a write failed, did not end in time, or the file is gone |
| failing | trying | `retry_s` later, at the next request: it waits, others get an error at once |
| trying | working | what was tried succeeded |
| trying | failing | it did not |

While the store fails, nobody waits for it: this is the purpose of the state.
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
    """The state, its reason, and what was lost meanwhile. Not for several threads at once."""

    def __init__(self, log: logging.Logger, retry_s: float) -> None:
        self._log, self._retry_s = log, retry_s
        self._failure: StoreUnavailableError | None = None
        self._is_tried = False
        self._lost = 0  # submissions that were not kept
        self._retry_at_s = 0.0

    @property
    def state(self) -> State:
        """The current state."""
        if self._failure is None:
            return State.WORKING
        return State.TRYING if self._is_tried else State.FAILING

    def check(self) -> None:
        """Let a caller try for itself, once it is time.

        Raises:
            StoreUnavailableError: the store failed, and it is not time yet.
        """
        failure = self._failure
        if failure is None or failure.only_keeping:  # erasing must be possible then
            return
        if time.monotonic() < self._retry_at_s:
            raise copy_error(failure)

    def admit(self, count: int, *, others_wait: bool) -> None:
        """Let a request wait for the store: any request while it works, otherwise one that tries.

        Args:
            count: the number of its submissions.
            others_wait: another request is already trying.

        Raises:
            StoreUnavailableError: the request must not wait; its submissions are lost.
        """
        if self._failure is None:
            return
        now_s = time.monotonic()
        if now_s < self._retry_at_s or others_wait:
            self._lost += count
            raise copy_error(self._failure)
        self._is_tried, self._retry_at_s = True, now_s + self._retry_s

    def fail(self, error: StoreUnavailableError, lost: int) -> None:
        """Record a failure, and how many submissions it cost; only the first is logged."""
        failure = self._failure
        if failure is None or (error.lasting and not failure.lasting):
            self._log.error("store: %s Predictions are answered without being kept.", error)
        self._failure, self._is_tried = copy_error(error), False
        self._retry_at_s = time.monotonic() + self._retry_s
        self._lost += lost

    def recover(self) -> None:
        """Record a successful write; the log says how many submissions were lost."""
        if self._failure is not None:
            self._log.warning(
                "store: it can be used again; %s predictions of this process were not kept.",
                f"{self._lost:,}",
            )
        self._failure, self._is_tried, self._lost = None, False, 0


def copy_error(error: StoreUnavailableError) -> StoreUnavailableError:
    """A copy of the error for another caller; raising one twice would grow its traceback."""
    return StoreUnavailableError(
        str(error),
        lasting=error.lasting,
        only_keeping=error.only_keeping,
        public=error.public,
    )
