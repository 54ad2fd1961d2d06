"""`deploy/run`, which `make run` calls: Apache where there is one, else a plain server, stopped by
Ctrl-C.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path

import pytest
import waitress
from fakes import draw_digit, encode
from servers import ROOT, Server, free_port, slow_senders, stop, wait_until_it_answers
from waiting import until

pytestmark = pytest.mark.process

SEVEN = encode(draw_digit(7))


@contextlib.contextmanager
def running(folder: Path, path: str, *, into_file: bool = False) -> Iterator[Server]:
    """Start it with this PATH on a free port; what it prints goes to `run.log`, through a pipe or
    straight; Ctrl-C at the end.
    """
    port = free_port()
    (folder / "logs").mkdir(parents=True)
    environment = os.environ | {"PORT": str(port), "PATH": path}
    with (
        (folder / "logs" / "run.log").open("wb") as log,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log) as reader,
    ):
        output = log if into_file else reader.stdin
        process = subprocess.Popen(
            [ROOT / "deploy" / "run"], env=environment, stdout=output, stderr=output
        )
        try:
            yield wait_until_it_answers(Server(port, process, folder))
        finally:
            stop(process, signal.SIGINT)


@pytest.mark.skipif(
    not (ROOT / ".venv").is_dir(), reason="deploy/run serves from .venv, which `make` creates"
)
@pytest.mark.parametrize("kind", [pytest.param("Apache", marks=pytest.mark.apache), "waitress"])
def test_it_serves_until_ctrl_c_and_says_what_with(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    path, folder = os.environ["PATH"], tmp_path / kind
    if kind == "Apache":
        folder = request.getfixturevalue("folder") / kind
    else:  # a machine without Apache: a PATH with nothing on it but what the script itself calls
        for name in ("dirname", "id", "sh"):
            (tmp_path / name).symlink_to(str(shutil.which(name)))
        path = str(tmp_path)
    with running(folder, path) as server:
        assert server.ask("/predict", SEVEN, content_type="image/png").json["digit"] == 7
        until(lambda: "The page is there" in server.log("run"))
        for path in ("/predict", "/predict/batch"):
            with slow_senders(server, 150, path):
                begun_s = time.monotonic()
                assert server.ask("/predict", SEVEN, content_type="image/png").status == 200
                assert time.monotonic() - begun_s < 5, "it waited for those that send slowly"
        if kind == "Apache":
            assert server.ask("/%00").headers["Content-Type"] == "application/problem+json"
            before, files = (
                server.daemons(),
                sorted(
                    (path, path.stat().st_mtime_ns)
                    for path in (ROOT / "instance").rglob("httpd.conf")
                ),
            )
            second = subprocess.run(
                [ROOT / "deploy" / "run"],
                env=os.environ | {"PORT": str(server.port)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (1, "") == (second.returncode, second.stdout)
            assert (
                f"error: http://127.0.0.1:{server.port} cannot be served: something listens there "
                "already. Another port: make run PORT=8000\n"
            ) == second.stderr
            assert before == server.daemons()
            assert files == sorted(
                (path, path.stat().st_mtime_ns) for path in (ROOT / "instance").rglob("httpd.conf")
            )
    assert (
        f"erving {'under Apache' if kind == 'Apache' else 'with waitress'} at "
        f"http://127.0.0.1:{server.port}" in server.log("run")
    )
    before, told, _ = server.log("run").partition(
        f"The page is there: open http://127.0.0.1:{server.port}/ in a browser.\n"
    )
    assert told
    assert "ready: model" in before or kind == "waitress", "what servers say comes before it"
    assert "Request Capacity" not in before
    with pytest.raises(OSError, match="refused"):
        server.ask("/health/live")
    assert "AH10159" not in server.log("run"), "Apache has threads enough"


def answer_nothing(environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
    start("200 OK", [("Content-Length", "0")])
    return []


@pytest.mark.parametrize("part", ["body", "headers"])
def test_under_waitress_a_request_that_comes_byte_by_byte_is_ended(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Waitress by itself ends only those that are silent; nobody else notices."""
    loader = SourceFileLoader("serve", str(ROOT / "deploy" / "serve"))
    serve = module_from_spec(ModuleSpec("serve", loader))
    loader.exec_module(serve)
    monkeypatch.setattr(serve, "REQUEST_S", 0.3)
    server = serve.make_server(answer_nothing, "127.0.0.1:0")

    def run() -> None:
        with contextlib.suppress(OSError):  # it may be waiting as it is closed
            server.run()

    thread = threading.Thread(target=run)
    thread.start()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    address = "127.0.0.1", server.effective_port
    try:
        with socket.create_connection(address) as slow, socket.create_connection(address) as many:
            begun_s = time.monotonic()
            slow.sendall(head if part == "body" else head[:-4])
            many.sendall(head.replace(b"/predict", b"/predict/batch"))
            slow.settimeout(0.05)
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - begun_s < 20:
                    slow.sendall(b"x")
                    many.sendall(b"x")
                    with contextlib.suppress(TimeoutError):
                        if not slow.recv(1):
                            break
            assert 0.3 < time.monotonic() - begun_s < 20
            many.sendall(b"x" * 1000)
            assert many.recv(100).startswith(b"HTTP/1.1 200"), "many images have longer"
    finally:
        server.close()
        waitress.wasyncore.close_all(server._map, ignore_all=True)
        thread.join(10)


