"""Requests with many images that a worker answers later: the body as sent, the worker, and the
answers so far.

A worker keeps each group of answers with their images in one transaction. If it is killed, another
continues after the last group, so that no image is answered twice or left out.
"""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import RateLimitedError, TooLargeError
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import empty_log
from flaskapi.submissions.leases import FAILED, REQUESTED, RUNNING, Leases, Outlook
from flaskapi.submissions.tables import batch_pieces, batches

ARRIVING, DONE = "arriving", "done"
SENT, ANSWERED = "sent", "answered"
SILENT = timedelta(minutes=1)  # without a report, after which a worker is given up
MOST_ATTEMPTS = 3  # without a single answer between them
ARRIVES_WITHIN = timedelta(hours=1)  # later, a body counts as abandoned
PIECE_BYTES = 1 << 18
_FULL_RETRY_S = 60
_LEASES = Leases(batches, SILENT, MOST_ATTEMPTS, "batch worker")


class Batch(NamedTuple):
    """A request with many images, and what became of it."""

    id: UUID
    requested_at: datetime
    key_name: str | None  # of the sender; None: sent without a key
    request: dict[str, Any]
    state: str  # `arriving`, `requested`, `running`, `done` or `failed`
    attempts: int  # workers that took it since the last answer
    worker: str | None
    heard_at: datetime | None
    finished_at: datetime | None
    images: int | None  # how many there are; None: not counted yet
    answered: int
    failed: int  # of those answered
    taken_at: datetime | None
    taken_answered: int
    error: dict[str, Any] | None  # that ended it

    @property
    def seconds_left(self) -> float | None:
        """The time left at the pace of its worker; None if that is unknown."""
        if self.state != RUNNING or not (self.images and self.taken_at and self.heard_at):
            return None
        done = self.answered - self.taken_answered
        if not done:
            return None
        spent_s = (self.heard_at - self.taken_at).total_seconds()
        return spent_s / done * max(0, self.images - self.answered)


class Sender(NamedTuple):
    """Whose a batch is: that of a key, or of a client without one."""

    key_name: str | None
    client: bytes | None

    def owns(self) -> sa.ColumnElement[bool]:
        """Which batches are the sender's."""
        of = batches.c
        if self.key_name is not None:
            return of.key_name == self.key_name
        return of.key_name.is_(None) & of.client.is_not_distinct_from(self.client)


class Allowed(NamedTuple):
    """How much is kept of one sender at once."""

    batches: int
    bytes: int  # of bodies and answers


class LostError(Exception):
    """The batch was erased, or was given to another worker."""


def begin(
    store: Store, id: UUID, request: dict[str, Any], sender: Sender, size: int, allowed: Allowed
) -> None:
    """Begin a batch. `send` brings its body and `admit` completes it; no worker sees it before.

    Args:
        size: of the body, in bytes.

    Raises:
        TooLargeError: the body is larger than what a sender may keep.
        RateLimitedError: the sender has as many batches, or as many bytes in them, as allowed.
        StoreUnavailableError: it cannot be kept.
    """
    if size > allowed.bytes:
        raise TooLargeError(
            f"The request is larger than what one sender may keep: "
            f"MAX_ASYNC_BYTES = {allowed.bytes:,}."
        )
    row = {
        "id": id,
        "requested_at": datetime.now(UTC),
        **sender._asdict(),
        "request": request,
        "state": ARRIVING,
        "size_bytes": size,
    }
    kept = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(batches.c.size_bytes), 0)).where(
        sender.owns()
    )

    def work(connection: sa.Connection) -> None:
        count, size_bytes = connection.execute(kept.where(batches.c.id != id)).one()
        if count >= allowed.batches or size_bytes + size > allowed.bytes:
            raise RateLimitedError(
                f"This sender has {count:,} batches of {size_bytes:,} bytes here, and may have "
                f"{allowed.batches:,} of {allowed.bytes:,} bytes together (MAX_ASYNC_BATCHES, "
                f"MAX_ASYNC_BYTES). DELETE one, or wait until one expires.",
                _FULL_RETRY_S,
            )
        if not connection.execute(sa.select(batches.c.id).where(batches.c.id == id)).first():
            connection.execute(sa.insert(batches).values(row))

    store.run(work, long=True)


