"""The worker, with children that do in a moment what a training does in minutes."""

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from waiting import until

from flaskapi.learning.watch import Worker, _Said
from flaskapi.submissions import retrainings
from flaskapi.submissions.database import Database
from flaskapi.submissions.retrainings import SILENT, Retraining

pytestmark = pytest.mark.process

DONE = json.dumps(
    {
        "say": "It is better.",
        "done": "promoted",
        "version": "2026-11-25-12345678",
        "figures": {"fixed": 9},
    }
)
Watch = Callable[[str], Worker]


@pytest.fixture
def watch(store: Database) -> Iterator[Watch]:
    """Start a worker whose children run a piece of Python."""
    workers: list[tuple[Worker, threading.Thread]] = []

    def start(code: str) -> Worker:
        program = "import json, os, signal, sys\n" + textwrap.dedent(code)
        worker = Worker(
            store,
            lambda options: [sys.executable, "-c", program, json.dumps(options)],
            hear_s=0.05,
            poll_s=0.05,
        )
        thread = threading.Thread(target=worker.run)
        thread.start()
        workers.append((worker, thread))
        return worker

    yield start
    for worker, thread in workers:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


def wait(store: Database, id: Any, is_so: Callable[[Retraining], bool]) -> Retraining:
    def look() -> Retraining | None:
        found = retrainings.get(store, id)
        assert found is not None
        return found if is_so(found) else None

    found = until(look, why=lambda: retrainings.get(store, id))
    assert found
    return found


def is_over(found: Retraining) -> bool:
    return found.finished_at is not None


def test_a_worker_is_known_to_be_there_before_it_has_anything_to_do(
    store: Database, watch: Watch
) -> None:
    assert retrainings.look(store, datetime.now(UTC)).worker_is_alive is None
    watch("")
    until(lambda: retrainings.look(store, datetime.now(UTC)).worker_is_alive)
    later = datetime.now(UTC) + SILENT + timedelta(seconds=1)
    assert not retrainings.look(store, later).worker_is_alive


def test_progress_and_what_is_said_can_be_watched_and_the_result_is_kept(
    store: Database, watch: Watch, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    os.mkfifo(go_on)
    id = retrainings.request(store, {"since": "2026-11-01"}, None)
    watch(f"""
        print(json.dumps({{"progress": 0.25, "say": "Options: " + sys.argv[1]}}), flush=True)
        print("a library's warning", file=sys.stderr, flush=True)
        open({str(go_on)!r}).read()
        print({DONE!r}, flush=True)
    """)
    found = wait(store, id, lambda found: "warning" in found.log)
    assert ("running", 0.25, 'Options: {"since": "2026-11-01"}\na library\'s warning\n') == (
        found.state,
        found.progress,
        found.log,
    )
    assert found.seconds_left is not None
    go_on.write_text("")
    found = wait(store, id, is_over)
    assert ("promoted", "2026-11-25-12345678", {"fixed": 9}, 1.0, None) == (
        found.state,
        found.version,
        found.figures,
        found.progress,
        found.seconds_left,
    )
    assert found.log.endswith("It is better.\n")


def test_a_candidate_that_does_not_serve_is_said_to_have_stayed(
    store: Database, watch: Watch
) -> None:
    id = retrainings.request(store, {}, None)
    watch(f"print({DONE.replace('promoted', 'stayed')!r})")
    assert "stayed" == wait(store, id, is_over).state


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)",
            "killed, most likely because memory ran out",
            id="out of memory",
        ),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGSEGV)",
            "ended early, by SIGSEGV",
            id="crash",
        ),
        pytest.param(
            "sys.exit('error: [Errno 28] No space left on device')",
            "No space left on device\nThe training ended early, with status 1",
            id="disk full",
        ),
        pytest.param("pass", "ended early, with status 0", id="no result"),
        pytest.param(
            f"print({DONE!r}, flush=True); os.abort()",
            "ended early, by SIGABRT",
            id="a result, and then a crash",
        ),
    ],
)
def test_a_training_that_does_not_end_well_has_failed_and_the_log_says_how(
    store: Database, watch: Watch, code: str, said: str
) -> None:
    id = retrainings.request(store, {}, None)
    after = retrainings.request(store, {}, None)
    watch(code)
    found = wait(store, id, is_over)
    assert ("failed", 1) == (found.state, found.attempts)
    assert said in found.log
    assert found.log.endswith("The serving version is unchanged.\n")
    assert wait(store, after, is_over).state == "failed", "the worker goes on"


