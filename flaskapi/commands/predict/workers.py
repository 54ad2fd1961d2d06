"""Several processes read images, each with its own classifier; the order of the images is kept."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from flaskapi import create_app
from flaskapi.contract.answers import to_result
from flaskapi.errors import WorkerDiedError
from flaskapi.reading.many import Route
from flaskapi.reading.reader import Reader
from flaskapi.sources import Item

Result = dict[str, Any]
CHUNK, CHUNK_BYTES = 64, 1 << 22  # sent to a process at a time, the smaller of the two
_AHEAD = 2  # chunks that wait for each process
# Used only in a worker process.
_reader: list[Reader] = []


def load_reader(route: Route) -> tuple[Reader, dict[str, Any]]:
    """Make a reader with the model and the settings of a web process, and give these settings too.

    Raises:
        ModelUnavailableError: there is no model.
    """
    app = create_app({"LOG_LEVEL": "ERROR", "STORE": "off"})
    reader: Reader = app.extensions["flaskapi"].reader
    reader.check(route)
    return reader, app.config


def read_by_workers(items: Iterable[Item], route: Route, workers: int) -> Iterator[Result]:
    """Read items in several processes, at most a few chunks ahead of the consumer.

    Raises:
        ModelUnavailableError: there is no model.
        WorkerDiedError: a process ended.
    """
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=begin_worker
    )
    waiting: deque[Future[list[Result]]] = deque()
    try:
        for chunk in _chunks(items):
            with uninterrupted_children():
                waiting.append(pool.submit(_read_chunk, chunk, route))
            if len(waiting) > _AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerDiedError(
            "A worker process ended early: it was killed, or memory ran out."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    chunk, size = list[Item](), 0
    for item in items:
        chunk.append(item)
        size += len(item.content) if isinstance(item.content, bytes) else 0
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@contextlib.contextmanager
def uninterrupted_children() -> Iterator[None]:
    """Let processes that are started here ignore Ctrl-C, which a terminal sends to all of them;
    the parent ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """End this process together with its parent, even if that is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _read_chunk(chunk: list[Item], route: Route) -> list[Result]:
    if not _reader:
        _reader.append(load_reader(route)[0])
    return [to_result(answer) for answer in _reader[0].many(chunk, route)]