def send(store: Store, id: UUID, body: IO[bytes]) -> None:
    """Keep the body of a batch piece by piece, so that other writers never wait long.

    Raises:
        StoreUnavailableError: it cannot be kept.
    """
    number = 0
    while piece := body.read(PIECE_BYTES):
        row = {"batch_id": id, "part": SENT, "number": number, "content": piece}
        insert = sa.insert(batch_pieces).values(row)
        store.run(lambda connection, insert=insert: connection.execute(insert), long=True)  # type: ignore[misc]
        number += 1


def admit(store: Store, id: UUID) -> None:
    """Let workers see a batch whose body is complete. When this returns, it is committed.

    Raises:
        StoreUnavailableError: it cannot be kept.
    """
    query = sa.update(batches).where(batches.c.id == id).values(state=REQUESTED)
    store.run(lambda connection: connection.execute(query))


def get(store: Store, id: UUID) -> Batch | None:
    """Read one whose body is complete; None if there is none of this id.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    query = _select().where(batches.c.id == id, batches.c.state != ARRIVING)
    row = store.run(lambda connection: connection.execute(query).one_or_none(), reads=True)
    return Batch(*row) if row else None


def erase(store: Store, id: UUID) -> bool:
    """Erase a batch with its body and its answers. Its worker stops; its images stay. False if
    there is no such batch.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    hide = sa.update(batches).where(batches.c.id == id).values(state=ARRIVING)
    store.run(lambda connection: connection.execute(hide))  # its worker loses it here
    while _erase_pieces(store, id):
        pass
    query = sa.delete(batches).where(batches.c.id == id)
    return store.run(lambda connection: connection.execute(query).rowcount, erases=True) > 0


def expire(store: Store, keep: timedelta, now: datetime) -> int:
    """Erase batches that ended long ago, that no worker has taken for as long, or whose body never
    arrived. Returns their number.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    of = batches.c
    old = sa.or_(
        of.finished_at < now - keep,
        (of.state == REQUESTED) & (of.requested_at < now - keep),
        (of.state == RUNNING) & (of.requested_at < now - keep) & (of.heard_at < now - SILENT),
        (of.state == ARRIVING) & (of.requested_at < now - ARRIVES_WITHIN),
    )
    query = sa.select(of.id).where(old)
    found = store.run(
        lambda connection: connection.execute(query).scalars().all(), reads=True, long=True
    )
    return sum(erase(store, id) for id in found)


def read_pieces(store: Store, id: UUID, part: str) -> Iterator[bytes]:
    """Read the body or the answers of a batch, a piece at a time.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    of, last = batch_pieces.c, -1
    pieces = sa.select(of.number, of.content).where(of.batch_id == id, of.part == part)
    while True:
        query = pieces.where(of.number > last).order_by(of.number).limit(1)
        row = store.run(
            lambda connection, query=query: connection.execute(query).one_or_none(),  # type: ignore[misc]
            reads=True,
            long=True,
        )
        if row is None:
            return
        last = row.number
        yield row.content if part == SENT else zlib.decompress(row.content)


