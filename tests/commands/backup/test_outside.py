"""Images outside the database are backed up and restored with their rows."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from backups import address, empty_again, files_in
from fakes import make_submission
from outsides import later

from flaskapi.__main__ import main
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.housekeeping import KeepingLimits, keep_house
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.outside import erase_noted, stage
from flaskapi.submissions.tables import images


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
