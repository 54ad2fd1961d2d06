"""The worker of asynchronous batches as a process beside a real server: killed, stopped and
started again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from archives import make_zip
from fakes import draw_digit, encode
from servers import Server, free_port, stop, wait_until_it_answers
from waiting import until

from flaskapi.__main__ import main
from flaskapi.submissions import batches
from flaskapi.submissions.database import Database
from flaskapi.submissions.tables import submissions

ROOT = Path(__file__).parents[2]
DRAWN = [encode(draw_digit(digit, side=28 + side)) for side in range(8) for digit in range(10)]
MANY = make_zip(
    [(f"{n}.png", DRAWN[n % len(DRAWN)] if n % 50 else b"no picture") for n in range(2500)]
)
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def started(url: str, tmp_path: Path) -> Iterator[Start]:
    """Start programs of this checkout on one store, each stopped at the end."""
    names = {"INSTANCE_PATH": tmp_path, "STORE": "on", "DATABASE_URL": url}
    settings = {f"FLASKAPI_{name}": str(value) for name, value in names.items()}
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.fixture
def server(started: Start, tmp_path: Path) -> Server:
    port = free_port()
    process = started("deploy/serve", f"127.0.0.1:{port}")
    return wait_until_it_answers(Server(port, process, tmp_path))


@contextmanager
def opened(url: str) -> Iterator[Database]:
    store = Database(url, "process")
    yield store
    store.close()


def send(server: Server) -> str:
    asked = {"Content_Type": "application/zip", "Prefer": "respond-async"}
    answer = server.ask("/predict/batch", MANY, **asked)
    assert 202 == answer.status
    return str(answer.headers["Location"])


def wait(server: Server, address: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        state: dict[str, Any] = server.ask(address).json
        return state if is_so(state) else None

    found = until(look, why=lambda: server.ask(address).body)
    assert found
    return found


def is_over(state: dict[str, Any]) -> bool:
    return state["results"] is not None


def without_ids(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for one in results:
        one.pop("id", None)
        one.get("error", {}).pop("request_id", None)
    return results


@pytest.mark.process
def test_another_worker_goes_on_where_one_was_killed(
    started: Start, server: Server, url: str
) -> None:
    """No image is answered twice or left out, and each is kept once."""
    address, killed = send(server), [0]
    for _ in range(2):
        worker = started("-m", "flaskapi", "batches", "--watch")
        wait(server, address, lambda state: state["answered"] > killed[-1])
        worker.kill()
        worker.wait()
        killed.append(server.ask(address).json["answered"])
        with opened(url) as store:  # the time passes that a silent worker has
            past = sa.update(batches.batches).values(heard_at=datetime(2026, 1, 1, tzinfo=UTC))
            store.run(lambda connection, past=past: connection.execute(past))
    assert 0 < killed[1] < killed[2] < 2500
    started("-m", "flaskapi", "batches", "--watch")
    wait(server, address, is_over)

    state = server.ask(address).json
    assert ("done", 2500, 2500, 50) == tuple(
        state[name] for name in ("state", "images", "answered", "failed")
    )
    later = server.ask(state["results"]).json
    at_once = server.ask("/predict/batch?keep=false", MANY, Content_Type="application/zip").json
    ids = [one["id"] for one in later["results"] if "id" in one]
    with opened(url) as store:
        query = sa.select(submissions.c.id).order_by(submissions.c.id)
        kept = store.run(lambda connection: connection.execute(query).scalars().all(), reads=True)
    assert sorted(ids) == [str(id) for id in kept]
    assert 2450 == len(set(ids))
    assert without_ids(at_once["results"]) == without_ids(later["results"])
    lines = server.ask(state["results"], Accept="application/x-ndjson").body.splitlines()
    assert later["results"] == without_ids([json.loads(line) for line in lines])


@pytest.mark.process
def test_a_worker_that_is_stopped_gives_back_what_it_has_not_finished(
    started: Start, server: Server, url: str
) -> None:
    address = send(server)
    worker = started("-m", "flaskapi", "batches", "--watch")
    wait(server, address, lambda state: state["answered"] > 0)
    assert 0 == stop(worker)
    state = server.ask(address).json
    if not is_over(state):
        assert "requested" == state["state"]
    once = started("-m", "flaskapi", "batches")
    assert 0 == once.wait(60)
    state = server.ask(address).json
    assert "done" == state["state"]
    assert 2500 == len(server.ask(state["results"]).json["results"])


def test_without_a_store_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLASKAPI_STORE", "off")
    assert 1 == main(["batches"])
    assert "STORE is off" in capsys.readouterr().err
