"""What cannot be made again is copied while the service runs, and put back whole or not at all."""

import hashlib
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from databases import Postgres
from fakes import make_submission
from outsides import later
from waiting import until

from flaskapi.__main__ import main, make_parser
from flaskapi.commands import find_written
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.housekeeping import KeepingLimits, keep_house
from flaskapi.submissions.keys import find_key, make_key
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.outside import erase_noted, stage
from flaskapi.submissions.pictures import open_pictures
from flaskapi.submissions.tables import images

VERSION = "2026-01-01-00000000"
POINTER = json.dumps({"version": VERSION, "generation": 3})


@pytest.fixture
def instance(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance folder with a key, a setting and a version; its database is of either kind."""
    folder = tmp_path / "instance"
    use(monkeypatch, folder)
    version = folder / "versions" / VERSION
    version.mkdir(parents=True)
    (version / "my_model.h5").write_bytes(b"a model")
    (version / "submissions.csv").write_text("id\n")
    (folder / "versions" / "serving.json").write_text(POINTER)
    (folder / "client.key").write_bytes(bytes(32))
    address = f"sqlite:///{folder}/submissions.db" if url.startswith("sqlite") else url
    (folder / "config.toml").write_text(f'LOG_LEVEL = "ERROR"\nDATABASE_URL = "{address}"\n')
    return folder


@pytest.fixture
def store(instance: Path) -> Iterator[Database]:
    with closing(Database(address(instance), "process")) as store:
        yield store


@pytest.fixture
def outside(instance: Path, store: Database) -> Path:
    """The folder of the images outside the database."""
    with (instance / "config.toml").open("a") as config:
        config.write('PICTURES = "pictures"\nPICTURES_ABOVE_BYTES = 100\n')
    store.pictures = open_pictures(str(instance / "pictures"), 100)
    return instance / "pictures"


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(folder))
    monkeypatch.setenv("FLASKAPI_STORE", "on")


def address(instance: Path) -> str:
    (line,) = [
        line for line in (instance / "config.toml").read_text().splitlines() if "DATABASE" in line
    ]
    return line.split('"')[1]


def empty_again(url: str) -> None:
    """What a new machine has."""
    if url.startswith("sqlite"):
        for path in Path(url.removeprefix("sqlite:///")).parent.glob("submissions.db*"):
            path.unlink()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")


def test_on_another_machine_everything_is_as_it_was(
    instance: Path, store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of each kind, with bytes, line ends and a label; settings, key and versions."""
    sent = [
        make_submission(),
        make_submission(image=b"\\.\t\n\0" * 9, route="/x\t\\", lines=["1"], digits=[], label="1"),
    ]
    store.record(sent)
    token = make_key(store, "ada", scopes=["label"])
    assert 0 == main(["backup", str(tmp_path / "kept")])
    store.close()
    empty_again(address(instance))
    config = (instance / "config.toml").read_text()
    for path in (instance / "config.toml", instance / "client.key"):
        path.unlink()
    (instance / "versions").rename(tmp_path / "gone")
    assert 0 == main(["restore", str(tmp_path / "kept")])
    assert sent == [get_submission(store, one.id) for one in sent]
    key = find_key(store, token)
    assert key is not None
    assert "label" == key.scopes
    assert config == (instance / "config.toml").read_text()
    assert bytes(32) == (instance / "client.key").read_bytes()
    assert b"a model" == (instance / "versions" / VERSION / "my_model.h5").read_bytes()
    assert POINTER == (instance / "versions" / "serving.json").read_text()
    assert 0o600 == stat.S_IMODE((instance / "client.key").stat().st_mode)
    store.record([make_submission()])


def test_nobody_else_can_read_a_backup(instance: Path, store: Database, tmp_path: Path) -> None:
    store.record([make_submission()])
    assert 0 == main(["backup", str(tmp_path / "a" / "kept")])
    for path in (tmp_path / "a" / "kept", *(tmp_path / "a" / "kept").rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert expected == stat.S_IMODE(path.stat().st_mode), path


def test_it_is_of_one_moment_while_others_write(
    instance: Path, store: Database, tmp_path: Path
) -> None:
    """No submission without its image, and those whose receipts came before are all there."""
    is_over, done = threading.Event(), list[int]()
    before = [make_submission(image=b"%d" % n) for n in range(50)]
    store.record(before)

    def write() -> None:
        with closing(Database(address(instance), "process")) as other:
            while not is_over.is_set():
                other.record([make_submission(image=os.urandom(5000))])
                done.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: done)
        assert [0] * 3 == [main(["backup", str(tmp_path / f"kept{n}")]) for n in range(3)]
        until(lambda: len(done) > 3)
    finally:
        is_over.set()
        writer.join()
    counts = [
        json.loads((tmp_path / f"kept{n}" / "backup.json").read_text())["database"]["rows"]
        for n in range(3)
    ]
    assert sorted(counts, key=lambda rows: rows["submissions"]) == counts
    for rows in counts:
        assert 50 <= rows["submissions"] == rows["images"]


def test_what_is_there_is_written_over_only_where_that_is_asked_for(
    instance: Path, store: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service has the database open meanwhile, and goes on with what was put back."""
    old, new = make_submission(), make_submission(image=b"new")
    store.record([old])
    assert 0 == main(["backup", str(tmp_path / "kept")])
    store.record([new])
    (instance / "client.key").write_bytes(b"1" * 32)
    assert 1 == main(["restore", str(tmp_path / "kept")])
    said = capsys.readouterr().err
    assert "restore --overwrite" in said
    assert "client.key" in said
    assert (old, new) == (get_submission(store, old.id), get_submission(store, new.id))
    assert b"1" * 32 == (instance / "client.key").read_bytes()
    assert 0 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    assert (old, None) == (get_submission(store, old.id), get_submission(store, new.id))
    assert bytes(32) == (instance / "client.key").read_bytes()
    store.record([new])
    assert new == get_submission(store, new.id)


@pytest.mark.parametrize("harm", ["cut", "changed", "missing", "more", "no list", "link"])
def test_a_backup_that_is_not_whole_changes_nothing(
    instance: Path,
    store: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: str,
) -> None:
    kept = make_submission()
    store.record([kept])
    assert 0 == main(["backup", str(tmp_path / "kept")])
    path = max((tmp_path / "kept" / "database").iterdir(), key=lambda path: path.stat().st_size)
    if harm == "cut":
        os.truncate(path, path.stat().st_size - 1)
    elif harm == "changed":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm == "missing":
        path.unlink()
    elif harm == "more":
        (tmp_path / "kept" / "instance" / "other.toml").write_text("")
    elif harm == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / "kept" / "backup.json").unlink()
    assert 1 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    assert "backup" in capsys.readouterr().err
    assert kept == get_submission(store, kept.id)


@pytest.mark.parametrize("part", ["format", "revision"])
def test_what_is_newer_than_the_code_is_refused(
    instance: Path,
    store: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: str,
) -> None:
    store.record([make_submission()])
    assert 0 == main(["backup", str(tmp_path / "kept")])
    path = tmp_path / "kept" / "backup.json"
    listed = json.loads(path.read_text())
    if part == "format":
        listed["format"] = 3
    else:
        listed["database"]["revision"] = "r9999"
    path.write_text(json.dumps(listed))
    assert 1 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    assert "newer than this code" in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_left_alone_and_an_error_leaves_nothing(
    instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert 1 == main(["backup", str(tmp_path / "full")])
    assert ["x"] == [path.name for path in (tmp_path / "full").iterdir()]
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    capsys.readouterr()
    assert 1 == main(["backup", str(tmp_path / "link")])
    assert "link exists already" in capsys.readouterr().err
    before = sorted(tmp_path.iterdir())
    assert 1 == main(["backup", str(tmp_path / "kept")])  # there is no database yet
    assert "no database yet" in (said := capsys.readouterr().err) or "no tables" in said
    assert before == sorted(tmp_path.iterdir())


@pytest.mark.postgres
def test_what_is_counted_otherwise_than_listed_changes_nothing(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flaskapi.errors import FlaskapiError
    from flaskapi.submissions.backup import copy_database, put_back

    url = postgres.make_database()
    with closing(Database(url, "process")) as store:
        kept = make_submission()
        store.record([kept])
        copied = copy_database(url, tmp_path)
        (tmp_path / "submissions.copy").write_bytes(b"")
        with pytest.raises(FlaskapiError, match="nothing was changed"):
            put_back(url, tmp_path, copied)
        assert kept == get_submission(store, kept.id)


def test_a_backup_of_older_tables_is_brought_up_to_date(
    instance: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was made by the code before this, which knew no scopes."""
    from flaskapi.submissions.engine import make_engine
    from flaskapi.submissions.migrate import migrate

    with closing(Database(address(instance), "process")) as store:
        token = make_key(store, "ada")
    engine = make_engine(address(instance), "process")
    migrate(engine, "r0004")
    engine.dispose()
    assert 0 == main(["backup", str(tmp_path / "kept")])
    listed = json.loads((tmp_path / "kept" / "backup.json").read_text())
    assert "r0004" == listed["database"]["revision"]
    assert 0 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    with closing(Database(address(instance), "process")) as store:
        key = find_key(store, token)
        assert key is not None
        assert "operate" == key.scopes
    if address(instance).startswith("sqlite"):
        with closing(sqlite3.connect(instance / "submissions.db")) as connection:
            assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_of_backups_with_a_time_for_a_name_the_newest_stay(
    instance: Path, store: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What else lies in the folder is nobody's to remove."""
    folder = tmp_path / "backups"
    others = {"by-hand", "2026-01-01T000000Z", "2026-99-99T000000Z"}  # the second is no backup
    old = [f"2026-0{month}-01T030000Z" for month in (1, 2, 3)]
    for name in (*others, *old):
        (folder / name).mkdir(parents=True)
    for name in (*old, "by-hand", "2026-99-99T000000Z"):
        (folder / name / "backup.json").write_text("{}")
    store.record([make_submission()])
    into = make_parser().parse_args(["backup", str(folder), "--keep", "2"])
    assert [folder] == list(find_written(into)), "the folder above need not be writable"
    assert 0 == main(["backup", str(folder), "--keep", "2"])
    (new,) = {path.name for path in folder.iterdir()} - others - set(old)
    assert {*others, old[2], new} == {path.name for path in folder.iterdir()}
    assert "Removed" in capsys.readouterr().out
    assert 0 == main(["restore", str(folder / new), "--overwrite"])
    for bad in ("0", "-1", "x", "²"):
        with pytest.raises(SystemExit):
            main(["backup", str(folder), "--keep", bad])


def test_images_outside_the_database_are_in_it_too(
    instance: Path, store: Database, outside: Path, tmp_path: Path
) -> None:
    sent = [make_submission(image=b"%d" % n * 999) for n in range(3)]
    store.record(sent)
    assert 0 == main(["backup", str(tmp_path / "kept")])
    store.close()
    empty_again(address(instance))
    outside.rename(tmp_path / "gone")
    assert 0 == main(["restore", str(tmp_path / "kept")])
    assert sent == [get_submission(store, one.id) for one in sent]


def test_a_backup_goes_on_where_images_are_missing_and_says_so(
    store: Database, outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So does its list, and whoever restores it."""
    sent = [make_submission(image=b"%d" % n * 999) for n in range(3)]
    for one in sent:
        store.record([one])
    gone, damaged, whole = files_in(outside)
    gone.unlink()
    damaged.write_bytes(b"another")
    assert 3 == main(["backup", str(tmp_path / "kept")])
    said = capsys.readouterr()
    assert "2 images are missing or damaged" in said.out
    listed = json.loads((tmp_path / "kept" / "backup.json").read_text())
    for one, path in zip(sent, (gone, damaged), strict=False):
        assert f"Submissions: {one.id}" in said.err
        name = path.relative_to(outside).as_posix()
        assert [str(one.id)] == {
            entry["image"]: entry["submissions"] for entry in listed["missing"]
        }[name]
    assert [whole.name] == [path.name for path in files_in(tmp_path / "kept" / "pictures")]
    for path in (damaged, whole):
        path.unlink()
    assert 3 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    assert "2 images are missing or damaged" in capsys.readouterr().out
    assert sent[2] == get_submission(store, sent[2].id)


def test_the_newest_backup_that_lacks_no_image_is_not_removed(
    store: Database, outside: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    store.record([make_submission(image=b"7" * 999)])
    for name in ("2026-01-01T030000Z", "2026-01-02T030000Z"):
        assert 0 == main(["backup", str(folder / name)])
    files_in(outside)[0].unlink()
    assert 3 == main(["backup", str(folder), "--keep", "1"])
    names = sorted(path.name for path in folder.iterdir())
    assert 2 == len(names)
    assert "2026-01-02T030000Z" == names[0]


def test_images_that_move_or_go_while_a_backup_is_made_leave_no_hole(
    store: Database, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are those of one moment; one of them was erased before its image was copied."""
    from flaskapi.commands.backup import pictures

    kept, erased, moved = (make_submission(image=b"%d" % n * 999) for n in range(3))
    store.record([kept, erased, moved])
    copy_pictures = pictures.copy_pictures

    def change_and_copy(*arguments: Any) -> Any:
        erase(store, erased.id)
        lost = files_in(outside)[-1]
        lost.write_bytes(b"another")
        (one,) = [
            one for one in (kept, moved) if hashlib.sha256(one.image).digest() == of[lost.name]
        ]
        store.record([make_submission(image=one.image)])  # mends it, under another name
        erase_noted(store)
        return copy_pictures(*arguments)

    query = sa.select(images.c.place, images.c.sha256)
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    of = {Path(row.place).name: row.sha256 for row in rows}
    monkeypatch.setattr(pictures, "copy_pictures", change_and_copy)
    assert 0 == main(["backup", str(tmp_path / "kept")])
    listed = json.loads((tmp_path / "kept" / "backup.json").read_text())
    assert [hashlib.sha256(erased.image).hexdigest()] == listed["erased"]
    assert 0 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    expected = [kept, None, moved]
    assert expected == [get_submission(store, one.id) for one in (kept, erased, moved)]


def test_a_restore_over_rows_says_that_they_would_be_replaced_not_that_they_differ(
    instance: Path, store: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.record([make_submission()])
    assert 0 == main(["backup", str(tmp_path / "kept")])
    assert 1 == main(["restore", str(tmp_path / "kept")])
    assert "These would be replaced: rows in the table images" in capsys.readouterr().err


def test_a_restore_erases_images_outside_that_are_newer_than_the_backup(
    instance: Path, store: Database, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And keeps those of the backup, and the one that is being written."""
    kept, newer = (make_submission(image=name * 999) for name in (b"kept", b"newer"))
    store.record([kept])
    assert 0 == main(["backup", str(instance.parent / "kept")])
    there = set(files_in(outside))
    store.record([newer])
    (written,) = stage(store, [make_submission(image=b"written" * 999)])
    assert 3 == len(files_in(outside))
    assert 0 == main(["restore", str(instance.parent / "kept"), "--overwrite"])
    assert "Meanwhile" not in capsys.readouterr().out
    assert there | {outside / str(written.place)} == set(files_in(outside))
    store.record([written])
    assert [kept, None, written._replace(place=None)] == [
        get_submission(store, one.id) for one in (kept, newer, written)
    ]
    keep_house(store, KeepingLimits(), later())
    assert 2 == len(files_in(outside))


def test_a_restore_waits_for_nobody_who_writes_and_for_no_whole_index(
    instance: Path, store: Database, outside: Path
) -> None:
    """What is damaged is why one restores."""
    if not address(instance).startswith("sqlite"):
        pytest.skip("it is a file that is damaged")
    kept, newer = (make_submission(image=name * 999) for name in (b"kept", b"newer"))
    store.record([kept])
    assert 0 == main(["backup", str(instance.parent / "kept")])
    store.record([newer])
    store.close()
    path = instance / "submissions.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'ix_images_place'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    assert 0 == main(["restore", str(instance.parent / "kept"), "--overwrite"])
    assert [kept, None] == [get_submission(store, one.id) for one in (kept, newer)]


@pytest.mark.parametrize("name", ["DATABASE_URL", "PICTURES"])
def test_a_restore_that_would_serve_another_place_is_refused(
    name: str, instance: Path, store: Database, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after `store move`: the rows would go into one database, and the service use the other."""
    store.record([make_submission(image=b"kept" * 999)])
    assert 0 == main(["backup", str(instance.parent / "kept")])
    there, config = files_in(outside), instance / "config.toml"
    other = {"DATABASE_URL": address(instance) + "2", "PICTURES": "elsewhere"}[name]
    old = {"DATABASE_URL": address(instance), "PICTURES": "pictures"}[name]
    config.write_text(config.read_text().replace(f'"{old}"', f'"{other}"'))
    assert 1 == main(["restore", str(instance.parent / "kept"), "--overwrite"])
    assert f"have another {name} than {config}" in capsys.readouterr().err
    assert there == files_in(outside)
    assert other in config.read_text()
