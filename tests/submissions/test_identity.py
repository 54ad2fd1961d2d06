"""SQLite's file is deleted or replaced under a service that has it open."""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fakes import make_submission
from operators import place_empty_store
from waiting import until

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.database import Database
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.writer import Writer

LOG = logging.getLogger("flaskapi")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "instance" / "submissions.db"


@pytest.fixture
def store(path: Path) -> Iterator[Database]:
    place_empty_store(path.parent)
    store = Database(f"sqlite:///{path}", "process")
    store.record([make_submission()])
    yield store
    store.close()


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()


def delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def replace(path: Path) -> None:
    copy = path.with_suffix(".copy")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    copy.replace(path)


def move_folder(path: Path) -> None:
    shutil.copytree(path.parent, path.parent.with_name("copy"))
    path.parent.rename(path.parent.with_name("away"))
    path.parent.with_name("copy").rename(path.parent)


CHANGES = [delete, delete_all, delete_log, replace, move_folder]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_kept_in_a_file_that_nobody_finds_again(
    store: Database, path: Path, change: Callable[[Path], None]
) -> None:
    change(path)
    for ask in (
        lambda: store.record([make_submission()]),
        store.check,
        lambda: store.run(lambda connection: None, reads=True),
    ):
        with pytest.raises(StoreUnavailableError, match="Put the same file back") as caught:
            ask()
        assert caught.value.lasting


def test_what_goes_while_it_is_committed_has_no_receipt(store: Database, path: Path) -> None:
    """Between the look before a transaction and its commit."""
    with pytest.raises(StoreUnavailableError, match="was deleted"):
        store.run(lambda connection: path.unlink())


def test_the_same_file_put_back_is_used_again(store: Database, path: Path) -> None:
    away = path.with_suffix(".away")
    path.rename(away)
    with pytest.raises(StoreUnavailableError):
        store.record([make_submission()])
    away.rename(path)
    kept = make_submission()
    store.record([kept])
    with closing(Database(f"sqlite:///{path}", "process")) as other:
        assert kept == get_submission(other, kept.id)


@pytest.mark.parametrize("change", [delete, delete_all, replace, move_folder])
def test_a_new_process_goes_on_with_what_is_there_and_damages_nothing(
    store: Database, path: Path, change: Callable[[Path], None]
) -> None:
    """The log of the old database is not read into the new one.

    Where only the log went, SQLite itself refuses a new process until the old ones are gone.
    """
    for number in range(200):
        store.record([make_submission(image=b"%d" % number)])
    change(path)
    with pytest.raises(StoreUnavailableError):
        store.check()
    kept = make_submission()
    with closing(Database(f"sqlite:///{path}", "process")) as other:
        other.record([kept])
        assert kept == get_submission(other, kept.id)
        with pytest.raises(StoreUnavailableError):
            store.record([make_submission()])
        with closing(sqlite3.connect(path)) as connection:
            assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()


def test_a_connection_that_is_made_anew_alarms_nobody(store: Database, path: Path) -> None:
    """With its last connection SQLite removes its log, and the next one makes another."""
    for _ in range(3):
        store._ready_engine().dispose()
        store.record([make_submission()])


def test_an_idle_process_notices_within_a_second_and_says_what_to_do(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Writer(Database(f"sqlite:///{path}", "process"), LOG)
    store.record([make_submission()])
    path.unlink()
    until(lambda: caplog.records, 1)
    assert [logging.ERROR] == [record.levelno for record in caplog.records]
    assert "restart the service" in caplog.messages[0]
    with pytest.raises(StoreUnavailableError) as caught:
        store.record([make_submission()])
    assert caught.value.lasting
    assert 1 == len(caplog.records), "it is said once"
    store.close()
