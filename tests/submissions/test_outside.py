"""Large images outside the database, in a folder and in object stores: no row without its image
and no image without its row, whenever a process is killed.
"""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import make_submission
from outsides import ROOT, count_notes, large, later, names_in, rows_of

from flaskapi.errors import SettingError, StoreUnavailableError
from flaskapi.submissions.database import Database
from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.erasing import erase, erase_before
from flaskapi.submissions.exchange import Wanted, keep_labelled, read_wanted
from flaskapi.submissions.housekeeping import KeepingLimits, keep_house
from flaskapi.submissions.listing import find_one, get_submission
from flaskapi.submissions.outside import erase_noted, stage
from flaskapi.submissions.pictures import open_pictures

# Writes an image and erases another, and is killed at one of the steps: before or after each write
# of the database and each of the place.
VICTIM = """
import sys
sys.path.insert(0, "tests")
from uuid import UUID
from fakes import make_submission
from outsides import die_at
from flaskapi.submissions import pictures
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase
url, place, erased, deadly = *sys.argv[1:4], int(sys.argv[4])
store = Database(url, "process", pictures=pictures.open_pictures(place, 100))
store.check()
steps = die_at(deadly)
store.record([make_submission(image=b"written by the victim " * 99)])
erase(store, UUID(erased))
print(steps())
"""


@pytest.fixture
def store(url: str, tmp_path: Path, place: str) -> Iterator[Database]:
    store = Database(url, "process", pictures=open_pictures(place, 100))
    yield store
    store.close()


def test_a_large_image_is_kept_outside_and_a_small_one_in_the_database(
    store: Database, place: str
) -> None:
    one, other = large(), make_submission(image=b"small")
    store.record([one, other])
    assert [one, other] == [get_submission(store, sent.id) for sent in (one, other)]
    (name,) = names_in(place)
    assert {name: hashlib.sha256(one.image).digest()} == rows_of(store)
    assert 0 == count_notes(store)
    assert len(one.image) == find_one(store, one.id)[0]["size_bytes"]
    assert [one, other] == list(read_wanted(store, Wanted()))


def test_an_image_goes_with_the_last_submission_that_has_it(store: Database, place: str) -> None:
    one, other = large(), large()
    for sent in (one, other):
        store.record([sent])
    assert 1 == len(rows_of(store))
    erase(store, one.id)
    assert other == get_submission(store, other.id)
    erase(store, other.id)
    erase_noted(store, later())  # the second was written, and had no row of its own
    assert set() == names_in(place)
    assert 0 == count_notes(store)


def test_old_images_and_those_beyond_a_limit_go_with_their_rows(
    store: Database, place: str
) -> None:
    sent = [large(str(n)) for n in range(4)]
    store.record(sent)
    keep_house(store, KeepingLimits(bytes=3 * len(sent[0].image)))
    assert 3 == len(names_in(place)) == len(rows_of(store))
    erase_before(store, datetime.now(UTC) + timedelta(minutes=1))
    assert set() == names_in(place)


def test_an_import_keeps_large_images_outside_too(store: Database, place: str) -> None:
    one = large(label="7", label_source="operator")
    assert 1 == keep_labelled(store, [one]).kept
    assert [one] == list(read_wanted(store, Wanted()))
    assert 1 == len(names_in(place))


def test_another_image_in_its_place_is_noticed(store: Database, tmp_path: Path) -> None:
    one = large()
    store.record([one])
    (name,) = rows_of(store)
    assert store.pictures
    store.pictures.write(name, b"another")
    with pytest.raises(StoreUnavailableError, match="is damaged"):
        get_submission(store, one.id)
    store.pictures.erase(name)
    with pytest.raises(StoreUnavailableError, match="is missing"):
        get_submission(store, one.id)
    store.pictures = None
    with pytest.raises(StoreUnavailableError, match="PICTURES does not say where"):
        get_submission(store, one.id)


