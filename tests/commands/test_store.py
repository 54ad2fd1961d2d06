"""`store move`: rows and settings go to another database, or stay as they were."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from databases import Postgres
from fakes import make_submission
from operators import place_empty_store

from flaskapi.__main__ import main
from flaskapi.commands import store as command
from flaskapi.errors import FlaskapiError
from flaskapi.submissions import moving
from flaskapi.submissions.database import Database
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.pictures import open_pictures
from flaskapi.submissions.tables import REVISION
from flaskapi.versions.processes import find_start

pytestmark = pytest.mark.postgres
SETTINGS = '# by hand\nLOG_LEVEL = "ERROR"\n'


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance folder with a setting, and three rows in SQLite."""
    folder = tmp_path / "instance"
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(folder))
    monkeypatch.setenv("FLASKAPI_STORE", "on")
    monkeypatch.setattr(command, "ROLL", tmp_path / "none")
    place_empty_store(folder)
    (folder / "config.toml").write_text(SETTINGS)
    keep(folder, b"a", b"b", b"c")
    return folder


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    url = postgres.make_database()
    yield url
    postgres.drop_database(url)


def original(instance: Path) -> str:
    return f"sqlite:///{instance}/submissions.db"


def keep(instance: Path, *images: bytes, at: str = "") -> list[UUID]:
    store = Database(at or original(instance), "process")
    sent = [make_submission(image=image) for image in images]
    store.record(sent)
    store.close()
    return [one.id for one in sent]


def images_of(url: str) -> list[bytes]:
    store = Database(url, "process")
    found = store.run(
        lambda connection: (
            connection.execute(sa.text("SELECT content FROM images ORDER BY content"))
            .scalars()
            .all()
        ),
        reads=True,
    )
    store.close()
    return [bytes(one) for one in found]


def tables_of(instance: Path) -> list[str]:
    return sa.inspect(sa.create_engine(original(instance))).get_table_names()


def settings(instance: Path) -> dict[str, Any]:
    return tomllib.loads((instance / "config.toml").read_text())


def test_the_service_uses_the_other_database_then_and_can_come_back(
    instance: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["store", "move", url])
    said = capsys.readouterr().out
    assert "all are the same in both" in said
    assert {"LOG_LEVEL": "ERROR", "DATABASE_URL": url} == settings(instance)
    assert "# by hand" in (instance / "config.toml").read_text()
    assert 0o600 == (instance / "config.toml").stat().st_mode & 0o777, "it may have a password"
    assert [b"a", b"b", b"c"] == images_of(url) == images_of(original(instance))
    assert not [name for name in tables_of(instance) if name.startswith("moving")]
    assert not (instance / "moving.json").exists()

    keep(instance, b"d", at=url)
    assert 1 == main(["store", "move", original(instance)])
    assert "has rows, in images, submissions" in capsys.readouterr().err
    assert 0 == main(["store", "move", original(instance), "--overwrite"])
    assert [b"a", b"b", b"c", b"d"] == images_of(original(instance))
    assert original(instance) == settings(instance)["DATABASE_URL"]


@pytest.mark.process
def test_what_an_old_process_keeps_until_it_ends_arrives_too(
    instance: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["sleep", "60"]) as old:
        note = instance / "processes" / "1" / f"{old.pid}.json"
        note.parent.mkdir(parents=True)
        note.write_text(json.dumps({"pid": old.pid, "started": find_start(old.pid)}))
        follow_late, late = moving.follow_late, list[UUID]()

        def follow(source: sa.Engine, target: sa.Engine) -> int:
            if not late:
                assert url == settings(instance)["DATABASE_URL"]
                late.extend(keep(instance, b"late"))
            elif old.poll() is None:
                old.kill()
                old.wait()
                late.extend(keep(instance, b"last"))
            return follow_late(source, target)

        monkeypatch.setattr(moving, "follow_late", follow)
        assert 0 == main(["store", "move", url])
    said = capsys.readouterr().out
    assert "1 processes use the old database" in said
    assert "Restart the service now" in said
    moved = Database(url, "process")
    assert all(get_submission(moved, id) for id in late)
    moved.close()


