"""On a full disk each process starts, answers, and says what it cannot do."""

import os
import signal
from pathlib import Path

import pytest
from disks import mounted
from fakes import draw_digit, encode
from servers import Server, apache
from waiting import until

pytestmark = [pytest.mark.apache, pytest.mark.mount]

SEVEN = encode(draw_digit(7))


def replace_all(server: Server) -> None:
    """Kill each daemon, and wait until another is in its place, and answers."""
    before = server.daemons()
    for daemon in before:
        os.kill(daemon, signal.SIGKILL)
    until(lambda: len(set(server.daemons()) - set(before)) >= len(before))
    until(lambda: server.ask("/health/live").status == 200)


def test_new_processes_start_and_answer_on_a_full_disk(folder: Path) -> None:
    """The kernel ended each of them when it wrote to the files of its metrics."""
    with mounted(8) as disk:
        (folder / "full").mkdir()
        (folder / "full" / "instance").symlink_to(disk.path)
        with apache(folder / "full") as server:
            disk.fill()
            replace_all(server)
            new = server.daemons()
            for _ in range(12):
                answer = server.ask("/predict", SEVEN, content_type="image/png")
                assert (200, 7) == (answer.status, answer.json["digit"])
            assert 200 == server.ask("/metrics").status
            assert new == server.daemons(), "none of them died of it"
            assert "metrics: /metrics tells of the one process" in server.log("*")