def test_one_that_was_given_up_gets_no_row(store: Database, place: str) -> None:
    """It was written so slowly that housekeeping has erased it."""
    (staged,) = stage(store, [large()])
    erase_noted(store, later())
    assert set() == names_in(place)
    with pytest.raises(StoreUnavailableError, match="too slowly"):
        store.record([staged])
    assert get_submission(store, staged.id) is None


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_nothing_is_kept_that_cannot_be_written_and_erasing_is_made_up_for(
    store: Database, place: str
) -> None:
    gone = large("gone")
    store.record([gone])
    hidden = Path(place).with_name("hidden")
    os.rename(place, hidden)
    Path(place).write_text("no folder")
    lost, small = large("lost"), make_submission(image=b"small")
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        store.record([lost])
    store.record([small])
    assert [None, small] == [get_submission(store, one.id) for one in (lost, small)]
    with pytest.raises(StoreUnavailableError):
        get_submission(store, gone.id)
    assert erase(store, gone.id)
    assert get_submission(store, gone.id) is None
    Path(place).unlink()
    os.rename(hidden, place)
    keep_house(store, KeepingLimits(), later())
    assert set() == names_in(place)
    assert 0 == count_notes(store)


@pytest.mark.process
@pytest.mark.parametrize("place", ["folder", "s3"], indirect=True)
def test_whenever_a_process_is_killed_there_is_neither_a_hole_nor_an_orphan(
    store: Database, url: str, place: str
) -> None:
    """At each step of writing and of erasing."""
    steps, deadly = 99, 0
    while deadly < steps:
        deadly += 1
        erased = large(f"erased {deadly}")
        store.record([erased])
        done = subprocess.run(
            [sys.executable, "-c", VICTIM, url, place, str(erased.id), str(deadly)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            steps = int(done.stdout)
        else:
            assert -signal.SIGKILL == done.returncode, done.stderr
        rows = rows_of(store)
        assert set(rows) <= names_in(place), f"no hole at step {deadly}"
        keep_house(store, KeepingLimits(), later())
        assert set(rows) == names_in(place), f"no orphan at step {deadly}"
        assert 0 == count_notes(store)
        assert store.pictures
        for name, sha256 in rows.items():
            assert sha256 == hashlib.sha256(store.pictures.read(name) or b"").digest()
        for one in read_wanted(store, Wanted()):
            erase(store, one.id)
    assert 12 == steps, "before and after each of six writes"


def test_without_a_library_for_a_place_the_start_says_what_is_missing() -> None:
    with pytest.raises(SettingError, match="a library is missing"):
        open_pictures("nowhere://bucket/folder", 100)


def test_tables_that_cannot_say_where_an_image_is_are_not_gone_back_to(
    tmp_path: Path,
) -> None:
    from flaskapi.submissions.migrate import migrate

    url = f"sqlite:///{tmp_path}/submissions.db"
    store = Database(url, "process", pictures=open_pictures(str(tmp_path / "pictures"), 100))
    store.record([large()])
    store.close()
    engine = make_engine(url, "process")
    with pytest.raises(StoreUnavailableError, match="outside the database"):
        migrate(engine, "r0008")
    engine.dispose()


def test_a_known_image_is_not_written_again(store: Database, place: str) -> None:
    sent = [large() for _ in range(3)]
    for one in sent:
        store.record([one])
    assert 1 == len(names_in(place)) == len(rows_of(store))
    assert 0 == count_notes(store)
    assert sent == [get_submission(store, one.id) for one in sent]


@pytest.mark.parametrize("damage", ["erased", "another"])
def test_a_known_image_that_was_lost_is_mended_when_it_is_sent_again(
    store: Database, place: str, damage: str
) -> None:
    """What is acknowledged can be read."""
    first, second = large(), large()
    store.record([first])
    (name,) = rows_of(store)
    assert store.pictures
    if damage == "erased":
        store.pictures.erase(name)
    else:
        store.pictures.write(name, b"another")
    store.record([second])
    assert [first, second] == [get_submission(store, one.id) for one in (first, second)]
    erase_noted(store)
    assert set(rows_of(store)) == names_in(place)
    assert 0 == count_notes(store)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_one_image_that_cannot_be_erased_keeps_no_other(store: Database, place: str) -> None:
    stuck, *_ = sent = [large(str(n)) for n in range(3)]
    for one in sent:
        store.record([one])
    named = {sha256: name for name, sha256 in rows_of(store).items()}
    path = Path(place) / named[hashlib.sha256(stuck.image).digest()]
    path.unlink()
    (path / "a folder in its place").mkdir(parents=True)
    for one in sent:
        erase(store, one.id)
    assert set() == names_in(place)
    assert 1 == count_notes(store), "it is tried again"
    with pytest.raises(StoreUnavailableError):
        erase_noted(store)
