"""Images that were kept before `PICTURES` said where go there, and back, while others are kept and
erased, and whenever the process is killed.
"""

import hashlib
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import make_submission
from outsides import ROOT, count_notes, large, later, names_in, rows_of
from waiting import until

from flaskapi.errors import FlaskapiError, StoreUnavailableError
from flaskapi.submissions import changes
from flaskapi.submissions.database import Database
from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.housekeeping import KeepingLimits, keep_house
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.outside import erase_noted
from flaskapi.submissions.pictures import Pictures, open_pictures
from flaskapi.submissions.relocating import bring, count_misplaced

# Brings one image where it belongs, and is killed at one of the steps.
VICTIM = """
import sys
sys.path.insert(0, "tests")
from outsides import die_at
from flaskapi.submissions import pictures
from flaskapi.submissions.database import Database
from flaskapi.submissions.relocating import bring
url, place, above, deadly = *sys.argv[1:3], *map(int, sys.argv[3:])
store = Database(url, "process", pictures=pictures.open_pictures(place, above))
store.check()
steps = die_at(deadly)
assert 1 == len(list(bring(store, above)))
print(steps())
"""


@pytest.fixture
def store(url: str, place: str) -> Iterator[Database]:
    store = Database(url, "process", pictures=open_pictures(place, 100))
    yield store
    store.close()


def keep_inside(store: Database, *kept: bytes) -> None:
    """Keep images in the database, as before the setting was set."""
    pictures, store.pictures = store.pictures, None
    for image in kept:
        store.record([make_submission(image=image)])
    store.pictures = pictures


def test_those_above_the_size_go_out_and_come_back(store: Database, place: str) -> None:
    sent = [large(str(n)) for n in range(3)] + [make_submission(image=b"small")]
    pictures, store.pictures = store.pictures, None
    store.record(sent)
    store.pictures = pictures
    assert 3 == count_misplaced(store, 100)
    assert [True] * 3 == [one.goes_out for one in bring(store, 100)]
    assert set(rows_of(store)) == names_in(place)
    assert 3 == len(names_in(place))
    assert 0 == count_misplaced(store, 100) == len(list(bring(store, 100)))
    assert sent == [get_submission(store, one.id) for one in sent]
    assert [False] * 3 == [one.goes_out for one in bring(store, None)]
    assert set() == names_in(place)
    assert 0 == count_notes(store)
    store.pictures = None
    assert sent == [get_submission(store, one.id) for one in sent]


def test_those_below_a_size_that_was_raised_come_back(store: Database, place: str) -> None:
    small, other = make_submission(image=b"s" * 150), make_submission(image=b"l" * 250)
    store.record([small, other])
    assert 2 == len(names_in(place))
    assert [hashlib.sha256(small.image).digest()] == [one.sha256 for one in bring(store, 200)]
    assert 1 == len(names_in(place))
    assert [small, other] == [get_submission(store, one.id) for one in (small, other)]


