"""`--wait`: the status is 0 only where every process says that it serves the new generation."""

import argparse
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from operators import place_empty_store
from servers import free_port

from flaskapi.commands.wait import wait_for
from flaskapi.errors import FlaskapiError, ServiceUnreachableError
from flaskapi.submissions.database import Database
from flaskapi.submissions.versions import ProcessReport, report_process
from flaskapi.versions.registry import Registry
from flaskapi.versions.shared import SharedRegistry

NOWHERE = Registry(Path("none"), Path("none.h5"), Path("none"))


@contextlib.contextmanager
def service(*answers: tuple[int, Any]) -> Iterator[str]:
    """Answers these one after the other, the last one again and again."""
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def processes(*generations: int) -> dict[str, Any]:
    return {
        "processes": [
            {"pid": 10 + place, "version": "v", "generation": one}
            for place, one in enumerate(generations)
        ]
    }


def wait(url: str | None, generation: int, timeout: float = 5) -> int:
    return wait_for(argparse.Namespace(wait=url, timeout=timeout), generation, NOWHERE)


def test_without_a_url_nothing_is_waited_for() -> None:
    assert 0 == wait(None, 3)


def test_it_ends_when_all_processes_serve_this_generation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with service((200, processes(2, 2)), (503, processes(3, 2)), (200, processes(3, 3))) as url:
        assert 0 == wait(url, 3)
    assert "All 2 processes serve it" in capsys.readouterr().out


def test_where_a_later_one_took_its_place_it_does_not_say_that_this_one_serves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As where it broke in its first request, and was rolled back."""
    with service((200, processes(3, 2)), (200, processes(3, 4)), (200, {})) as url:
        assert 1 == wait(url, 3)
    out, err = capsys.readouterr()
    assert "" == out
    assert "process 11 serves v, generation 4. Another version was promoted" in err
    assert "1 of 2 processes do not serve it" in err


def test_it_says_which_processes_do_not_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    answer = processes(3, 2)
    answer["processes"][1]["refused"] = "Version w cannot be loaded."
    with service((200, answer)) as url:
        assert 1 == wait(url, 3, 0.3)
    said = capsys.readouterr().err
    assert "process 11 serves v, generation 2: Version w cannot be loaded." in said
    assert "1 of 2 processes" in said
    assert "process 10" not in said


@pytest.mark.parametrize("answer", [{}, [], {"processes": [{}]}, {"processes": 3}])
def test_what_is_no_such_service_is_named(answer: Any) -> None:
    with service((200, answer)) as url, pytest.raises(ServiceUnreachableError, match=url):
        wait(url, 3)


def test_nothing_there_is_named_too() -> None:
    with pytest.raises(ServiceUnreachableError, match="refused"):
        wait(f"http://127.0.0.1:{free_port()}/", 3)


def test_without_an_address_all_instances_are_asked_by_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place_empty_store(tmp_path)
    store = Database(f"sqlite:///{tmp_path}/submissions.db", "process")
    shared = SharedRegistry(tmp_path / "versions", tmp_path / "none.h5", tmp_path, store)
    options = argparse.Namespace(wait="", timeout=0.3)

    def report(instance: str, generation: int, refused: str | None = None) -> None:
        made = ProcessReport(instance, 7, "1", "v", generation, refused)
        report_process(store, made, lambda *_: False)

    with pytest.raises(ServiceUnreachableError, match="No process"):
        wait_for(options, 3, shared)
    report("a:/srv", 3)
    report("b:/srv", 2, "v3, generation 3, does not serve here: it is damaged.")
    assert 1 == wait_for(options, 3, shared)
    said = capsys.readouterr().err
    assert "process 7 of b:/srv serves v, generation 2: v3, generation 3, does not" in said
    assert "1 of 2 processes do not serve it" in said
    report("b:/srv", 3)
    assert 0 == wait_for(options, 3, shared)
    assert "All 2 processes of 2 instances serve it" in capsys.readouterr().out
    with pytest.raises(FlaskapiError, match="VERSIONS_STORE"):
        wait_for(options, 3, NOWHERE)
    store.close()
