"""Rows go to another database while both are used: all of them, and none that was erased."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from databases import Postgres
from fakes import make_submission

from flaskapi.errors import FlaskapiError
from flaskapi.submissions import batches, changes, moving
from flaskapi.submissions.database import Database
from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.idempotency import KeyedSubmission, record_once
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.keys import make_key, revoke_key
from flaskapi.submissions.labels import Said, say
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.retrainings import request
from flaskapi.submissions.tables import metadata
from flaskapi.submissions.versions import (
    ProcessReport,
    StoredPointer,
    change_stored,
    put_version,
    report_process,
)

SENDER, OPERATOR = Said("4", "sender", client=b"c"), Said("9", "operator", key_name="ada")


@pytest.fixture
def other(url: str, tmp_path: Path, postgres: Postgres) -> str:
    """The address of an empty database of the other kind."""
    if url.startswith("postgresql"):
        return f"sqlite:///{tmp_path}/other.db"
    return postgres.make_database()


@pytest.fixture
def target(other: str) -> Iterator[sa.Engine]:
    engine = make_engine(other, "process")
    moving.find_filled(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def beyond(other: str, target: sa.Engine) -> Iterator[Database]:
    """The target, as a new process has it."""
    store = Database(other, "process")
    yield store
    store.close()


def keep(store: Database, **values: Any) -> UUID:
    sent = make_submission(**values)
    store.record([sent])
    return sent.id


def fill(store: Database) -> list[UUID]:
    """Rows of every table but the one of chores, with what is hard to carry in a column."""
    ids = [
        keep(store, image=bytes(range(256)) * 4, batch=UUID(int=5), confidence=1 / 3),
        keep(store, lines=["1", "2"], digits=[{"box": {"x": 0.1}}], normalized=None),
        keep(store, route="/é\\\t\n'\"", received_at=datetime.now(UTC) - timedelta(days=400)),
    ]
    say(store, ids[0], SENDER)
    say(store, ids[0], OPERATOR)
    for name in ("gone", "ada"):
        make_key(store, name)
    revoke_key(store, "gone")
    request(store, {"epochs": 1}, "ada")
    put_batch(store)
    with_days = metadata.tables["days"], metadata.tables["shadows"]
    once = KeyedSubmission(
        make_submission(), 0, bytes(range(32)), {"digit": 7, "confidence": 1 / 3}
    )
    record_once(store, bytes(32), [once])
    put_version(store, "2026-01-01-00000000", {"my_model.h5": bytes(range(256))})
    assert change_stored(store, StoredPointer(0, None), {"version": "é"})
    report_process(store, ProcessReport("a", 7, "1", "v", 3, None), lambda *_: False)
    store.run(
        lambda connection: [
            connection.execute(
                sa.insert(metadata.tables["outside"]),
                {"place": "ab/cd", "noted_at": datetime.now(UTC), "erasing": True},
            ),
            connection.execute(sa.insert(with_days[0]), {"day": DAY, "summary": {"a": [1, 0.1]}}),
            connection.execute(
                sa.insert(with_days[1]),
                {"submission_id": ids[1], "model": "m", "prediction": "1", "confidence": 0.1},
            ),
        ]
    )
    return ids


def put_batch(store: Database) -> UUID:
    id, body = new_id(), bytes(range(256)) * 2000  # two pieces
    allowed = batches.Allowed(9, 10 * len(body))
    batches.begin(store, id, {"query": {}}, batches.Sender(None, b"x"), len(body), allowed)
    batches.send(store, id, io.BytesIO(body))
    batches.admit(store, id)
    return id


DAY = datetime(2026, 1, 2, tzinfo=UTC).date()


def rows_of(engine: sa.Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {
            name: sorted(map(repr, connection.execute(sa.select(table))))
            for name, table in metadata.tables.items()
        }


def nothing(_: int) -> None:
    """Nobody looks at the progress."""


@pytest.mark.postgres
def test_every_row_of_every_table_arrives_as_it_was(
    store: Database, engine: sa.Engine, target: sa.Engine
) -> None:
    fill(store)
    changes.begin_notes(engine)
    copied = moving.copy(engine, target, nothing)
    assert {"chores"} == {name for name, rows in copied.items() if not rows}
    assert copied == moving.compare(engine, target, nothing)
    assert rows_of(engine) == rows_of(target)
    changes.end_notes(engine)
    assert set(metadata.tables) | {"alembic_version"} >= {
        name for name in sa.inspect(engine).get_table_names() if not name.startswith("sqlite_")
    }, "nothing of the move stays"
    keep(store)


@pytest.mark.postgres
def test_what_changes_meanwhile_arrives_and_what_is_erased_goes(
    store: Database, engine: sa.Engine, target: sa.Engine
) -> None:
    first, *others = fill(store)
    changes.begin_notes(engine)
    moving.copy(engine, target, nothing)
    assert erase(store, first)
    fresh = keep(store, image=b"new")
    say(store, fresh, SENDER)
    say(store, others[0], Said("12", "operator", key_name="ada"))
    moving.compare(engine, target, nothing)  # leaves out what is to be followed
    assert 0 < moving.follow(engine, target)
    assert 0 == moving.follow(engine, target)
    assert rows_of(engine) == rows_of(target)


@pytest.mark.postgres
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE submissions SET confidence = confidence + 1e-12",
        "DELETE FROM keys",
        "INSERT INTO chores (name, due_at) VALUES ('x', '2026-01-01 00:00:00')",
    ],
)
def test_a_row_that_is_not_the_same_is_found(
    store: Database, engine: sa.Engine, target: sa.Engine, damage: str
) -> None:
    fill(store)
    changes.begin_notes(engine)
    moving.copy(engine, target, nothing)
    with target.begin() as connection:
        connection.exec_driver_sql(damage)
    with pytest.raises(FlaskapiError, match=r"is not the same|rows in chores"):
        moving.compare(engine, target, nothing)


@pytest.mark.postgres
def test_what_an_old_process_writes_late_overrules_nothing(
    store: Database, engine: sa.Engine, target: sa.Engine, beyond: Database
) -> None:
    """Both are used for some seconds: new processes have one, old ones the other."""
    erased, both, elsewhere = fill(store)
    changes.begin_notes(engine)
    moving.copy(engine, target, nothing)

    assert erase(beyond, erased)
    say(store, erased, OPERATOR)  # an old process does not know
    say(beyond, both, Said("77", "operator", key_name="ada"))
    say(store, both, Said("12", "sender", client=b"x"))
    assert erase(store, elsewhere)
    revoke_key(store, "ada")
    fresh = keep(store, image=b"sent to both")
    asked = put_batch(store)
    own = keep(beyond, image=b"sent to both")
    say(store, fresh, SENDER)

    assert 0 < moving.follow_late(engine, target)
    assert 0 == moving.follow_late(engine, target)
    assert get_submission(beyond, erased) is None
    assert get_submission(beyond, elsewhere) is None
    assert ["77", "4"] == [
        found.label for id in (both, fresh) if (found := get_submission(beyond, id))
    ]
    assert get_submission(beyond, own)
    assert 2 == len(list(batches.read_pieces(beyond, asked, batches.SENT)))
    with target.connect() as connection:
        table = metadata.tables["keys"]
        assert None not in connection.execute(sa.select(table.c.revoked_at)).scalars().all()
