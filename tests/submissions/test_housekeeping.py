"""Processes take turns to erase what is beyond the limits, by themselves."""

import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from fakes import make_submission
from waiting import until

from flaskapi.submissions.database import Database
from flaskapi.submissions.housekeeping import (
    EVERY,
    Done,
    Housekeeper,
    KeepingLimits,
    keep_house,
    take_turn,
)
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.statistics import summarize_days

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LOG = logging.getLogger("housekeeping")
TAKE = """
import sys
from datetime import datetime
from flaskapi.submissions.housekeeping import take_turn
from flaskapi.submissions.database import Database
store = Database(sys.argv[1], "process")
store.check()
print(flush=True)
sys.stdin.readline()
print(take_turn(store, datetime.fromisoformat(sys.argv[2])))
"""
START = """
import sys, threading
sys.path.insert(0, "tests")
from fakes import FixedClassifier
from flaskapi import create_app
create_app(classifier=FixedClassifier())
print([thread.name for thread in threading.enumerate()].count("housekeeping"))
"""


def test_it_is_due_once_in_ten_minutes_whichever_process_asks(store: Database) -> None:
    assert take_turn(store, NOW)
    assert not take_turn(store, NOW + timedelta(minutes=9))
    assert take_turn(store, NOW + EVERY)
    assert not take_turn(store, NOW + EVERY)


def test_days_that_are_over_are_counted_so_that_nobody_who_asks_has_to_wait(
    store: Database,
) -> None:
    store.record([make_submission(received_at=NOW - timedelta(days=ago)) for ago in (0, 1, 2)])
    keep_house(store, KeepingLimits(), NOW)
    assert 0 == summarize_days(store, NOW)
    assert 1 == summarize_days(store, NOW + timedelta(days=1))


def test_a_clock_that_was_wrong_puts_it_off_for_good_no_more_than_ten_minutes(
    store: Database,
) -> None:
    assert take_turn(store, NOW + timedelta(days=36_500))
    assert take_turn(store, NOW)


@pytest.mark.process
@pytest.mark.parametrize("asked_before", [False, True])
def test_of_several_processes_that_ask_at_once_one_has_its_turn(
    store: Database, url: str, asked_before: bool
) -> None:
    store.check()
    if asked_before:
        take_turn(store, NOW - EVERY)
    command = [sys.executable, "-c", TAKE, url, NOW.isoformat()]
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert "\n" == process.stdout.readline()
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    assert ["False", "False", "False", "True"] == sorted(
        process.communicate(timeout=60)[0].strip() for process in processes
    )


def test_what_is_too_old_goes_and_then_what_is_too_many(store: Database) -> None:
    old = make_submission(id=UUID(int=1 << 80), label="7", label_source="operator")
    labelled = make_submission(label="7", label_source="operator")
    young = [make_submission(image=b"%d" % n) for n in range(4)]
    store.record([old, labelled, *young])
    assert Done(1, 2, True) == keep_house(store, KeepingLimits(days=90, submissions=3))
    assert [None, labelled, None, None, *young[2:]] == [
        get_submission(store, one.id) for one in (old, labelled, *young)
    ]
    done = keep_house(store, KeepingLimits(bytes=1))
    assert Done(0, 2, False) == done
    assert "operators have labelled" in str(done)
    assert Done(0, 0, True) == keep_house(store, KeepingLimits())
    assert labelled == get_submission(store, labelled.id)


def test_the_thread_does_it_when_it_is_due_says_so_and_goes_on_after_an_error(
    store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old = make_submission(id=UUID(int=1 << 80))
    store.record([old])
    broken = Database("sqlite:////proc/none/submissions.db", "process")
    keepers = [
        Housekeeper(one, KeepingLimits(days=90), LOG, look_s=0.05) for one in (store, broken)
    ]
    for keeper in keepers:
        keeper.start()
    until(
        lambda: (
            not get_submission(store, old.id)
            and len([line for line in caplog.messages if "housekeeping was not possible" in line])
            >= 2
        )
    )
    for keeper in keepers:
        keeper.stop()
    assert 1 == len(
        [line for line in caplog.messages if line.startswith("store: erased 1 submissions by age")]
    )


def test_no_request_waits_for_it(store: Database, url: str) -> None:
    """While many are erased, another process keeps something every few milliseconds."""
    store.record(
        [make_submission(id=UUID(int=n << 80), image=b"old %d" % n) for n in range(1, 1501)]
    )
    other, waited_s, is_over = Database(url, "process"), list[float](), threading.Event()

    def write() -> None:
        while not is_over.is_set():
            begun_s = time.monotonic()
            other.record([make_submission()])
            waited_s.append(time.monotonic() - begun_s)

    writer = threading.Thread(target=write)
    writer.start()
    begun_s = time.monotonic()
    try:
        assert 1500 == keep_house(store, KeepingLimits(days=90)).too_old
    finally:
        took_s = time.monotonic() - begun_s
        is_over.set()
        writer.join()
        other.close()
    assert len(waited_s) > 7, "it writes between the transactions"
    assert max(waited_s) < max(0.8, took_s / 4), "on a slow machine everything takes longer"


@pytest.mark.process
@pytest.mark.parametrize(("setting", "expected"), [("on", "1"), ("off", "0")])
def test_the_service_keeps_house_unless_it_is_told_not_to(
    tmp_path: Path, setting: str, expected: str
) -> None:
    environment = os.environ | {
        "FLASKAPI_INSTANCE_PATH": str(tmp_path),
        "FLASKAPI_STORE": "on",
        "FLASKAPI_HOUSEKEEPING": setting,
    }
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert expected == done.stdout.strip()
