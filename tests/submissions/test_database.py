import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import make_submission
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase, erase_before
from flaskapi.submissions.housekeeping import KeepingLimits, keep_house
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.tables import REVISION

DIGITS = [
    {
        "digit": 7,
        "confidence": 0.9,
        "uncertain": False,
        "box": {"x": 1, "y": 2, "width": 3, "height": 4},
    }
]


def count(engine: sa.Engine, table: str) -> int:
    with engine.connect() as connection:
        found: int = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
    return found


def test_what_was_recorded_is_given_back_whole(store: Database) -> None:
    """A digit, and a number of a batch whose sender's clock is elsewhere."""
    there = datetime(2026, 11, 22, 23, 59, 59, 999_999, timezone(timedelta(hours=-9)))
    number = {
        "prediction": "7",
        "probabilities": None,
        "normalized": None,
        "lines": ["7"],
        "digits": DIGITS,
    }
    sent = [
        make_submission(),
        make_submission(received_at=there, batch=new_id(), image=b"another", **number),
    ]
    assert [one.id for one in sent] == store.record(sent)
    assert sent == [get_submission(store, one.id) for one in sent]
    assert (
        datetime(2026, 11, 23, 8, 59, 59, 999_999, UTC)
        == get_submission(store, sent[1].id).received_at
    )


@given(
    st.binary(max_size=3000),
    st.floats(0, 1),
    st.datetimes(timezones=st.just(UTC)),
    st.text(st.characters(exclude_characters="\0", codec="utf-8")),
)
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_bytes_were_sent_are_given_back(
    store: Database, image: bytes, confidence: float, when: datetime, model: str
) -> None:
    sent = make_submission(image=image, confidence=confidence, received_at=when, model=model)
    store.record([sent])
    assert sent == get_submission(store, sent.id)


def test_identical_images_are_stored_once_and_go_with_their_last_submission(
    store: Database, engine: sa.Engine
) -> None:
    same, again, other = sent = [
        make_submission(),
        make_submission(),
        make_submission(image=b"other"),
    ]
    store.record(sent[:1])
    store.record(sent[1:])
    assert (3, 2) == (count(engine, "submissions"), count(engine, "images"))
    assert erase(store, same.id)
    assert get_submission(store, same.id) is None
    assert (again, 2) == (get_submission(store, again.id), count(engine, "images"))
    assert erase(store, again.id)
    assert (other, 1) == (get_submission(store, other.id), count(engine, "images"))
    assert not erase(store, again.id)
    assert get_submission(store, new_id()) is None


def test_many_are_stored_in_one_transaction_or_not_at_all(
    store: Database, engine: sa.Engine
) -> None:
    good = [make_submission(image=bytes([place % 7])) for place in range(500)]
    store.record(good)
    assert (500, 7) == (count(engine, "submissions"), count(engine, "images"))
    with pytest.raises(StoreUnavailableError, match="refuses"):
        store.record([make_submission(image=b"new"), make_submission(model=None)])
    assert (500, 7) == (count(engine, "submissions"), count(engine, "images"))


def test_check_says_by_what_submissions_are_kept_and_leaves_nothing_behind(
    store: Database, engine: sa.Engine
) -> None:
    for thoroughly in (False, True):
        assert {"kind": engine.dialect.name, "version": REVISION} == store.check(
            thoroughly=thoroughly
        )
    assert 0 == count(engine, "images")


@pytest.mark.process
def test_a_forked_process_connects_anew(store: Database) -> None:
    before = make_submission()
    store.record([before])
    child = os.fork()
    if child == 0:
        os._exit(
            0
            if get_submission(store, before.id) == before and store.record([make_submission()])
            else 1
        )
    assert (child, 0) == os.waitpid(child, 0)
    assert before == get_submission(store, before.id)