def claim(store: Store, worker: str) -> Batch | None:
    """Take the oldest batch that no worker has; see `Leases.claim`.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    error = {
        "type": "/problems/internal-error",
        "title": "Internal error",
        "status": 500,
        "detail": f"No worker that took this batch reported again, {MOST_ATTEMPTS} times.",
    }
    row = _LEASES.claim(
        store,
        worker,
        lambda row, now: {"taken_at": now, "taken_answered": row.answered},
        lambda row: {"error": error},
    )
    return _to_batch(row) if row else None


def count(store: Store, taken: Batch, images: int) -> Batch:
    """Store the number of images.

    Raises:
        LostError: it is not the worker's any more.
        StoreUnavailableError: the database cannot be reached or written.
    """
    _change(store, taken, {"images": images, "heard_at": datetime.now(UTC)})
    return taken._replace(images=images)


def hear(store: Store, taken: Batch) -> None:
    """Note that a worker is still at it; raises as `count` does."""
    _change(store, taken, {"heard_at": datetime.now(UTC)})


def answer(
    store: Database, taken: Batch, lines: list[str], failed: int, kept: list[Submission]
) -> Batch:
    """Keep the answers of the next images, with these images, all in one transaction.

    Args:
        lines: of each image its answer, JSON in one line.
        failed: how many of them are errors.
        kept: what is kept of the others.

    Returns:
        The batch as it is then.

    Raises:
        LostError: it is not the worker's any more; nothing is kept then.
        StoreUnavailableError: nothing can be kept, or nobody knows whether it was.
    """
    content = zlib.compress("".join(line + "\n" for line in lines).encode(), 1)
    # An answer shows that the batch can be answered: the attempts count anew.
    change: dict[str, Any] = {
        "heard_at": datetime.now(UTC),
        "answered": taken.answered + len(lines),
        "failed": taken.failed + failed,
        "attempts": 1,
    }
    piece = {
        "batch_id": taken.id,
        "part": ANSWERED,
        "number": taken.answered,
        "content": content,
    }
    of = batches.c
    update = (
        sa.update(batches)
        .where(_LEASES.mine(taken), of.answered == taken.answered)
        .values(change | {"size_bytes": of.size_bytes + len(content)})
    )

    def work(connection: sa.Connection) -> None:
        if not connection.execute(update).rowcount:
            raise LostError
        connection.execute(sa.insert(batch_pieces), piece)

    store.record(kept, work)
    return taken._replace(**change)


def finish(store: Store, taken: Batch, error: dict[str, Any] | None = None) -> None:
    """Note that all images are answered, or which error ended it; the body is erased. Raises as
    `count` does.
    """
    change = {
        "state": FAILED if error else DONE,
        "finished_at": datetime.now(UTC),
        "error": error,
        "images": taken.images if error else taken.answered,
    }
    _change(store, taken, change)
    while freed := _erase_pieces(store, taken.id, SENT):
        query = (
            sa.update(batches)
            .where(batches.c.id == taken.id)
            .values(size_bytes=batches.c.size_bytes - freed)
        )
        store.run(lambda connection, query=query: connection.execute(query))  # type: ignore[misc]
    empty_log(store)


def give_back(store: Store, taken: Batch) -> None:
    """Let another worker go on with it.

    Raises:
        StoreUnavailableError: the database cannot be reached or written.
    """
    _LEASES.give_back(store, taken, {})


def note_worker(store: Store, now: datetime) -> None:
    """Note that there is a worker; see `Leases.note_worker`."""
    _LEASES.note_worker(store, now)


def look(store: Store, now: datetime) -> Outlook:
    """See whether anybody answers batches; see `Leases.look`."""
    return _LEASES.look(store, now)


def _erase_pieces(store: Store, id: UUID, part: str | None = None) -> int:
    """Erase some pieces of a batch. Gives how many bytes they had."""
    of = batch_pieces.c
    some = sa.select(of.part, of.number, sa.func.length(of.content)).where(of.batch_id == id)
    if part:
        some = some.where(of.part == part)

    def work(connection: sa.Connection) -> int:
        found = connection.execute(some.limit(16)).all()
        for kind, number, _ in found:
            own = of.batch_id == id, of.part == kind, of.number == number
            connection.execute(sa.delete(batch_pieces).where(*own))
        return sum(size for _, _, size in found)

    return store.run(work, long=True)


def _change(store: Store, taken: Batch, change: dict[str, Any]) -> None:
    if not _LEASES.update(store, taken, change):
        raise LostError


def _select() -> sa.Select[Any]:
    return sa.select(*(batches.c[name] for name in Batch._fields))


def _to_batch(row: sa.Row[Any]) -> Batch:
    return Batch(*(row._mapping[name] for name in Batch._fields))