@pytest.mark.process
@pytest.mark.parametrize("place", ["folder", "s3"], indirect=True)
@pytest.mark.parametrize(("above", "steps"), [(100, 6), (10_000, 6)], ids=["out", "back"])
def test_whenever_it_is_killed_there_is_neither_a_hole_nor_an_orphan(
    store: Database, url: str, place: str, above: int, steps: int
) -> None:
    """And the next goes on where it was."""
    for deadly in range(1, steps + 2):
        one = large(f"step {deadly}")
        if above == 100:
            pictures, store.pictures = store.pictures, None
            store.record([one])
            store.pictures = pictures
        else:
            store.record([one])
        arguments = [url, place, str(above), str(deadly)]
        done = subprocess.run(
            [sys.executable, "-c", VICTIM, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if deadly > steps:
            assert (0, f"{steps}\n") == (done.returncode, done.stdout), done.stderr
        else:
            assert -signal.SIGKILL == done.returncode, done.stderr
        assert set(rows_of(store)) <= names_in(place), f"no hole at step {deadly}"
        assert one == get_submission(store, one.id)
        keep_house(store, KeepingLimits(), later())
        assert set(rows_of(store)) == names_in(place), f"no orphan at step {deadly}"
        assert one == get_submission(store, one.id)
        list(bring(store, above))
        assert 0 == count_misplaced(store, above)
        assert one == get_submission(store, one.id)
        assert (above == 100) == bool(names_in(place))
        erase(store, one.id)
        assert 0 == count_notes(store)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_meanwhile_images_are_kept_again_looked_at_and_erased(
    store: Database, url: str, place: str
) -> None:
    pictures = [b"%03d" % n * 200 for n in range(40)]
    keep_inside(store, *pictures)
    is_over, kept, failures = threading.Event(), list[object](), list[Exception]()

    def use() -> None:
        other = Database(url, "process", patience_s=20, pictures=open_pictures(place, 100))
        try:
            while not is_over.is_set():
                for picture in pictures:
                    one = make_submission(image=picture)
                    other.record([one])
                    assert one == get_submission(other, one.id)
                    kept.append(one)
                    if len(kept) % 2:
                        erase(other, one.id)
        except Exception as error:
            failures.append(error)
        other.close()

    thread = threading.Thread(target=use)
    thread.start()
    mine = Database(url, "process", patience_s=20, pictures=open_pictures(place, 100))
    try:
        for above in (100, None, 100):
            before = len(kept)
            list(bring(mine, above))
            until(lambda before=before: len(kept) > before + 5 or failures)
    finally:
        is_over.set()
        thread.join()
        mine.close()
    assert [] == failures
    list(bring(store, 100))
    keep_house(store, KeepingLimits(), later())
    assert set(rows_of(store)) == names_in(place)
    assert 40 == len(names_in(place))
    assert 0 == count_notes(store)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_one_image_at_a_time_is_in_memory(store: Database) -> None:
    size_bytes, many = 2_000_000, 12
    keep_inside(store, *(b"%02d" % n * (size_bytes // 2) for n in range(many)))
    for above in (100, None):
        tracemalloc.start()
        assert many == sum(1 for _ in bring(store, above))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6 * size_bytes


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_what_is_lost_is_told_and_the_others_come_back(store: Database, place: str) -> None:
    sent = [large(str(n)) for n in range(3)]
    for one in sent:
        store.record([one])
    gone, damaged, _ = sorted(Path(place) / name for name in names_in(place))
    gone.unlink()
    damaged.write_bytes(b"another")
    found = {one.sha256: one.lost for one in bring(store, None)}
    said = [found[hashlib.sha256(one.image).digest()] for one in sent]
    assert said[0] is not None
    assert "is missing" in said[0]
    assert said[1] is not None
    assert "is damaged" in said[1]
    assert said[2] is None
    assert {damaged.relative_to(place).as_posix()} == names_in(place)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_one_that_was_given_up_stays_in_the_database(
    store: Database, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written so slowly that housekeeping has erased it."""
    one = large()
    keep_inside(store, one.image)
    write = Pictures.write

    def write_slowly(self: Pictures, name: str, content: bytes) -> None:
        write(self, name, content)
        erase_noted(store, later())

    monkeypatch.setattr(Pictures, "write", write_slowly)
    assert [] == list(bring(store, 100))
    assert 1 == count_misplaced(store, 100)
    assert set() == names_in(place)
    assert 0 == count_notes(store)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_one_that_is_erased_meanwhile_leaves_nothing(
    store: Database, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = large()
    pictures, store.pictures = store.pictures, None
    store.record([one])
    store.pictures = pictures
    write = Pictures.write

    def write_late(self: Pictures, name: str, content: bytes) -> None:
        write(self, name, content)
        erase(store, one.id)

    monkeypatch.setattr(Pictures, "write", write_late)
    assert [] == list(bring(store, 100))
    assert set() == names_in(place)
    assert 0 == count_notes(store)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_while_the_rows_are_moved_no_image_is(store: Database, url: str) -> None:
    keep_inside(store, large().image)
    engine = make_engine(url, "process")
    changes.begin_notes(engine)
    try:
        with pytest.raises(FlaskapiError, match="being moved"):
            list(bring(store, 100))
    finally:
        changes.end_notes(engine)
        engine.dispose()


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_where_the_place_fails_the_rest_stays(store: Database, place: str) -> None:
    one = large()
    keep_inside(store, one.image)
    Path(place).write_text("no folder")
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        list(bring(store, 100))
    assert 1 == count_misplaced(store, 100)
