"""The worker that answers batches later, as `POST /predict/batch` answers them at once: it reads
the request that was kept, by the same code.
"""

import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice

from flask import Flask, request

from flaskapi.contract import queries
from flaskapi.contract.answers import encode_result
from flaskapi.contract.keeping import to_submission
from flaskapi.errors import ModelUnavailableError, OverloadedError, StoreUnavailableError
from flaskapi.reading.many import Answer
from flaskapi.sources import Item
from flaskapi.submissions import batches
from flaskapi.submissions.batches import Batch, LostError
from flaskapi.submissions.database import Database
from flaskapi.submissions.leases import RUNNING
from flaskapi.web.batch import chunks_of, count_answers, kept_of, to_results
from flaskapi.web.errors import describe
from flaskapi.web.gate import told_of_room
from flaskapi.web.items import count_images, read_items
from flaskapi.web.record import note_kept
from flaskapi.web.services import services

POLL_S = 2.0  # between two looks for a batch
HEAR_S = 5.0  # between two signs of life
NOTE_S = 20.0  # between two notes that there is a worker
_IN_MEMORY_BYTES = 1 << 20
_PATH = "/predict/batch"
# The store, the model or the disk fails: the batch waits, and is answered once they are back.
_OVER_SOON = (StoreUnavailableError, ModelUnavailableError, OverloadedError)
log = logging.getLogger("flaskapi")


class _StoppedError(Exception):
    """The worker was told to stop."""


class BatchWorker:
    """Answers batches until it is told to stop; another goes on with what it has not finished."""

    def __init__(self, app: Flask, store: Database, *, poll_s: float = POLL_S) -> None:
        self._app, self._store, self._poll_s = app, store, poll_s
        self._name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._stopped = threading.Event()
        self._noted_s = self._heard_s = -NOTE_S

    def stop(self) -> None:
        """May be called by another thread, or as a signal arrives."""
        self._stopped.set()

    def run(self, *, watch: bool = True) -> int:
        """Answer batches as they come; or, not to watch, those that wait. Gives how many."""
        done = 0
        while not self._stopped.is_set():
            taken = None
            try:
                self._note()
                taken = batches.claim(self._store, self._name)
            except StoreUnavailableError as error:
                log.error("batches: %s", error)
            if taken is not None:
                done += self._do(taken)
            elif not watch:
                break
            else:
                self._stopped.wait(self._poll_s)
        return done

    def _note(self) -> None:
        """Let answers know now and then that there is a worker."""
        if time.monotonic() - self._noted_s > NOTE_S:
            batches.note_worker(self._store, datetime.now(UTC))
            self._noted_s = time.monotonic()

    def _do(self, taken: Batch) -> bool:
        """Answer a batch. If store or model fail, go on once they are back. Tells whether it has
        ended.
        """
        log.info("batches: took %s, %d of its images answered", taken.id, taken.answered)
        mine: Batch | None = taken
        while mine is not None:
            try:
                self._answer(mine)
                log.info("batches: ended %s", taken.id)
                return True
            except LostError:
                log.info("batches: %s was erased, or given to another worker", taken.id)
                return False
            except _StoppedError:
                self._give_back(taken)
                return False
            except _OVER_SOON as error:
                log.error("batches: %s waits: %s", taken.id, error)
                self._stopped.wait(self._poll_s)
                mine = self._look_again(taken)
        return False

    def _look_again(self, taken: Batch) -> Batch | None:
        """What became of a batch meanwhile; None where it is this worker's no more."""
        while not self._stopped.is_set():
            try:
                mine = self._mine(taken)
                batches.hear(self._store, mine)
                return mine
            except LostError:
                return None
            except StoreUnavailableError as error:
                log.error("batches: %s", error)
                self._stopped.wait(self._poll_s)
        return None

    def _mine(self, taken: Batch) -> Batch:
        """A batch as it is now.

        Raises:
            LostError: it is not this worker's any more.
        """
        found = batches.get(self._store, taken.id)
        if found is None or found.state != RUNNING or found.worker != self._name:
            raise LostError
        return found

    def _give_back(self, taken: Batch) -> None:
        try:
            batches.give_back(self._store, self._mine(taken))
            log.info("batches: gave %s back", taken.id)
        except (StoreUnavailableError, LostError) as error:  # it is taken by another after a while
            log.error("batches: %s", error)

    def _answer(self, taken: Batch) -> None:
        for work in (self._count_images, self._answer_images):
            with self._as_sent(taken):
                try:
                    taken = work(taken)
                except (*_OVER_SOON, LostError, _StoppedError):
                    raise
                except Exception as error:  # as the last line of an answer has it
                    batches.finish(self._store, self._mine(taken), describe(error))
                    return
        batches.finish(self._store, taken)

    def _count_images(self, taken: Batch) -> Batch:
        services().models.watch()
        if taken.images is not None:
            return taken
        with closing(read_items(request, split=False)) as items:
            images = count_images(self._heard(items, taken))
        return batches.count(self._store, taken, images)

    def _answer_images(self, taken: Batch) -> Batch:
        reader = services().reader
        route, keep = queries.read_route(taken.request["query"]), taken.request["keep"]
        with closing(read_items(request)) as items:
            rest = islice(self._heard(items, taken), taken.answered, None)
            for chunk in chunks_of(reader.many(rest, route, split=False)):
                taken = self._keep(taken, chunk, keep=keep)
                self._check_stopped()
        return taken

    def _keep(self, taken: Batch, chunk: list[Answer], *, keep: bool) -> Batch:
        kept = kept_of(chunk)
        rows = [to_submission(one, _PATH, taken.id) for one in kept] if keep else []
        ids = [str(row.id) for row in rows] if keep else [None] * len(kept)
        lines = [encode_result(result) for result in to_results(chunk, ids)]
        taken = batches.answer(self._store, taken, lines, len(chunk) - len(kept), rows)
        self._heard_s = time.monotonic()
        self._note()
        count_answers(chunk)
        if rows:
            note_kept(kept, [row.id for row in rows])
        return taken

    def _heard(self, items: Iterator[Item], taken: Batch) -> Iterator[Item]:
        """Items, with signs of life where many are passed over, or take long to unpack."""
        for item in items:
            self._check_stopped()
            if time.monotonic() - self._heard_s > HEAR_S:
                batches.hear(self._store, self._mine(taken))
                self._note()
                self._heard_s = time.monotonic()
            yield item

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError

    @contextmanager
    def _as_sent(self, taken: Batch) -> Iterator[None]:
        """The request as it was sent."""
        sent = taken.request
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as body:
            for piece in batches.read_pieces(self._store, taken.id, batches.SENT):
                with told_of_room():
                    body.write(piece)
            size = body.tell()
            body.seek(0)
            with self._app.test_request_context(
                _PATH,
                method="POST",
                query_string=sent["query"],
                headers=sent["headers"] | {"Content-Length": str(size)},
                input_stream=body,
                environ_overrides={"SCRIPT_NAME": sent["root"]},
            ):
                yield
