"""A batch is taken by one worker, and again where that one is not heard of any more; no answer is
kept twice, and none of a worker that lost it.
"""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import make_submission

from flaskapi.errors import RateLimitedError, TooLargeError
from flaskapi.submissions import batches
from flaskapi.submissions.batches import (
    MOST_ATTEMPTS,
    PIECE_BYTES,
    SILENT,
    Allowed,
    Batch,
    LostError,
    Sender,
)
from flaskapi.submissions.database import Database
from flaskapi.submissions.housekeeping import KeepingLimits, keep_house
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.listing import get_submission

ADA, NOBODY = Sender("ada", None), Sender(None, b"a client")
ALLOWED = Allowed(3, 4 * PIECE_BYTES)
NOW = datetime.now(UTC)


def put(store: Database, body: bytes = b"a body", sender: Sender = ADA) -> UUID:
    id = new_id()
    batches.begin(store, id, {"query": {}}, sender, len(body), ALLOWED)
    batches.send(store, id, io.BytesIO(body))
    batches.admit(store, id)
    return id


def take(store: Database, worker: str = "a") -> Batch:
    taken = batches.claim(store, worker)
    assert taken is not None
    return taken


def set_row(store: Database, **values: Any) -> None:
    store.run(lambda connection: connection.execute(sa.update(batches.batches).values(values)))


def count_pieces(store: Database) -> int:
    query = sa.select(sa.func.count()).select_from(batches.batch_pieces)
    return store.run(lambda connection: connection.execute(query).scalar_one(), reads=True)


def read_answers(store: Database, id: UUID) -> str:
    return b"".join(batches.read_pieces(store, id, batches.ANSWERED)).decode()


def test_the_body_is_what_was_sent_however_large(store: Database) -> None:
    body = bytes(range(256)) * (PIECE_BYTES // 128) + b"the end"
    id = put(store, body)
    assert body == b"".join(batches.read_pieces(store, id, batches.SENT))
    assert 3 == count_pieces(store)


def test_no_worker_sees_a_batch_before_all_of_it_is_there(store: Database) -> None:
    id = new_id()
    batches.begin(store, id, {}, ADA, 6, ALLOWED)
    batches.send(store, id, io.BytesIO(b"a body"))
    assert batches.claim(store, "a") is None
    assert batches.get(store, id) is None
    batches.admit(store, id)
    assert id == take(store).id


def test_of_many_workers_each_batch_is_taken_by_one(store: Database) -> None:
    ids = [put(store, sender=Sender(None, bytes([place]))) for place in range(12)]

    def work(worker: str) -> list[UUID]:
        taken = []
        while found := batches.claim(store, worker):
            taken.append(found.id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert sorted(ids) == sorted(chain(*pool.map(work, "abcd")))


def test_answers_and_images_are_kept_together_and_in_order(store: Database) -> None:
    id, kept = put(store), make_submission()
    taken = batches.answer(store, take(store), ["1", "2"], 1, [kept])
    taken = batches.answer(store, taken, ["3"], 0, [])
    batches.finish(store, taken)
    found = batches.get(store, id)
    assert found
    assert ("done", 3, 3, 1, "1\n2\n3\n") == (
        *(found.state, found.images, found.answered, found.failed),
        read_answers(store, id),
    )
    assert get_submission(store, kept.id)
    assert [] == list(batches.read_pieces(store, id, batches.SENT)), "the body is erased"


def test_a_worker_that_was_not_heard_of_is_given_up_and_keeps_nothing_more(
    store: Database,
) -> None:
    id, late = put(store), make_submission()
    first = batches.answer(store, take(store), ["1"], 0, [])
    assert batches.claim(store, "b") is None
    set_row(store, heard_at=datetime.now(UTC) - SILENT - timedelta(seconds=1))
    second = take(store, "b")
    assert (1, 1) == (second.answered, second.taken_answered)
    for lost in (
        lambda: batches.answer(store, first, ["late"], 0, [late]),
        lambda: batches.hear(store, first),
        lambda: batches.finish(store, first),
        lambda: batches.count(store, first, 9),
    ):
        with pytest.raises(LostError):
            lost()
    batches.finish(store, batches.answer(store, second, ["2"], 0, []))
    assert "1\n2\n" == read_answers(store, id)
    assert get_submission(store, late.id) is None


def test_one_that_kills_each_worker_fails_and_one_that_advances_does_not(store: Database) -> None:
    id = put(store)
    for attempt in range(MOST_ATTEMPTS):
        taken = take(store)
        assert attempt + 1 == taken.attempts
        set_row(store, heard_at=NOW - 2 * SILENT)
    assert batches.claim(store, "b") is None
    found = batches.get(store, id)
    assert found is not None
    assert found.error is not None
    assert ("failed", "/problems/internal-error") == (found.state, found.error["type"])

    id = put(store)
    for answered in range(2 * MOST_ATTEMPTS):
        taken = take(store)
        assert answered == taken.answered
        batches.answer(store, taken, ["1"], 0, [])
        set_row(store, heard_at=NOW - 2 * SILENT)


def test_one_that_is_given_back_is_taken_at_once_and_that_is_no_attempt(store: Database) -> None:
    put(store)
    for _ in range(MOST_ATTEMPTS + 1):
        taken = take(store)
        assert 1 == taken.attempts
        batches.give_back(store, taken)


def test_a_worker_loses_what_is_erased(store: Database) -> None:
    id = put(store)
    taken = batches.answer(store, take(store), ["1"], 0, [])
    assert batches.erase(store, id)
    assert not batches.erase(store, id)
    with pytest.raises(LostError):
        batches.answer(store, taken, ["2"], 0, [])
    assert (None, 0) == (batches.get(store, id), count_pieces(store))


def test_a_sender_may_keep_so_many_and_so_much_and_others_more(store: Database) -> None:
    for _ in range(ALLOWED.batches):
        put(store)
    with pytest.raises(RateLimitedError, match="3 batches of 18 bytes"):
        put(store)
    put(store, bytes(3 * PIECE_BYTES), NOBODY)
    with pytest.raises(RateLimitedError, match="MAX_ASYNC_BYTES"):
        put(store, bytes(2 * PIECE_BYTES), NOBODY)
    with pytest.raises(TooLargeError, match="MAX_ASYNC_BYTES"):
        put(store, bytes(ALLOWED.bytes + 1), Sender("bob", None))
    put(store, sender=Sender(None, b"another"))


def test_what_is_too_old_is_erased_and_what_is_worked_on_is_not(store: Database) -> None:
    day = timedelta(days=1)
    waits, ended, runs = (put(store, sender=Sender(None, bytes([n]))) for n in range(3))
    begun = new_id()
    batches.begin(store, begun, {}, ADA, 1, ALLOWED)
    batches.give_back(store, take(store))
    set_row(store, requested_at=NOW - timedelta(minutes=61))
    of = batches.batches.c.id
    running = {"state": "running", "worker": "a", "attempts": 1, "heard_at": NOW}
    for id, values in ((ended, {"state": "done", "finished_at": NOW}), (runs, running)):
        query = sa.update(batches.batches).where(of == id).values(values)
        store.run(lambda connection, query=query: connection.execute(query))
    assert 1 == batches.expire(store, day, NOW), "what never arrived"
    set_row(store, requested_at=NOW - 2 * day)
    assert 1 == batches.expire(store, day, NOW)
    assert batches.get(store, waits) is None
    keep_house(store, KeepingLimits(batch_days=1), NOW + timedelta(hours=25))
    assert [None, None] == [batches.get(store, id) for id in (ended, runs)]
    assert 0 == count_pieces(store)
