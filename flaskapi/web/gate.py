"""The gate limits how many requests compute at once; threads that wait for a slow client do not
count.

A server may have any number of threads, because a thread that waits for a body costs almost
nothing. Threads that compute slow each other down, so only a few may do so at once.
"""

import errno
import io
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from flask import Flask, Request, current_app, request
from werkzeug.exceptions import RequestTimeout
from werkzeug.wsgi import get_input_stream

from flaskapi.errors import OverloadedError
from flaskapi.steps import step

WAIT_S = 10.0  # the longest time that a request waits for its turn
# The most requests that wait for their turn; further ones are refused at once.
MOST_WAITING = 96
# Of a request with no larger a body, work is mostly Python. Threads that do such work at once hand
# the interpreter's lock to and fro, for half as much time again (measured); so they take turns.
SMALL_BYTES = 1 << 16
TURN_S = 0.05  # that one waits for its turn at most: what takes longer is no small work
BODY_S = 300.0  # the longest time that a body may take to arrive
_IN_MEMORY_BYTES = 1 << 18
_BLOCK_BYTES = 1 << 16
_BODY = "flaskapi.body"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Gate:
    """Lets `slots` requests compute at once; requests with many images get one slot fewer."""

    def __init__(
        self,
        slots: int,
        most_batches: int,
        *,
        wait_s: float = WAIT_S,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Make the gate of a process.

        Args:
            slots: how many requests compute at once, at least 1.
            most_batches: how many requests with many images are accepted at once.
        """
        self._slots = threading.Semaphore(slots)
        self._slots_of_many = threading.Semaphore(max(1, slots - 1))
        self._batches = threading.Semaphore(most_batches)
        self._turn = threading.Lock()
        self._wait_s, self._most_waiting = wait_s, most_waiting
        self._lock, self._waiting = threading.Lock(), 0

    @contextmanager
    def computing(self, body_bytes: int) -> Iterator[None]:
        """Hold a slot for a request with one image.

        Args:
            body_bytes: the size of its body; what has a small one works alone, as long as that is
                not long.

        Raises:
            OverloadedError: too many requests wait, or this one has waited too long.
        """
        self._take_slot()
        has_turn = body_bytes <= SMALL_BYTES and self._turn.acquire(timeout=TURN_S)
        try:
            yield
        finally:
            if has_turn:
                self._turn.release()
            self._slots.release()

    @contextmanager
    def computing_one_of_many(self) -> Iterator[None]:
        """Hold a slot for each piece of work of a request with many images. It waits without a
        limit, and leaves the last slot to single images.
        """
        with self._slots_of_many, self._slots:
            yield

    def admit_batch(self) -> None:
        """Accept a request with many images, until `dismiss_batch`.

        Raises:
            OverloadedError: the most that are allowed are already accepted.
        """
        if not self._batches.acquire(blocking=False):
            raise OverloadedError(
                "The service is already answering as many requests with many images as it may "
                "(MAX_BATCHES). Send this one again later."
            )

    def dismiss_batch(self) -> None:
        """Make room for another request with many images."""
        self._batches.release()

    def _take_slot(self) -> None:
        if self._slots.acquire(blocking=False):
            return
        with self._lock:
            if self._waiting >= self._most_waiting:
                raise OverloadedError("Too many requests are waiting. Send this one again later.")
            self._waiting += 1
        try:
            with step("wait"):
                taken = self._slots.acquire(timeout=self._wait_s)
            if not taken:
                raise OverloadedError(
                    f"The request waited {self._wait_s:g} s for its turn. Send it again later."
                )
        finally:
            with self._lock:
                self._waiting -= 1


def init_app(app: Flask) -> None:
    """Give the application its gate, by the settings COMPUTING_AT_ONCE and MAX_BATCHES."""
    app.extensions["flaskapi-gate"] = Gate(
        app.config["COMPUTING_AT_ONCE"], app.config["MAX_BATCHES"]
    )

    @app.teardown_request
    def close_body(error: BaseException | None) -> None:
        if body := request.environ.pop(_BODY, None):
            body.close()


def gate() -> Gate:
    """The gate of the application that handles this request."""
    found: Gate = current_app.extensions["flaskapi-gate"]
    return found


def receive(request: Request, *, within_s: float = BODY_S) -> int:
    """Receive the whole body of a request, before the gate: a large one into a temporary file.

    Later reads of the request then do not wait for the client.

    Returns:
        The size of the body in bytes.

    Raises:
        RequestEntityTooLarge: the body is larger than MAX_REQUEST_BYTES.
        RequestTimeout: the body did not arrive in time.
        OverloadedError: the disk has no space for the body.
    """
    environ = request.environ
    stream = get_input_stream(environ, max_content_length=request.max_content_length)
    length = request.content_length
    body: IO[bytes]
    if length is not None and length <= _IN_MEMORY_BYTES:
        body = io.BytesIO()
    else:
        body = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 closed with the request
        environ[_BODY] = body
    size = copy_body(stream, body, within_s)
    body.seek(0)
    environ["wsgi.input"] = body
    environ["CONTENT_LENGTH"] = str(size)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return size


def copy_body(stream: IO[bytes], body: IO[bytes], within_s: float) -> int:
    """Copy a body, block by block, and return its size in bytes.

    Within a block the server limits how long a client may be silent: `RequestReadTimeout` of
    Apache, `deploy/serve` for waitress.

    Raises:
        RequestTimeout: the body did not arrive within so many seconds.
        OverloadedError: the disk has no space for the body.
    """
    until_s, size = time.monotonic() + within_s, 0
    with told_of_room():
        while block := stream.read(_BLOCK_BYTES):
            size += body.write(block)
            if time.monotonic() > until_s:
                raise RequestTimeout(f"The body did not arrive within {within_s:g} s.")
    return size


@contextmanager
def told_of_room() -> Iterator[None]:
    """While a temporary file is written: that the disk is full is an error of the service.

    Raises:
        OverloadedError: the disk has no space for the body.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OverloadedError("The service has no space for the body at the moment.") from error
        raise