def test_a_worker_that_is_stopped_ends_its_child_and_gives_the_request_back(
    store: Database, watch: Watch
) -> None:
    id = retrainings.request(store, {}, None)
    worker = watch("print(os.getpid(), flush=True); signal.pause()")
    child = int(wait(store, id, lambda found: bool(found.log)).log)
    worker.stop()
    found = wait(store, id, lambda found: found.state == "requested")
    assert (0, None) == (found.attempts, found.worker)
    assert not Path(f"/proc/{child}").exists()


def test_a_worker_to_whom_it_does_not_belong_any_more_ends_its_child(
    store: Database, watch: Watch
) -> None:
    id = retrainings.request(store, {}, None)
    watch("print(os.getpid(), flush=True); signal.pause()")
    found = wait(store, id, lambda found: bool(found.log))
    assert retrainings.finish(store, found, "failed", "taken away", version=None, figures=None)
    wait_until_gone(int(found.log))
    found = wait(store, id, is_over)
    assert "taken away" == found.log


def work_for_ever(url: str) -> None:
    """A worker in a process of its own, whose child tells of itself again and again, as a training
    does.
    """
    code = "import os, time\nwhile True: print(os.getpid(), flush=True); time.sleep(0.05)"
    Worker(
        Database(url, "process"),
        lambda options: [sys.executable, "-c", code],
        hear_s=0.05,
        poll_s=0.05,
    ).run()


def test_what_a_killed_worker_had_is_done_by_the_next_and_its_child_ends(
    store: Database, watch: Watch, tmp_path: Path
) -> None:
    id = retrainings.request(store, {}, None)
    worker = multiprocessing.get_context("spawn").Process(
        target=work_for_ever, args=(f"sqlite:///{tmp_path}/submissions.db",)
    )
    worker.start()
    child = int(wait(store, id, lambda found: bool(found.log)).log.split()[0])
    worker.kill()
    worker.join(30)
    wait_until_gone(child)
    long_ago = datetime.now(UTC) - SILENT - timedelta(seconds=1)
    table = retrainings.retrainings
    store.run(lambda connection: connection.execute(sa.update(table).values(heard_at=long_ago)))
    watch(f"print({DONE!r})")
    found = wait(store, id, is_over)
    assert ("promoted", 2) == (found.state, found.attempts)


def wait_until_gone(process: int) -> None:
    until(lambda: not Path(f"/proc/{process}").exists())


def test_the_command_waits_for_requests_and_ends_at_sigterm(
    store: Database, tmp_path: Path
) -> None:
    """With nothing to learn from, which is said without any training."""
    id = retrainings.request(store, {"since": "2026-11-01", "promote": False}, None)
    environment = os.environ | {
        "FLASKAPI_INSTANCE_PATH": str(tmp_path),
        "FLASKAPI_STORE": "on",
        "FLASKAPI_VERSIONS_PATH": "versions",
    }
    command = [sys.executable, "-m", "flaskapi", "retrain", "--watch"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as worker:
        found = wait(store, id, is_over)
        worker.terminate()
        assert 0 == worker.wait(30)
    (reason,) = (found.figures or {})["reasons"]
    assert ("stayed", "There are 0 images that operators labelled; 20 are needed.") == (
        found.state,
        reason.split(" A quarter")[0],
    )
    assert reason in found.log


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        (
            "WARNING: All log messages before absl::InitializeLog() is called are written to ...\n",
            0,
        ),
        (
            "I0000 00:00:1796054118.085055    7297 port.cc:153] oneDNN operations are on.\n",
            0,
        ),
        ("W0000 00:00:1796054118.085055    7297 gpu_device.cc:2342] Cannot dlopen.\n", 0),
        ("E0000 00:00:1796054118.085055    7297 cuda.cc:1] An error stays.\n", 1),
        ("Traceback (most recent call last):\n", 1),
    ],
)
def test_what_tensorflow_tells_of_itself_is_not_in_the_log(line: str, is_kept: int) -> None:
    said = _Said("", 0)
    assert said.read(line, 1)
    assert (line if is_kept else "") == said.log


def test_the_time_that_is_left_follows_from_the_pace_until_now() -> None:
    """It goes down between two reports, and never below nothing."""
    said = _Said("", 1000)
    assert said.read('{"progress": 0.0, "say": "Reading."}', 1005)
    assert said.seconds_left(1010) is None, "no step is done yet"
    assert said.read('{"progress": 0.2, "say": ""}', 1020)
    assert [80, 70, 0] == [said.seconds_left(now_s) for now_s in (1020, 1030, 2000)]
    assert said.read('{"progress": 0.2, "say": "More."}', 1040)
    assert 60 == said.seconds_left(1040), "what is only said is no step"
    assert said.read('{"progress": 0.5, "say": ""}', 1060)
    assert 60 == said.seconds_left(1060)
