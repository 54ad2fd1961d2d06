"""`deploy/roll` under a real Apache: every process is replaced, or none."""

import concurrent.futures
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import draw_digit, encode
from servers import ROOT, Server, apache

pytestmark = pytest.mark.apache

SEVEN = encode(draw_digit(7))


def test_rolling_over_the_processes_one_by_one_loses_no_request(
    server: Server, folder: Path
) -> None:
    """As deploy/README.md does it for a new model or new code. Another site's are left alone."""
    rolled_over = threading.Event()

    def send() -> list[int]:
        statuses = []
        while not rolled_over.is_set():
            statuses.append(server.ask("/predict", SEVEN, content_type="image/png").status)
        return statuses

    with apache(folder / "neighbour") as neighbour:
        others = neighbour.daemons()
        _roll_under_load(server, send, rolled_over)
        assert others == neighbour.daemons()


def _roll_under_load(
    server: Server, send: Callable[[], list[int]], rolled_over: threading.Event
) -> None:
    before = server.daemons()
    with concurrent.futures.ThreadPoolExecutor(4) as senders:
        sending = [senders.submit(send) for _ in range(4)]
        done = roll(server)
        rolled_over.set()
        statuses = [status for sender in sending for status in sender.result()]
    assert 0 == done.returncode, done.stderr
    assert {200} == set(statuses)
    assert set() == set(before) & set(server.daemons())


def test_nothing_is_restarted_where_the_service_would_not_be_ready(folder: Path) -> None:
    with apache(folder / "roll") as server:
        before = server.daemons()
        (server.folder / "instance" / "config.toml").write_text("MAX_FORM_PARTS = 0")
        done = roll(server)
        assert 1 == done.returncode
        assert "found 0" in done.stderr
        assert "Nothing was restarted." in done.stderr
        assert before == server.daemons()


def roll(server: Server) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"FLASKAPI_INSTANCE_PATH": str(server.folder / "instance")}
    return subprocess.run(
        [ROOT / "deploy" / "roll"], env=environment, capture_output=True, text=True, check=False
    )