@pytest.mark.apache
@pytest.mark.skipif(
    not (ROOT / ".venv").is_dir(), reason="deploy/run serves from .venv, which `make` creates"
)
def test_into_a_file_goes_all_that_it_says(folder: Path) -> None:
    with running(folder / "file", os.environ["PATH"], into_file=True) as server:
        pass
    said = server.log("run")
    assert said.startswith("Ready: model ")
    assert f"Serving under Apache at http://127.0.0.1:{server.port}" in said
    assert re.search(r"^\d\d:\d\d:\d\d ready: model", said, re.M), "the service's own log"
    assert re.search(r"^\d\d:\d\d:\d\d 200 GET /health/live [\d.]+ ms$", said, re.M)


@pytest.mark.skipif(
    not (ROOT / ".venv").is_dir(), reason="deploy/run serves from .venv, which `make` creates"
)
def test_a_bad_setting_stops_the_start_with_one_clear_line() -> None:
    environment = os.environ | {"PORT": str(free_port()), "FLASKAPI_UNCERTAIN_BELOW": "2"}
    done = subprocess.run(
        [ROOT / "deploy" / "run"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    assert (
        "error: UNCERTAIN_BELOW in the environment: expected a number from 0 to 1, found '2'."
        in done.stderr
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "192.0.2.1 is no address of this machine."),
        ("no.such.host.invalid", "ame or service not known"),
    ],
)
def test_an_address_that_cannot_be_served_is_told_the_one_reason(host: str, said: str) -> None:
    done = subprocess.run(
        [ROOT / "deploy" / "run"],
        env=os.environ | {"HOST": host, "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    assert said in done.stderr
    assert "something listens there" not in done.stderr


@pytest.mark.parametrize("port", ["abc", "-1", "0", "80 81", "65536", "123456"])
def test_a_port_that_is_none_is_called_so(port: str) -> None:
    done = subprocess.run(
        [ROOT / "deploy" / "run"],
        env=os.environ | {"PORT": port},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (1, f"error: PORT is '{port}'; it must be a number from 1 to 65535.\n") == (
        done.returncode,
        done.stderr,
    )


@pytest.mark.skipif(
    not (ROOT / ".venv").is_dir(), reason="deploy/run serves from .venv, which `make` creates"
)
@pytest.mark.parametrize(
    ("kind", "host"),
    [pytest.param("Apache", "::1", marks=pytest.mark.apache), ("waitress", "[::1]")],
)
def test_it_serves_on_an_ipv6_address(tmp_path: Path, kind: str, host: str) -> None:
    """Written with or without the brackets that it has in a URL."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
            port = probe.getsockname()[1]
    except OSError:
        pytest.skip("this machine has no IPv6")
    environment = os.environ | {"PORT": str(port), "HOST": host}
    if kind == "waitress":
        for name in ("dirname", "id", "sh"):
            (tmp_path / name).symlink_to(str(shutil.which(name)))
        environment["PATH"] = str(tmp_path)
    with (tmp_path / "run.log").open("wb") as log:
        process = subprocess.Popen(
            [ROOT / "deploy" / "run"], env=environment, stdout=log, stderr=log
        )
    try:
        assert b'"live"' in ask_until_it_answers(f"http://[::1]:{port}/health/live", process)
    finally:
        stop(process, signal.SIGINT)
    assert f"at http://[::1]:{port}" in (tmp_path / "run.log").read_text()


def ask_until_it_answers(url: str, process: "subprocess.Popen[bytes]", limit_s: int = 120) -> bytes:
    def answer() -> bytes:
        assert process.poll() is None, "it ended before it answered"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
            return bytes(response.read())
        return b""

    return until(answer, limit_s, every_s=0.1)
