"""Whoever sends pictures cannot fill the disk."""

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from disks import Disk, mounted
from fakes import make_submission
from waiting import until

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase_for_room
from flaskapi.submissions.housekeeping import KeepingLimits, keep_house
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.room import find_reserve
from flaskapi.submissions.writer import Writer

LOG = logging.getLogger("flaskapi")
MB = 1_000_000


@pytest.fixture
def disk() -> Iterator[Disk]:
    with mounted(24) as disk:
        yield disk


def make_store(folder: Path, free_bytes: int | None = 0) -> Database:
    return Database(f"sqlite:///{folder}/submissions.db", "process", free_bytes=free_bytes)


def picture(kilobytes: int = 100, **changes: str) -> Submission:
    return make_submission(image=os.urandom(kilobytes * 1000), **changes)


def test_the_reserve_is_a_twentieth_of_the_disk_and_a_gibibyte_at_most() -> None:
    assert [50, 1 << 30, 0, 7] == [
        find_reserve(given, disk) for given, disk in ((None, 1000), (None, 1 << 40), (0, 9), (7, 9))
    ]


def test_where_less_is_free_than_the_reserve_nothing_is_kept_and_readiness_says_so(
    tmp_path: Path,
) -> None:
    with closing(make_store(tmp_path, 1 << 60)) as store:
        for ask in (store.check, lambda: store.record([make_submission()])):
            with pytest.raises(StoreUnavailableError, match="KEEP_FREE_BYTES") as caught:
                ask()
        assert not caught.value.lasting


@pytest.mark.mount
def test_keeping_ends_before_the_disk_is_full_and_goes_on_by_itself(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    store = Writer(make_store(disk.path, 8 * MB), LOG, retry_s=60)
    assert 20 < fill(store)
    assert 4 * MB < free_on(disk) < 8 * MB, "a log and a transaction are beyond it"
    assert "but 7 MiB must stay free" in caplog.messages[-1]
    assert store.run(lambda _: 7, reads=True) == 7, "what is kept can be looked up"
    (disk.path / "other").write_bytes(bytes(MB))  # others may still write
    (disk.path / "other").unlink()
    keep_house(store, KeepingLimits(submissions=5))  # though it fails, and is not tried again yet
    store._health._retry_s = store._health._retry_at_s = 0.1

    def keeps() -> bool:
        with contextlib.suppress(StoreUnavailableError):
            return bool(store.record([picture()]))
        return False

    until(keeps)
    until(lambda: any("it can be used again" in line for line in caplog.messages))
    store.close()


def fill(store: Writer) -> int:
    """Keep pictures until no more are kept, and count them."""
    kept = 0
    for _ in range(1000):
        try:
            store.record([picture()])
            kept += 1
        except StoreUnavailableError as error:  # a busy machine may let one wait too long
            if error.only_keeping:
                return kept
    raise AssertionError("Keeping does not end.")


def free_on(disk: Disk) -> int:
    found = os.statvfs(disk.path)
    return found.f_bavail * found.f_frsize


@pytest.mark.mount
def test_the_oldest_go_beyond_a_share_of_the_disk_and_labelled_ones_last(disk: Disk) -> None:
    with closing(make_store(disk.path)) as store:
        labelled = [picture(label="7", label_source="operator") for _ in range(20)]
        others = [picture(label="7", label_source="sender") for _ in range(80)]
        store.record(labelled)
        for one in others:
            store.record([one])
        assert 0 == erase_for_room(store, 1.0)
        assert 0 == keep_house(store, KeepingLimits(disk_share=0.9)).too_many
        assert 0 < keep_house(store, KeepingLimits(disk_share=0.25)).too_many < 80
        assert None not in [get_submission(store, one.id) for one in labelled]
        left = [get_submission(store, one.id) is not None for one in others]
        assert sorted(left) == left, "the youngest are there"
        assert left[-1]
        assert erase_for_room(store, 0.05)
        assert {None} == {get_submission(store, one.id) for one in others}
        left = [get_submission(store, one.id) is not None for one in labelled]
        assert sorted(left) == left
        store.record([picture()])


def test_a_server_looks_after_its_own_disk(url: str) -> None:
    with closing(Database(url, "process", free_bytes=1 << 60)) as store:
        if store.kind == "sqlite":
            pytest.skip("SQLite's disk is this machine's")
        store.record([make_submission()])
        assert 0 == erase_for_room(store, 0.0)
