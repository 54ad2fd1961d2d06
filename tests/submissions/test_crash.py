"""Processes that write, killed and in each other's way, and databases that go away: what was
answered is there.
"""

import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from databases import Postgres
from fakes import make_submission
from waiting import PATIENCE_S, command_line, pass_time, until

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.database import Database
from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.tables import images, submissions
from flaskapi.submissions.writer import Writer

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
# Three threads write as those of a web process do, each its own images, and print each id once they
# have it. They go on for a while, and until each has kept something a few times; what is slow
# is waited for here.
WRITER = """
import hashlib, logging, os, sys, threading, time
sys.path.insert(0, "tests")
from fakes import make_submission
from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.database import Database
from flaskapi.submissions.writer import Writer
logging.basicConfig()
url, seconds, patience_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
database = Database(url, "process", patience_s=patience_s)
store = Writer(database, logging.getLogger("store"), wait_s=patience_s)
until_s = time.monotonic() + seconds
def write(thread):
    count = kept = 0
    while time.monotonic() < until_s or kept < 10:
        count += 1
        image = b"the same for all"
        if count % 2:
            image = f"{os.getpid()} {thread} {count}".encode() * 50
        sha256 = hashlib.sha256(image).hexdigest()
        many = [make_submission(image=image, model=sha256) for _ in range(1 + count % 3)]
        try:
            store.record(many)
        except StoreUnavailableError as error:
            os.write(2, f"{error}\\n".encode())
            time.sleep(0.01)  # what the database needs to recover is not taken from it
        else:
            os.write(1, "".join(f"{one.id}\\n" for one in many).encode())
            kept += 1
threads = [threading.Thread(target=write, args=(thread,)) for thread in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def start(url: str, seconds: float, folder: Path, name: str) -> "subprocess.Popen[bytes]":
    with (
        (folder / f"{name}.ids").open("wb") as ids,
        (folder / f"{name}.errors").open("wb") as errors,
    ):
        command = [sys.executable, "-c", WRITER, url, str(seconds), str(PATIENCE_S)]
        return subprocess.Popen(command, cwd=ROOT, stdout=ids, stderr=errors)


def answered(folder: Path) -> list[UUID]:
    """The ids that were answered; a last line that is cut off was not."""
    return [
        UUID(line.strip())
        for path in folder.glob("*.ids")
        for line in path.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    ]


def check_all_are_there_and_whole(folder: Path, engine: sa.Engine) -> int:
    """Every answered id has its row, each row its image, each image its submission."""
    ids = answered(folder)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # All is read as of one moment: a killed writer's commit may still be under way. SQLite
            # lets nobody write meanwhile.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows = connection.execute(
            sa.select(submissions.c.id, submissions.c.model, images.c.sha256).join(images)
        ).all()
        found = {row.id: row for row in rows}
        assert set() == set(ids) - set(found)
        assert all(row.model == row.sha256.hex() for row in rows), (
            "each has the image that it was sent with"
        )
        assert (
            len(rows)
            == connection.execute(sa.select(sa.func.count()).select_from(submissions)).scalar()
        )
        assert {row.sha256 for row in rows} == set(
            connection.execute(sa.select(images.c.sha256)).scalars()
        )
        if connection.dialect.name == "sqlite":
            assert "ok" == connection.exec_driver_sql("PRAGMA integrity_check").scalar()
    assert len(set(ids)) == len(ids)
    return len(ids)


def wait_for_ids(folder: Path, count: int) -> None:
    until(lambda: len(answered(folder)) >= count)


def test_what_was_answered_survives_the_killing_of_writing_processes(
    store: Database, url: str, engine: sa.Engine, tmp_path: Path
) -> None:
    store.check()
    for attempt in range(3):
        writers = [start(url, 20, tmp_path, f"{attempt}-{place}") for place in range(2)]
        wait_for_ids(tmp_path, (attempt + 1) * 150)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        assert check_all_are_there_and_whole(tmp_path, engine) >= (attempt + 1) * 150


def test_eight_processes_write_at_once_and_none_finds_the_database_locked(
    store: Database, url: str, engine: sa.Engine, tmp_path: Path
) -> None:
    store.check()
    writers = [start(url, 1, tmp_path, str(place)) for place in range(8)]
    try:
        assert [0] * 8 == [writer.wait(3 * PATIENCE_S) for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    said = "".join(path.read_text() for path in tmp_path.glob("*.errors"))
    assert not any(word in said for word in ("locked", "deadlock", "Traceback")), said
    assert 8 == len(list(tmp_path.glob("*.ids")))
    assert all(path.read_text().count("\n") >= 3 * 10 for path in tmp_path.glob("*.ids"))
    assert check_all_are_there_and_whole(tmp_path, engine) >= 8 * 3 * 10


@pytest.mark.postgres
@pytest.mark.parametrize("victim", ["one connection's process", "the whole server"])
def test_what_was_answered_survives_the_killing_of_postgresql(
    postgres: Postgres, tmp_path: Path, victim: str
) -> None:
    """PostgreSQL ends all connections where one process of it was killed, and starts them anew;
    writers go on by themselves.
    """
    url = postgres.make_database()
    store = Database(url, "process")
    store.check()
    store.close()
    writers = [start(url, 20, tmp_path, str(place)) for place in range(2)]
    wait_for_ids(tmp_path, 100)
    if victim == "the whole server":
        postgres.kill()
        postgres.start()
    else:
        os.kill(
            next(
                process
                for process in postgres.processes()
                if b"postgres: postgres test_" in command_line(process)
            ),
            signal.SIGKILL,
        )
    wait_for_ids(tmp_path, len(answered(tmp_path)) + 100)
    for writer in writers:
        writer.kill()
        writer.wait()
    postgres.wait_until_it_answers()
    engine = make_engine(url, "process")
    check_all_are_there_and_whole(tmp_path, engine)
    engine.dispose()


@pytest.mark.postgres
def test_a_server_that_stands_still_keeps_no_request_waiting_and_is_used_again_when_it_goes_on(
    postgres: Postgres,
) -> None:
    """Stopped, as by a frozen machine: connections stay open, and nothing answers. Then gone, which
    refuses them; then back.
    """
    database = Database(postgres.make_database(), "process")
    store = Writer(database, logging.getLogger("flaskapi"), retry_s=0.3)
    assert store.record([make_submission()])
    processes = postgres.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    check_none_waits(store)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # one that ended by itself
            os.kill(process, signal.SIGCONT)
    wait_until_it_keeps(store)
    postgres.stop()
    check_none_waits(store)
    postgres.start()
    wait_until_it_keeps(store)
    store.close()


@pytest.mark.postgres
def test_a_server_that_was_started_anew_between_two_requests_costs_no_receipt(
    postgres: Postgres,
) -> None:
    store = Database(postgres.make_database(), "process")
    store.record([make_submission()])
    postgres.stop()
    postgres.start()
    assert store.record([make_submission()])
    store.close()


def check_none_waits(store: Writer) -> None:
    for _ in range(5):
        begun_s = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            store.record([make_submission()])
        assert time.monotonic() - begun_s < 1


def wait_until_it_keeps(store: Writer) -> None:
    def keeps() -> bool:
        with contextlib.suppress(StoreUnavailableError):
            return bool(store.record([make_submission()]))
        return False

    until(keeps, every_s=0.1)


def test_a_full_disk_is_said_and_is_over_when_there_is_room_again(tmp_path: Path) -> None:
    """Full by a limit of its pages. Nothing is half stored: of what did not fit neither the image
    nor the submission is there.
    """
    database = Database(f"sqlite:///{tmp_path}/submissions.db", "process")
    store = Writer(database, logging.getLogger("flaskapi"), retry_s=0.1)
    store.check()

    def set_limit(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA max_page_count = 20")

    store.close()
    sa.event.listen(sa.Engine, "connect", set_limit)
    try:
        with pytest.raises(StoreUnavailableError, match="full"):
            store.record([make_submission(image=bytes(1_000_000))])
        with pytest.raises(StoreUnavailableError, match="full"):
            store.check()
        pass_time(0.15)  # then it is tried again
        with pytest.raises(StoreUnavailableError, match="full"):
            store.check()
    finally:
        sa.event.remove(sa.Engine, "connect", set_limit)
    store.close()
    wait_until_it_keeps(store)
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "submissions.db")) as connection:
        assert [(1, 1)] == connection.execute(
            "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM submissions)"
        ).fetchall()


def test_a_database_that_may_only_be_read_or_is_in_the_middle_of_something_is_said_in_time(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite:///{tmp_path}/submissions.db", "process")
    store = Writer(database, logging.getLogger("flaskapi"), retry_s=0.1)
    assert store.record([make_submission()])
    with contextlib.closing(
        sqlite3.connect(tmp_path / "submissions.db", isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        check_none_waits(store)
    wait_until_it_keeps(store)
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "submissions.db")) as other:
        other.execute("PRAGMA journal_mode = DELETE")

    def forbid(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA query_only = ON")

    sa.event.listen(sa.Engine, "connect", forbid)
    try:
        with pytest.raises(StoreUnavailableError, match="readonly"):
            store.record([make_submission()])
    finally:
        sa.event.remove(sa.Engine, "connect", forbid)
    store.close()
    wait_until_it_keeps(store)
    store.close()
