"""What strangers send, or do not: slow clients, clients that leave, odd requests, keys in queries.

Under a real Apache with mod_wsgi, with the files that are deployed.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archives import make_zip
from fakes import draw_digit, encode
from servers import (
    MODULES,
    ROOT,
    Server,
    apache,
    free_port,
    httpd,
    module_config,
    slow_senders,
    stop,
    wait_until_it_answers,
)
from waiting import pass_time, until

from flaskapi.web.pages import POLICY
from flaskapi.web.security import HEADERS

pytestmark = pytest.mark.apache

SEVEN = encode(draw_digit(7))
SLOW = 200


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("/predict", "POST /predict HTTP/1.1\r\nHost: x\r\n"),
        ("/predict", None),
        ("/predict/batch", None),
    ],
    ids=["headers", "bodies", "bodies of many images"],
)
def test_hundreds_of_slow_clients_hold_up_nobody(
    server: Server, path: str, head: str | None
) -> None:
    with slow_senders(server, SLOW, path, head):
        took_s = []
        for _ in range(20):
            begun_s = time.monotonic()
            assert 200 == server.ask("/predict", SEVEN, content_type="image/png").status
            took_s.append(time.monotonic() - begun_s)
    assert sorted(took_s)[-2] < 1, "a request waited for others that only send slowly"


def test_a_body_that_comes_byte_by_byte_is_ended_after_ten_seconds(server: Server) -> None:
    """Small ones too, which the application takes in one piece. All at once: each takes as long."""
    bodies = [
        (path, size) for path in ("/predict", "/predict/batch") for size in (1_000, 1_000_000)
    ]
    with ThreadPoolExecutor(len(bodies)) as pool:
        ended = list(pool.map(lambda body: send_byte_by_byte(server, *body), bodies))
    for body, (took_s, answer) in zip(bodies, ended, strict=True):
        assert 8 < took_s < 30, body
        assert answer[:13] in (b"HTTP/1.1 408 ", b""), body


def send_byte_by_byte(server: Server, path: str, size: int) -> tuple[float, bytes]:
    """How long a body of that size may take, and how the answer begins."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        begun_s = time.monotonic()
        client.sendall(head.encode())
        client.settimeout(0.5)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun_s < 30:
                client.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    answer = client.recv(100)
                    break
        return time.monotonic() - begun_s, answer


