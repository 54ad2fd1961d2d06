"""One thread of each process writes for all requests.

It writes the submissions of several requests in one transaction. No request waits long for it.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Submission
from flaskapi.submissions.health import Health, State, copy_error

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flaskapi.submissions.pictures import Pictures


T = TypeVar("T")

WAIT_S = 0.9  # the longest time that a request waits
# How long a request's data waits for other requests, and how often it may wait in vain.
COMPANY_S, MOST_IN_VAIN = (0.005, 10)
PICTURE_WAIT_S = 5.0  # the longest time that a request waits for an image outside the database
RETRY_S = 2.0  # after this time a failed store is tried again
LOOK_S = 0.5  # between two checks of the database's file while idle
_TOGETHER = 256  # submissions in one transaction; more only if a single request has more


class _Database(Protocol):
    def record(self, kept: list[Submission]) -> list[UUID | None]: ...

    def run(
        self, work: "Callable[[Connection], T]", *, reads: bool = False, erases: bool = False
    ) -> T: ...

    def check(self, *, thoroughly: bool = False) -> dict[str, Any]: ...

    def check_file(self) -> None: ...

    def close(self) -> None: ...


class _Job:
    """What one request waits for: the commit of its submissions, or a check of the store.

    A job without submissions is a check.
    """

    def __init__(self, submissions: list[Submission]) -> None:
        self.submissions = submissions
        self.answer: Any = None
        self.error: StoreUnavailableError | None = None
        self.given_up = False
        self.done = threading.Event()


class Writer:
    """A store for many threads.

    After a failure callers get the error at once, until it is time to try again.
    """

    def __init__(
        self,
        database: _Database,
        log: logging.Logger,
        *,
        wait_s: float | None = None,
        retry_s: float = RETRY_S,
        pictures: "Pictures | None" = None,
    ) -> None:
        """Keep the database; the thread starts at the first use.

        Args:
            database: runs the transactions.
            log: is told when the store fails and when it works again.
            wait_s: the longest time that a request waits; None: WAIT_S.
            retry_s: after this time a failed store is tried again.
            pictures: where large images lie, if not in the database.
        """
        self.pictures = pictures
        self._database, self._log, self._retry_s = database, log, retry_s
        self._wait_s = WAIT_S if wait_s is None else wait_s
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._coming = 0  # requests that will keep something, or wait until it is kept
        # How often the thread waited in vain for other requests, since it last met one.
        self._waits_for_company, self._in_vain = (False, 0)
        self._thread: threading.Thread | None = None
        self._health = Health(self._log, self._retry_s)
        # Why images cannot be written outside the database, and when this is tried again.
        self._outside: tuple[StoreUnavailableError, float] | None = None

    @property
    def state(self) -> State:
        """Whether the store works, fails, or is tried again; see `health`."""
        return self._health.state

    def _notice_fork(self) -> None:
        # After a fork the thread is missing, and it may have held the lock.
        if self._process != os.getpid():
            self._reset()

    @contextlib.contextmanager
    def expect(self) -> Iterator[None]:
        """Announce, around the work of a request, that it will keep something.

        The thread then waits briefly for it, to share a transaction.
        """
        self._notice_fork()
        with self._lock:
            self._coming += 1
        try:
            yield
        finally:
            with self._lock:
                self._coming -= 1
                self._wake()

    def record(self, submissions: list[Submission]) -> list[UUID | None]:
        """Keep submissions, all or none, and wait until they are committed.

        Returns:
            Their ids, in order.

        Raises:
            StoreUnavailableError: they are not committed, or not in time.
        """
        return self._wait_for(_Job(self._stage(submissions)))

    def _stage(self, submissions: list[Submission]) -> list[Submission]:
        """Write large images outside the database, while other requests go on.

        After a failure large images are refused at once, until it is time to try again.

        Raises:
            StoreUnavailableError: they are not written, or not in time.
        """
        least = self.pictures.above_bytes if self.pictures else None
        if least is None or all(len(one.image) <= least for one in submissions):
            return submissions
        self._refuse_while_down()
        if self._outside and time.monotonic() < self._outside[1]:
            raise copy_error(self._outside[0])
        # Not at the top: a process that keeps nothing needs no database libraries.
        from flaskapi.submissions.outside import stage

        try:
            done = _begin(lambda: stage(self, submissions), "store-pictures")
            if wait([done], PICTURE_WAIT_S).not_done:
                raise StoreUnavailableError(
                    f"An image was not written outside the database within {PICTURE_WAIT_S:g} s."
                )
            staged = done.result()
        except StoreUnavailableError as error:
            if self._outside is None:
                self._log.error("store: %s Such predictions are answered without being kept", error)
            self._outside = copy_error(error), time.monotonic() + self._retry_s
            raise
        if self._outside is not None:
            self._log.warning("store: images can be written outside the database again")
        self._outside = None
        return staged

    def check(self) -> dict[str, Any]:
        """Check that the store answers; see `Database.check`.

        Raises:
            StoreUnavailableError: it does not answer, or failed when it was last tried.
        """
        return self._wait_for(_Job([]))

    def run(
        self,
        work: "Callable[[Connection], T]",
        *,
        reads: bool = False,
        long: bool = False,
        erases: bool = False,
    ) -> T:
        """Run `work` in one transaction; see `Database.run`.

        Args:
            work: may be called more than once; its earlier changes are then rolled back.
            reads: it writes nothing.
            long: it may take longer than a request waits.
            erases: nothing that it erases may stay readable in SQLite's log.

        Raises:
            StoreUnavailableError: the store is known to be down, fails, or does not answer in time.
        """
        if long:
            self._refuse_while_down()
            return self._database.run(work, reads=reads, erases=erases)
        return self._in_time(
            lambda: self._database.run(work, reads=reads, erases=erases), reads=reads
        )

    def _refuse_while_down(self) -> None:
        self._notice_fork()
        with self._lock:
            self._health.check()

    def _in_time(self, ask: Callable[[], T], *, reads: bool = False) -> T:
        """Ask the database in a separate thread, so that no caller hangs with it."""
        self._refuse_while_down()
        done = _begin(ask, "store-run")
        if wait([done], self._wait_s).not_done:
            # A slow read may just read much, so it does not mark the store as failed.
            raise StoreUnavailableError(self._too_late()) if reads else self._give_up(0)
        return done.result()

    def close(self) -> None:
        """End the thread and close the database; the next use starts again."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._lock.notify()
        if thread is not None:
            thread.join(self._wait_s)
        with self._lock:
            left, self._jobs = self._jobs, deque()
        for job in left:
            job.error = StoreUnavailableError("The store was closed.")
            job.done.set()
        self._database.close()

    def _wait_for(self, job: _Job) -> Any:
        self._notice_fork()
        with self._lock:
            others_wait = not all(waiting.given_up for waiting in self._jobs)
            self._health.admit(len(job.submissions), others_wait=others_wait)
            if self._thread is None:
                self._thread = _start(self._write, "store")
            self._jobs.append(job)
            self._wake()
        if not job.done.wait(self._wait_s):
            job.given_up = True
            raise self._give_up(len(job.submissions))
        if job.error is not None:
            raise job.error
        return job.answer

    def _give_up(self, lost: int) -> StoreUnavailableError:
        error = StoreUnavailableError(self._too_late())
        self._fail(error, lost)
        return error

    def _too_late(self) -> str:
        return f"The store did not answer within {self._wait_s:g} s."

    def _fail(self, error: StoreUnavailableError, lost: int) -> None:
        with self._lock:
            self._health.fail(error, lost)

    def _write(self) -> None:
        """Write waiting jobs, until the store is closed."""
        while True:
            jobs = self._take()
            if not jobs:
                return
            submissions = [submission for job in jobs for submission in job.submissions]
            try:
                if submissions:
                    ids = iter(self._database.record(submissions))
                    for job in jobs:
                        job.answer = [next(ids) for _ in job.submissions]
                if not all(job.submissions for job in jobs):
                    found = self._database.check(thoroughly=self.state is not State.WORKING)
                    for job in jobs:
                        job.answer = job.answer or found
                if self.state is not State.WORKING:
                    with self._lock:
                        self._health.recover()
            except Exception as error:
                if not isinstance(error, StoreUnavailableError):
                    self._log.error("store: an unexpected error", exc_info=error)
                failure = (
                    error
                    if isinstance(error, StoreUnavailableError)
                    else StoreUnavailableError("The store failed.")
                )
                failed = [job for job in jobs if not job.answer]  # the others are committed
                self._fail(failure, sum(len(job.submissions) for job in failed if not job.given_up))
                for job in failed:
                    job.error = copy_error(failure)
            for job in jobs:
                job.done.set()

    def _take(self) -> list[_Job]:
        """Wait for jobs, and take as many as fit into one transaction; none when the store closes.

        Jobs that their requests gave up are dropped.
        """
        with self._lock:
            while self._thread is threading.current_thread():
                self._wait_for_company()
                jobs, size = list[_Job](), 0
                while self._jobs and (
                    not jobs or size + len(self._jobs[0].submissions) <= _TOGETHER
                ):
                    job = self._jobs.popleft()
                    if not job.given_up:
                        jobs.append(job)
                        size += len(job.submissions)
                if jobs:
                    return jobs
                if not self._lock.wait(LOOK_S):
                    self._look()
        return []

    def _look(self) -> None:
        """Check the database's file while idle, so that the log reports its loss at once."""
        try:
            self._database.check_file()
        except StoreUnavailableError as error:
            self._fail(error, 0)

    def _wait_for_company(self) -> None:
        """Wait briefly for requests that will keep something, to share the cost of a transaction.

        After MOST_IN_VAIN waits in vain it waits no more, since a slow client's request may take
        long. It waits again after several requests have met in one transaction.
        """
        until_s = time.monotonic() + (COMPANY_S if self._in_vain < MOST_IN_VAIN else 0)
        self._waits_for_company = True
        while 0 < len(self._jobs) < self._coming:
            if (left_s := until_s - time.monotonic()) <= 0:
                self._in_vain += 1
                break
            self._lock.wait(left_s)
        else:
            self._in_vain = 0 if len(self._jobs) > 1 else self._in_vain
        self._waits_for_company = False

    def _wake(self) -> None:
        """Wake the thread if all that it waits for has arrived: waking costs more than a row."""
        if self._jobs and (len(self._jobs) >= self._coming or not self._waits_for_company):
            self._lock.notify()


def _begin(ask: Callable[[], T], name: str) -> "Future[T]":
    """Ask in a new thread.

    Raises:
        StoreUnavailableError: no thread can be started.
    """
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(ask())
        except BaseException as error:
            done.set_exception(error)

    _start(do, name)
    return done


def _start(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise StoreUnavailableError(
            "The store cannot be used: no thread can be started."
        ) from error
    return thread
