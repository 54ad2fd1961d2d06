import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import make_submission
from operators import place_empty_store
from waiting import pass_time, until

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Submission, writer
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.health import State
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.pictures import Pictures
from flaskapi.submissions.tables import submissions
from flaskapi.submissions.writer import Writer

LOG = logging.getLogger("flaskapi")


class FakeDatabase:
    """Keeps submissions in a list, one list for each transaction; waits while `held`, raises
    `error` while there is one.
    """

    def __init__(self) -> None:
        self.transactions: list[list[Submission]] = []
        self.asked: list[list[Submission]] = []  # to keep, whether or not it has done so yet
        self.error: Exception | None = None
        self.free = threading.Event()
        self.free.set()
        self.checks: list[bool] = []

    def record(self, kept: list[Submission]) -> list[UUID | None]:
        self.asked.append(kept)
        self.free.wait(10)
        if self.error:
            raise self.error
        self.transactions.append(kept)
        return [one.id for one in kept]

    def check(self, *, thoroughly: bool = False) -> dict[str, Any]:
        self.checks.append(thoroughly)
        if self.error:
            raise self.error
        return {"kind": "fake"}

    def run(self, work: Callable[[Any], Any], *, reads: bool = False, erases: bool = False) -> Any:
        self.free.wait(10)
        return work(None)

    def check_file(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


def make_store(database: FakeDatabase, *, wait_s: float = 5, retry_s: float = 0.1) -> Writer:
    return Writer(database, LOG, wait_s=wait_s, retry_s=retry_s)


def waiting(store: Writer) -> int:
    """How many submissions wait for their turn."""
    return sum(len(job.submissions) for job in list(store._jobs))


def keeps_again(store: Writer) -> bool:
    with contextlib.suppress(StoreUnavailableError):
        kept = make_submission()
        return [kept.id] == store.record([kept])
    return False


def test_each_request_gets_the_ids_of_its_own_submissions_though_they_are_written_together(
    database: FakeDatabase,
) -> None:
    store = make_store(database)
    database.free.clear()
    sent = [[make_submission() for _ in range(1 + place % 3)] for place in range(12)]
    with ThreadPoolExecutor(12) as requests:
        answers = [requests.submit(store.record, ones) for ones in sent]
        count = sum(map(len, sent))
        until(lambda: sum(map(len, database.asked)) + waiting(store) == count)
        database.free.set()
        assert [[one.id for one in ones] for ones in sent] == [
            answer.result() for answer in answers
        ]
    assert len(database.transactions) <= 3


def test_no_request_waits_for_a_store_that_does_not_answer_and_it_recovers_by_itself(
    database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store(database, wait_s=0.4)
    database.free.clear()
    for most_s in (5, 0.3):  # the first waits in vain, the others are told so at once
        begun_s = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="did not answer within"):
            store.record([make_submission()])
        assert time.monotonic() - begun_s < most_s
    with pytest.raises(StoreUnavailableError):
        store.check()
    database.free.set()
    until(lambda: keeps_again(store))
    assert [logging.ERROR, logging.WARNING] == [record.levelno for record in caplog.records], (
        "a line when it fails, a line when it is back"
    )


@pytest.mark.parametrize(
    "error", [StoreUnavailableError("The disk is full."), RuntimeError("a fault of ours")]
)
def test_a_failure_is_told_to_all_and_tried_again_after_a_while(
    database: FakeDatabase, error: Exception
) -> None:
    store = make_store(database)
    database.error = error
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            store.record([make_submission()])
    database.error = None
    with pytest.raises(StoreUnavailableError):
        store.record([make_submission()])
    until(lambda: keeps_again(store))


def test_after_a_failure_a_check_tries_to_write_so_that_readiness_alone_brings_the_store_back(
    database: FakeDatabase,
) -> None:
    store = make_store(database)
    assert {"kind": "fake"} == store.check()
    database.error = StoreUnavailableError("The disk is full.")
    with pytest.raises(StoreUnavailableError):
        store.record([make_submission()])
    with pytest.raises(StoreUnavailableError, match="full"):
        store.check()

    def tries_to_write() -> bool:
        with pytest.raises(StoreUnavailableError, match="full"):
            store.check()
        return database.checks[1:] == [True]

    until(tries_to_write)
    database.error = None

    def is_back() -> bool:
        with contextlib.suppress(StoreUnavailableError):
            return {"kind": "fake"} == store.check()
        return False

    until(is_back)
    assert [False, True, True] == database.checks
    assert store.record([make_submission()])


def test_who_asks_for_something_waits_no_longer_for_a_database_that_hangs_than_who_keeps_something(
    database: FakeDatabase,
) -> None:
    store = make_store(database, wait_s=0.1, retry_s=60)
    assert 7 == store.run(lambda _: 7)
    database.free.clear()
    begun_s = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.1 s"):
        store.run(lambda _: 7)
    assert time.monotonic() - begun_s < 5  # the database waits for 10
    with pytest.raises(StoreUnavailableError):  # now everybody knows
        store.record([make_submission()])
    database.free.set()


def test_long_work_is_waited_for_and_what_it_raises_is_raised(database: FakeDatabase) -> None:
    store = make_store(database, wait_s=0.05)
    assert 7 == store.run(lambda _: pass_time(0.3) or 7, long=True)
    for long in (False, True):
        with pytest.raises(ZeroDivisionError):
            store.run(lambda _: 1 // 0, long=long)


def test_what_requests_keep_at_about_the_same_time_goes_into_one_transaction(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "COMPANY_S", 60)
    store, both_are_there = make_store(database), threading.Barrier(2)

    def keep(before: int) -> None:
        with store.expect():
            both_are_there.wait()
            until(lambda: waiting(store) == before)
            store.record([make_submission()])

    with ThreadPoolExecutor(2) as requests:
        list(requests.map(keep, [0, 1]))
    assert [2] == [len(kept) for kept in database.transactions]


def test_a_request_that_keeps_nothing_after_all_is_waited_for_no_longer(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "COMPANY_S", 60)
    store = make_store(database)
    with ThreadPoolExecutor(1) as requests:
        with store.expect():
            kept = requests.submit(lambda: keep_one(store))
            until(lambda: waiting(store) == 1 and store._waits_for_company)
            assert not database.transactions
        assert kept.result(5)


def test_a_request_that_takes_long_is_not_waited_for_again_and_again(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(database)
    monkeypatch.setattr(writer, "COMPANY_S", 0.001)
    with store.expect():
        for _ in range(writer.MOST_IN_VAIN):
            keep_one(store)
        monkeypatch.setattr(writer, "COMPANY_S", 60)
        assert keep_one(store)


def keep_one(store: Writer) -> list[UUID | None]:
    with store.expect():
        return store.record([make_submission()])


def test_much_to_read_takes_its_time_without_keeping_others_from_keeping(
    database: FakeDatabase,
) -> None:
    store = make_store(database, wait_s=0.1, retry_s=60)
    has_read_all = threading.Event()
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        store.run(lambda _: has_read_all.wait(10), reads=True)
    assert keep_one(store)
    has_read_all.set()


@pytest.mark.parametrize("ask", [get_submission, erase])
def test_no_request_waits_for_an_image_or_an_erasure_in_a_database_that_hangs(
    database: FakeDatabase, ask: Callable[[Writer, UUID], Any]
) -> None:
    database.free.clear()
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        ask(make_store(database, wait_s=0.1), make_submission().id)
    database.free.set()


def test_the_states_follow_each_other_as_the_table_says(database: FakeDatabase) -> None:
    store = make_store(database, retry_s=60)
    assert store.state is State.WORKING
    database.error = StoreUnavailableError("It is down.")
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="It is down"):
            keep_one(store)
        assert store.state is State.FAILING
    store = make_store(database, retry_s=0)
    with pytest.raises(StoreUnavailableError):
        keep_one(store)
    database.error = None
    assert keep_one(store)
    assert store.state is State.WORKING


def test_where_no_thread_can_be_started_it_is_tried_again(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(database)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse_to_start)
        for ask in (keep_one, lambda store: store.run(lambda _: 7)):
            with pytest.raises(StoreUnavailableError, match="no thread"):
                ask(store)
    assert keep_one(store)


def refuse_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_what_waits_when_a_store_is_closed_is_told_and_the_next_use_starts_anew(
    database: FakeDatabase,
) -> None:
    store = make_store(database, wait_s=1)
    database.free.clear()
    with ThreadPoolExecutor(2) as requests:
        first = requests.submit(store.record, [make_submission()])
        until(lambda: database.asked)
        second = requests.submit(store.record, [make_submission()])
        until(lambda: waiting(store) == 1)
        closing = threading.Thread(target=store.close)
        closing.start()
        until(lambda: store._thread is None)
        database.free.set()
        closing.join()
        assert first.result()
        with pytest.raises(StoreUnavailableError, match="closed"):
            second.result()
    assert keep_one(store)


def test_what_is_committed_has_its_receipt_though_a_check_beside_it_fails(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(database)

    def fail(*, thoroughly: bool = False) -> dict[str, Any]:
        raise StoreUnavailableError("The disk is full.")

    monkeypatch.setattr(database, "check", fail)
    database.free.clear()
    with ThreadPoolExecutor(3) as requests:
        requests.submit(store.record, [make_submission()])
        until(lambda: database.asked)
        kept, checked = (
            requests.submit(store.record, [make_submission()]),
            requests.submit(store.check),
        )
        until(lambda: len(store._jobs) == 2)
        database.free.set()
        assert kept.result()
        with pytest.raises(StoreUnavailableError):
            checked.result()


class HeldPlace:
    """A place that writes nothing before it is free, and then fails while there is an error."""

    def __init__(self) -> None:
        self.free, self.names = threading.Event(), list[str]()
        self.error: Exception | None = OSError("It is full.")
        self.free.set()

    def write(self, name: str, content: bytes) -> None:
        self.names.append(name)
        self.free.wait(10)
        if self.error:
            raise self.error

    def read(self, name: str) -> bytes:
        raise FileNotFoundError

    def erase(self, name: str) -> None:
        pass


def test_a_place_for_large_images_that_fails_or_hangs_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends a large one waits for a while, and the next ones are refused at once."""
    monkeypatch.setattr(writer, "PICTURE_WAIT_S", 0.2)
    place_empty_store(tmp_path)
    place = HeldPlace()
    pictures = Pictures(place, 100)
    database = Database(f"sqlite:///{tmp_path}/submissions.db", "process", pictures=pictures)
    store = Writer(database, LOG, retry_s=0.5, pictures=pictures)
    large, small = make_submission(image=b"7" * 101), make_submission(image=b"7" * 100)
    with pytest.raises(StoreUnavailableError, match="It is full"):
        store.record([large])
    with pytest.raises(StoreUnavailableError, match="It is full"):
        store.record([large])
    assert 1 == len(place.names), "the second was refused at once"
    assert [small.id] == store.record([small])
    pass_time(0.5)
    place.free.clear()
    with pytest.raises(StoreUnavailableError, match=r"within 0.2 s"):
        store.record([large])
    assert [None] != store.record([make_submission(image=b"small")])
    place.error = None
    place.free.set()
    until(lambda: _is_kept(store, large))
    assert large.id in [*store.run(_ids, reads=True)]
    store.close()


def _is_kept(store: Writer, one: Submission) -> bool:
    with contextlib.suppress(StoreUnavailableError):
        store.record([one])
        return True
    return False


def _ids(connection: sa.Connection) -> list[UUID]:
    return list(connection.execute(sa.select(submissions.c.id)).scalars())