def cpu_s(server: Server) -> float:
    """What the daemons have computed so far, in seconds."""
    total = 0
    for daemon in server.daemons():
        fields = Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / 100


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_batch_ends_within_two_seconds_of_its_client(server: Server, accept: str) -> None:
    """As one document too, of which nothing is sent before the end."""
    page = encode(draw_digit(8, side=1500))
    archive = make_zip([(f"{place}.png", page) for place in range(400)])
    head = (
        "POST /predict/batch?route=number HTTP/1.1\r\nHost: x\r\n"
        f"Accept: {accept}\r\nContent-Type: application/zip\r\nContent-Length: {len(archive)}\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(head.encode() + b"\r\n" + archive)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        working_s = cpu_s(server)
        until(lambda: cpu_s(server) - working_s > 0.1, 5, why="it was not at work")
    left = time.monotonic()
    until(lambda: is_idle(server), 5)
    assert time.monotonic() - left < 2 + IDLE_S


IDLE_S = 0.5


def is_idle(server: Server) -> bool:
    """Whether the daemons compute next to nothing for half a second."""
    before_s = cpu_s(server)
    pass_time(IDLE_S)
    return cpu_s(server) - before_s < 0.1


def ask_raw(server: Server, request: str) -> tuple[str, str]:
    """Send bytes as they are, and give the head and the body of what comes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request.encode())
        whole = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, body = whole.partition("\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /health/live\r\n", 400),  # HTTP/0.9
        (
            "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            501,
        ),
        ("GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        ("GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
    ],
)
def test_every_answer_has_the_one_shape_and_bears_the_headers_once(
    server: Server, request_text: str, status: int
) -> None:
    """Apache's own too; of the server it says no version."""
    head, body = ask_raw(server, request_text)
    assert f"HTTP/1.1 {status} " == head[:13]
    if status != 200:
        assert "Content-Type: application/problem+json" in head
        assert {"type", "title", "status", "detail"} == set(json.loads(body))
    assert ["Apache"] == re.findall(r"^Server: (.*?)\r?$", head, re.M)
    for name, value in HEADERS.items():
        assert [value] == re.findall(rf"^{name}: (.*?)\r?$", head, re.M)
    assert "Strict-Transport-Security" not in head, "not over plain HTTP"


def test_a_key_in_a_query_or_in_where_somebody_comes_from_is_in_no_log(server: Server) -> None:
    key = "flaskapi-mistakenly-in-the-address"
    for path in (f"/submissions?key={key}", f"/predict/batch?key={key}", f"/%00?key={key}"):
        answer = server.ask(path, Referer=f"http://elsewhere/?key={key}")
        assert answer.status >= 400
    named = server.ask("/health/live", X_Request_ID="the-last-of-them").headers["X-Request-ID"]
    until(lambda: named in server.log("access"))
    assert "GET /submissions HTTP/1.1" in server.log("access")
    assert key not in server.log("*")


def test_a_start_says_nothing_that_frightens(folder: Path) -> None:
    with apache(folder / "quiet") as server:
        wait_until_it_answers(server)
        assert 200 == server.ask("/health/ready").status
        said = server.log("error") + server.log("server")
    assert "ready: model" in said
    harmless = ("INFO [-]", ":notice]", "Queue timeout expired")  # the last on a busy machine
    assert [] == [line for line in said.splitlines() if not any(word in line for word in harmless)]


def test_a_process_with_too_much_memory_is_replaced_and_no_request_fails(folder: Path) -> None:
    script = folder / "growing.wsgi"
    shipped = ROOT / "deploy" / "flaskapi.wsgi"
    script.write_text(
        f"__file__ = {str(shipped)!r}\n{shipped.read_text()}\n"
        "taken = []\n"
        "@application.get('/grow')\n"
        "def grow():\n"
        "    taken.append(bytearray(b'1') * 300_000_000)\n"
        "    return 'taken'\n"
    )
    with apache(folder / "growing", script, PROCESS_MEMORY_BYTES=str(350 << 20)) as server:
        before = server.daemons()
        assert 200 == server.ask("/grow").status

        def is_replaced() -> bool:
            assert 200 == server.ask("/predict", SEVEN, content_type="image/png").status
            return len(set(before) & set(server.daemons())) < 3

        until(is_replaced, every_s=0)
        assert 2 == len(set(before) & set(server.daemons())), "one of them is replaced"
        assert "another replaces it" in server.log("*")


def test_over_https_browsers_are_told_to_stay_with_it(folder: Path) -> None:
    """In the host that certbot makes, which includes the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    secure = folder / "secure"
    secure.mkdir()
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key -out crt"
    )
    subprocess.run(make.split(), cwd=secure, check=True, capture_output=True)
    port, modules = (
        free_port(),
        subprocess.run(
            ["apxs", "-q", "LIBEXECDIR"], capture_output=True, text=True, check=True
        ).stdout.strip(),
    )
    lines = [
        f"ServerRoot {secure}",
        f"PidFile {secure}/pid",
        f"ErrorLog {secure}/log",
        f"Listen 127.0.0.1:{port}",
        "ServerName localhost",
        *(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in f"{MODULES} ssl".split()),
        module_config(),
        *(["User www-data", "Group www-data"] if os.getuid() == 0 else []),
        f"Define FLASKAPI_HOME {ROOT}",
        f"<VirtualHost 127.0.0.1:{port}>",
        f"SSLEngine on\nSSLCertificateFile {secure}/crt\nSSLCertificateKeyFile {secure}/key",
        f"Include {ROOT}/deploy/common.conf",
        "</VirtualHost>",
    ]
    (secure / "httpd.conf").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen([httpd(), "-f", str(secure / "httpd.conf"), "-DFOREGROUND"])
    try:
        # The certificate was made a moment ago, for this test.
        trusting = ssl._create_unverified_context()  # noqa: S323
        until(lambda: listens(port), why=(secure / "log").read_text)
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting)
        connection.request("GET", "/apache-problems/400.json")
        headers = connection.getresponse().headers
        connection.close()
    finally:
        stop(process)
    assert ["max-age=31536000"] == headers.get_all("Strict-Transport-Security")


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_page_keeps_its_own_policy(server: Server) -> None:
    """Apache adds what an answer lacks, and nothing to what it has."""
    policies = server.ask("/", Accept="text/html").headers.get_all("Content-Security-Policy")
    assert [POLICY] == policies
