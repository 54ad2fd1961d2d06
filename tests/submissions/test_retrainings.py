"""A request for a retraining is taken by one worker, and again where that one is not heard of any
more.
"""

import contextlib
import multiprocessing
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from waiting import PATIENCE_S

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import retrainings
from flaskapi.submissions.database import Database
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.retrainings import LOG_CHARACTERS, MOST_ATTEMPTS, SILENT, Retraining


def silence(engine: sa.Engine, by: timedelta = SILENT + timedelta(seconds=1)) -> None:
    """Let every worker have been silent for so long."""
    with engine.begin() as connection:
        table = retrainings.retrainings
        connection.execute(sa.update(table).values(heard_at=datetime.now(UTC) - by))


def take(store: Database, worker: str = "a") -> Retraining:
    taken = retrainings.claim(store, worker)
    assert taken is not None
    return taken


def test_a_request_is_kept_and_found_by_its_id(store: Database) -> None:
    id = retrainings.request(store, {"since": "2026-11-01"}, "ada")
    found = retrainings.get(store, id)
    assert found is not None
    assert ("requested", {"since": "2026-11-01"}, "ada", 0, 0.0, "") == (
        *(
            found.state,
            found.options,
            found.requested_by,
            found.attempts,
            found.progress,
            found.log,
        ),
    )
    assert abs(found.requested_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert retrainings.get(store, new_id()) is None


def test_requests_are_taken_in_their_order_and_each_once(store: Database) -> None:
    ids = [retrainings.request(store, {}, None) for _ in range(3)]
    assert ids == [take(store, worker).id for worker in "aba"]
    assert retrainings.claim(store, "a") is None


def take_all(
    url: str, worker: str, start: "threading.Barrier", found: "multiprocessing.Queue[str]"
) -> None:
    store = Database(url, "process")
    start.wait(3 * PATIENCE_S)
    while True:
        with contextlib.suppress(StoreUnavailableError):  # others hold it, on a slow machine
            if (taken := retrainings.claim(store, worker)) is None:
                break
            found.put(str(taken.id))
    store.close()


@pytest.mark.process
def test_of_four_processes_that_ask_at_once_each_request_goes_to_one(
    store: Database, url: str
) -> None:
    ids = [str(retrainings.request(store, {}, None)) for _ in range(40)]
    store.close()
    spawn = multiprocessing.get_context("spawn")
    start, found = spawn.Barrier(4), spawn.Queue()
    processes = [
        spawn.Process(target=take_all, args=(url, f"worker {place}", start, found), daemon=True)
        for place in range(4)
    ]
    for process in processes:
        process.start()
    taken = [found.get(timeout=3 * PATIENCE_S) for _ in ids]
    for process in processes:
        process.join(PATIENCE_S)
        assert 0 == process.exitcode
    assert (sorted(ids), True) == (sorted(taken), found.empty())


def test_what_a_worker_tells_is_there_to_be_read(store: Database) -> None:
    retrainings.request(store, {}, None)
    taken = take(store)
    assert retrainings.hear(store, taken, 0.5, "x" * LOG_CHARACTERS + "the end")
    found = retrainings.get(store, taken.id)
    assert found is not None
    assert ("running", 0.5, LOG_CHARACTERS) == (found.state, found.progress, len(found.log))
    assert found.log.endswith("the end")
    assert retrainings.finish(
        store, taken, "stayed", "said why", version="2026-11-25-12345678", figures={"fixed": 3}
    )
    found = retrainings.get(store, taken.id)
    assert found is not None
    assert ("stayed", 1.0, "said why", "2026-11-25-12345678", {"fixed": 3}) == (
        *(found.state, found.progress, found.log, found.version, found.figures),
    )
    assert found.finished_at is not None
    assert retrainings.claim(store, "b") is None


def test_the_time_that_is_left_goes_down_until_it_is_given_back(
    store: Database, engine: sa.Engine
) -> None:
    id = retrainings.request(store, {}, None)
    taken = take(store)
    assert taken.seconds_left is None
    assert retrainings.hear(store, taken, 0.5, "", 60)
    found = retrainings.get(store, id)
    assert found is not None
    assert 0 < (found.seconds_left or 0) <= 60
    with engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(seconds=5)
        connection.execute(sa.update(retrainings.retrainings).values(ends_at=past))
    assert 0 == getattr(retrainings.get(store, id), "seconds_left", None), "it takes longer"
    assert retrainings.give_back(store, taken)
    assert take(store).seconds_left is None


def test_what_a_silent_worker_had_is_taken_again_and_no_longer_its_own(
    store: Database, engine: sa.Engine
) -> None:
    retrainings.request(store, {}, None)
    first = take(store, "a")
    silence(engine, SILENT - timedelta(seconds=30))
    assert retrainings.claim(store, "b") is None
    silence(engine)
    second = take(store, "b")
    assert (first.id, 2) == (second.id, second.attempts)
    assert not retrainings.hear(store, first, 0.9, "late")
    assert not retrainings.finish(store, first, "promoted", "late", version=None, figures=None)
    assert not retrainings.give_back(store, first)
    assert retrainings.hear(store, second, 0.1, "")


def test_a_sign_of_life_keeps_it(store: Database, engine: sa.Engine) -> None:
    retrainings.request(store, {}, None)
    taken = take(store)
    silence(engine)
    assert retrainings.hear(store, taken, 0.1, "")
    assert retrainings.claim(store, "b") is None


def test_after_three_workers_it_has_failed_and_the_next_request_gets_its_turn(
    store: Database, engine: sa.Engine
) -> None:
    id, after = (retrainings.request(store, {}, None) for _ in range(2))
    for attempt in range(MOST_ATTEMPTS):
        taken = take(store)
        assert (id, attempt + 1) == (taken.id, taken.attempts)
        silence(engine)
    assert after == take(store).id
    found = retrainings.get(store, id)
    assert found is not None
    assert "failed" == found.state
    assert "3 workers took it, and none reported again" in found.log


def test_what_is_given_back_is_taken_by_the_next_and_counts_as_no_attempt(
    store: Database,
) -> None:
    id = retrainings.request(store, {}, None)
    for _ in range(MOST_ATTEMPTS + 1):
        taken = take(store)
        assert (id, 1) == (taken.id, taken.attempts)
        assert retrainings.give_back(store, taken)
    found = retrainings.get(store, id)
    assert found is not None
    assert "requested" == found.state


@pytest.mark.parametrize("state", ["promoted", "stayed", "failed"])
def test_what_is_finished_is_not_taken_again(
    store: Database, engine: sa.Engine, state: str
) -> None:
    retrainings.request(store, {}, None)
    assert retrainings.finish(store, take(store), state, "", version=None, figures=None)
    silence(engine)
    assert retrainings.claim(store, "b") is None
