"""What cannot be made again is copied while the service runs, and put back whole or not at all."""

import json
import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from backups import POINTER, VERSION, address, empty_again
from databases import Postgres
from fakes import make_submission
from waiting import until

from flaskapi.__main__ import main, make_parser
from flaskapi.commands import find_written
from flaskapi.errors import FlaskapiError
from flaskapi.submissions.database import Database
from flaskapi.submissions.keys import find_key, make_key
from flaskapi.submissions.listing import get_submission


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


def test_a_restore_over_rows_says_that_they_would_be_replaced_not_that_they_differ(
    instance: Path, store: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.record([make_submission()])
    assert 0 == main(["backup", str(tmp_path / "kept")])
    assert 1 == main(["restore", str(tmp_path / "kept")])
    assert "These would be replaced: rows in the table images" in capsys.readouterr().err


def test_a_restore_whose_database_fails_changes_no_key_and_no_setting(
    instance: Path, store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the deployment guide says."""
    store.record([make_submission()])
    assert 0 == main(["backup", str(tmp_path / "kept")])
    (instance / "client.key").write_bytes(b"another" * 5)
    with (instance / "config.toml").open("a") as config:
        config.write("KEEP_DAYS = 9\n")
    before = {path: path.read_bytes() for path in instance.glob("c*.*")}

    def fail(*_: object) -> None:
        raise FlaskapiError("The database cannot be used.")

    monkeypatch.setattr("flaskapi.submissions.backup.put_back", fail)
    assert 1 == main(["restore", str(tmp_path / "kept"), "--overwrite"])
    assert 2 == len(before)
    assert before == {path: path.read_bytes() for path in instance.glob("c*.*")}