def test_where_a_row_is_not_the_same_the_service_stays_where_it_is(
    instance: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = moving.copy

    def spoil(source: sa.Engine, target: sa.Engine, tell: Any) -> dict[str, int]:
        copied = copy(source, target, tell)
        with target.begin() as connection:
            connection.exec_driver_sql("UPDATE submissions SET model = 'x'")
        return copied

    monkeypatch.setattr(moving, "copy", spoil)
    assert 1 == main(["store", "move", url])
    assert "is not the same in the copy" in capsys.readouterr().err
    assert SETTINGS == (instance / "config.toml").read_text()
    assert not [name for name in tables_of(instance) if name.startswith("moving")]
    assert not (instance / "moving.json").exists()


# A process that ends, as by `kill -9`, where it would go on with a step of the move.
KILLED = """
import os, sys
from flaskapi.__main__ import main
from flaskapi.submissions import moving
setattr(moving, sys.argv[1], lambda *_: os._exit(9))
main(["store", "move", sys.argv[2]])
"""


@pytest.mark.process
@pytest.mark.parametrize("when", ["copy", "follow_late"])
def test_a_move_that_was_killed_goes_on_or_is_given_up(instance: Path, url: str, when: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, when, url], check=False)
    assert 9 == killed.returncode
    assert (instance / "moving.json").exists()
    keep(instance, b"meanwhile")
    if when == "copy":
        assert 0 == main(["store", "cancel"])
        assert 1 == main(["store", "cancel"])
        assert SETTINGS == (instance / "config.toml").read_text()
    else:
        assert 1 == main(["store", "move", original(instance) + ".other"])
        assert 0 == main(["store", "move", url])
        assert b"meanwhile" in images_of(url)
    assert not (instance / "moving.json").exists()
    assert not [name for name in tables_of(instance) if name.startswith("moving")]


def test_what_cannot_be_moved_is_said_before_anything_is_done(
    instance: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["store", "move", original(instance)])
    assert "uses that database already" in capsys.readouterr().err
    assert 1 == main(["store", "move", url.replace("127.0.0.1:", "127.0.0.1:1")])
    assert "The database cannot be used" in capsys.readouterr().err
    monkeypatch.setenv("FLASKAPI_DATABASE_URL", original(instance))
    assert 1 == main(["store", "move", url])
    assert "The environment says" in capsys.readouterr().err
    for bad in ("mysql://x", "sqlite:///relative.db"):
        with pytest.raises(SystemExit):
            main(["store", "move", bad])
    assert not (instance / "moving.json").exists()


def test_the_tables_go_to_the_version_that_older_code_needs_and_back(
    instance: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was kept stays."""
    for revision in ("r0003", REVISION):
        assert 0 == main(["store", "migrate", revision])
        assert f"are of version {revision}" in capsys.readouterr().out
    assert [b"a", b"b", b"c"] == images_of(original(instance))
    assert 1 == main(["store", "migrate", "r9999"])
    assert "does not know the version r9999" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", 'DATABASE_URL = "sqlite:////a"\n'),
        ("A = 1\nDATABASE_URL='x' # y\nB = 2\n", 'DATABASE_URL = "sqlite:////a"\nA = 1\nB = 2\n'),
        ('A = 1\n[t]\nb = "é"', 'DATABASE_URL = "sqlite:////a"\nA = 1\n[t]\nb = "é"\n'),
        ('A = """\nDATABASE_URL = 1\n"""\n', None),
        ("not toml", None),
    ],
)
def test_one_line_of_the_settings_changes(tmp_path: Path, text: str, made: str | None) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    if made is None:
        with pytest.raises((FlaskapiError, ValueError)):
            command.set_address(path, "sqlite:////a")
    else:
        command.set_address(path, "sqlite:////a")
    assert (made or text) == path.read_text()


def test_a_restore_into_the_database_that_was_left_erases_no_image_of_the_other(
    instance: Path, url: str, tmp_path: Path
) -> None:
    """Both have rows of the images outside."""
    place, config = tmp_path / "pictures", instance / "config.toml"
    config.write_text(f'{SETTINGS}PICTURES = "{place}"\nPICTURES_ABOVE_BYTES = 100\n')
    before = config.read_text()
    assert 0 == main(["backup", str(tmp_path / "kept")])
    sent = make_submission(image=b"large" * 99)
    store = Database(original(instance), "process", pictures=open_pictures(str(place), 100))
    store.record([sent])
    store.close()
    assert 0 == main(["store", "move", url])
    config.write_text(before)
    assert 0 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    moved = Database(url, "process", pictures=open_pictures(str(place), 100))
    assert sent == get_submission(moved, sent.id)
    moved.close()
