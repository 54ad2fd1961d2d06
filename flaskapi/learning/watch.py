"""The worker: takes requests for a retraining one after the other, and lets a child process do
each.

The child may be killed for want of memory; the worker, which stays small, sees it and says so.
"""

import contextlib
import json
import logging
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Store, retrainings
from flaskapi.submissions.leases import FAILED
from flaskapi.submissions.retrainings import PROMOTED, SILENT, STAYED, Retraining

HEAR_S = 5.0  # between two signs of life
NOTE_S = 30.0  # between two notes that there is a worker
POLL_S = 3.0  # between two looks for a request
ENDING_S = 10.0  # that a child has to end
# What TensorFlow tells of processors and of its own log, which no setting silences.
NOISE = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} \d\d:\d\d:|[IW]\d{4} \d+\.\d+ "
)
log = logging.getLogger("flaskapi")


class _Child(NamedTuple):
    """A child process and the lines that it wrote; None is their end."""

    process: "subprocess.Popen[str]"
    lines: "queue.SimpleQueue[str | None]"


class Worker:
    """Works until it is told to stop; then it gives back what it has not finished."""

    def __init__(
        self,
        store: Store,
        command: Callable[[dict[str, Any]], Sequence[str]],
        *,
        hear_s: float = HEAR_S,
        poll_s: float = POLL_S,
    ) -> None:
        """`command` makes of a request's options what is run; its lines of JSON tell `progress`,
        `say` and, at the end, `done`.
        """
        self._store, self._command, self._hear_s, self._poll_s = store, command, hear_s, poll_s
        self._name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._stopped = threading.Event()
        self._noted_s = -NOTE_S

    def stop(self) -> None:
        """May be called by another thread, or as a signal arrives."""
        self._stopped.set()

    def run(self) -> None:
        """Take requests as they come."""
        while not self._stopped.is_set():
            try:
                self._note()
                taken = retrainings.claim(self._store, self._name)
            except StoreUnavailableError as error:
                log.error("retrain: %s", error)
                taken = None
            if taken is None:
                self._stopped.wait(self._poll_s)
            else:
                self._do(taken)

    def _note(self) -> None:
        """Let `/metrics` know now and then that there is a worker."""
        if time.monotonic() - self._noted_s > NOTE_S:
            retrainings.note_worker(self._store, datetime.now(UTC))
            self._noted_s = time.monotonic()

    def _do(self, taken: Retraining) -> None:
        log.info("retrain: took %s, attempt %d", taken.id, taken.attempts)
        child = _start(self._command(taken.options))
        said = _Said(taken.log, time.monotonic())
        heard_s = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                if not said.read(child.lines.get(timeout=0.2), time.monotonic()):
                    break
            if self._stopped.is_set():
                _end(child.process)
                with contextlib.suppress(
                    StoreUnavailableError
                ):  # then it is given up after a while
                    retrainings.give_back(self._store, taken)
                log.info("retrain: gave %s back", taken.id)
                return
            if time.monotonic() - heard_s > self._hear_s:
                heard_s = time.monotonic()
                if not self._is_still_ours(taken, said):
                    _end(child.process)
                    log.error(
                        "retrain: %s was withdrawn, or given to another worker because this one "
                        "did not report in time",
                        taken.id,
                    )
                    return
        said.end(child.process.wait())
        log.info("retrain: %s %s", taken.id, said.state)
        self._finish(taken, said)

    def _is_still_ours(self, taken: Retraining, said: "_Said") -> bool:
        try:
            self._note()
            return retrainings.hear(
                self._store, taken, said.progress, said.log, said.seconds_left(time.monotonic())
            )
        except StoreUnavailableError as error:  # whether it is, shows when the store is back
            log.error("retrain: %s", error)
            return True

    def _finish(self, taken: Retraining, said: "_Said") -> None:
        """Note what came out, also if the store is down for a while; after that it would be taken
        again anyway.
        """
        until_s = time.monotonic() + SILENT.total_seconds()
        while True:
            try:
                retrainings.finish(
                    self._store,
                    taken,
                    said.state,
                    said.log,
                    version=said.version,
                    figures=said.figures,
                )
                return
            except StoreUnavailableError as error:
                log.error("retrain: %s", error)
                if time.monotonic() > until_s or self._stopped.wait(self._poll_s):
                    return


class _Said:
    """What a child has said until now, and what follows from how it ended."""

    def __init__(self, log: str, now_s: float) -> None:
        self.log, self.progress, self.state = log, 0.0, FAILED
        self.version: str | None = None
        self.figures: dict[str, Any] | None = None
        self._done = False
        self._begun_s = self._moved_s = now_s

    def seconds_left(self, now_s: float) -> float | None:
        """What the rest takes at the pace until now; None before the first step."""
        if not self.progress:
            return None
        whole_s = (self._moved_s - self._begun_s) / self.progress
        return max(0.0, whole_s - (now_s - self._begun_s))

    def read(self, line: str | None, now_s: float) -> bool:
        """Understand a line; what is no JSON of ours is a library's, and stays as it is. Tells
        whether there may be more.
        """
        if line is None:
            return False
        try:
            found = json.loads(line)
            progress = float(found.get("progress", self.progress))
        except (ValueError, AttributeError):
            self.log += "" if NOISE.match(line) else line
            return True
        if progress != self.progress:
            self.progress, self._moved_s = progress, now_s
        if said := found.get("say"):
            self.log += f"{said}\n"
        if "done" in found:
            self._done = True
            self.state = PROMOTED if found["done"] == PROMOTED else STAYED
            self.version, self.figures = found["version"], found["figures"]
        self.log = self.log[-retrainings.LOG_CHARACTERS :]
        return True

    def end(self, code: int) -> None:
        """A child that did not end well has failed; the serving model is as it was, for what is
        written is written whole.
        """
        if code == 0 and self._done:
            return
        self.state = FAILED
        if code == -signal.SIGKILL:
            self.log += (
                "The training was killed, most likely because memory ran out. "
                "The serving version is unchanged.\n"
            )
        else:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
            self.log += f"The training ended early, {how}. The serving version is unchanged.\n"


def _start(command: Sequence[str]) -> _Child:
    """Start a child and a thread that reads what it writes, so that it never waits to be read."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as written:
            for line in written:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="retrain", daemon=True).start()
    return _Child(process, lines)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