def test_what_was_sent_is_nobody_elses_on_the_machine_and_erased_from_the_file(
    tmp_path: Path,
) -> None:
    store, secret = (
        Database(f"sqlite:///{tmp_path}/new/submissions.db", "power"),
        b"a secret picture" * 100,
    )
    sent = make_submission(image=secret)
    store.record([sent])
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert any(secret[:16] in path.read_bytes() for path in (tmp_path / "new").iterdir())
    erase(store, sent.id)
    store.close()  # the last connection, with which the log is written into the file and goes
    assert not any(secret[:16] in path.read_bytes() for path in (tmp_path / "new").iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_made_by_root_the_file_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    os.chown(tmp_path / "instance", 12345, 12346)
    store = Database(f"sqlite:///{tmp_path}/instance/submissions.db", "process")
    store.record([make_submission()])
    assert {(12345, 12346)} == {
        (path.stat().st_uid, path.stat().st_gid) for path in (tmp_path / "instance").iterdir()
    }
    store.close()


@pytest.mark.parametrize(
    "address", ["sqlite:////proc/none/submissions.db", "postgresql://postgres@127.0.0.1:1/none"]
)
def test_a_database_that_is_not_there_is_an_error_of_one_line(address: str) -> None:
    with pytest.raises(StoreUnavailableError, match=r"^The store cannot be used: .") as caught:
        Database(address, "process").record([make_submission()])
    assert "\n" not in str(caught.value)


def test_what_is_older_than_a_moment_is_erased_and_nothing_else(
    store: Database, engine: sa.Engine
) -> None:
    """More than go in one transaction; an image that a younger submission has too stays."""
    old = [
        make_submission(id=UUID(int=n << 80), image=b"shared" if n % 2 else b"old %d" % n)
        for n in range(1, 451)
    ]
    young = make_submission(image=b"shared")
    store.record(old)
    store.record([young])
    assert 450 == erase_before(store, datetime.now(UTC) - timedelta(days=1))
    assert young == get_submission(store, young.id)
    assert (1, 1) == (count(engine, "submissions"), count(engine, "images"))
    assert 0 == erase_before(store, datetime.now(UTC) - timedelta(days=1))


def test_what_was_erased_while_somebody_read_goes_with_the_housekeeping(tmp_path: Path) -> None:
    """A reader keeps SQLite's log from being emptied."""
    path = tmp_path / "submissions.db"
    store = Database(f"sqlite:///{path}", "process")
    sent = make_submission(image=b"erased by its id" * 50)
    store.record([sent])
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM submissions").fetchone()
        assert erase(store, sent.id)
    keep_house(store, KeepingLimits())
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"erased by its" not in left
    store.close()


def test_no_database_is_made_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "submissions.db").symlink_to(tmp_path / "elsewhere")
    store = Database(f"sqlite:///{tmp_path}/submissions.db", "process")
    with pytest.raises(StoreUnavailableError, match="remove the link"):
        store.check()
    assert not (tmp_path / "elsewhere").exists()


def test_nothing_of_what_was_erased_stays_in_a_file(tmp_path: Path) -> None:
    """While another process has the database open, as the service has."""
    path, other = (
        tmp_path / "submissions.db",
        Database(f"sqlite:///{tmp_path}/submissions.db", "process"),
    )
    store = Database(f"sqlite:///{path}", "process")
    sent = [
        make_submission(image=b"erased by its id" * 50),
        make_submission(image=b"erased by its age" * 50),
    ]
    other.record(sent)
    assert erase(store, sent[0].id)
    assert 1 == erase_before(store, datetime.now(UTC) + timedelta(days=1))
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"erased by its" not in left
    store.close()
    other.close()


def test_what_may_have_been_committed_is_not_done_again(store: Database) -> None:
    """Where the connection is lost while the answer to a commit is on its way."""
    done: list[int] = []

    def lose(connection: sa.Connection) -> None:
        raise sa.exc.OperationalError(
            "COMMIT", {}, OSError("The server closed the connection."), connection_invalidated=True
        )

    store.check()
    sa.event.listen(store._ready_engine(), "commit", lose)
    with pytest.raises(StoreUnavailableError):
        store.run(lambda connection: done.append(1))
    assert [1] == done
