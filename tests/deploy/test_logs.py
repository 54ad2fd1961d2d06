"""The logs of a server as deployed, as JSON: Apache's and the application's tell of the same
requests.
"""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from fakes import draw_digit, encode
from servers import Server, apache
from waiting import until

pytestmark = pytest.mark.apache
PNG = encode(draw_digit(7, side=28))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_both_logs_are_json_and_tell_of_the_same_request(folder: Path) -> None:
    with apache(
        folder / "json",
        defined=["FLASKAPI_JSON"],
        LOG_FORMAT='"json"',
        LOG_FILE='"log/flaskapi.json"',
    ) as server:
        headers = {"content_type": "image/png", "X_Request_ID": "both-1", "traceparent": TRACE}
        server.ask("/predict?key=secret", PNG, **headers)
        for path in ("/n%c3%a9%22%5c%01", "/", '/a"b'):
            send(server, path)
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as strange:
            strange.sendall(b'\xff"{\\ / HTTP/1.1\r\nX-Request-ID: "\xff\r\nHost: x\r\n\r\n')
            assert strange.recv(12).endswith(b" 400")
        until(lambda: len(access(server)) >= 6)
        (ours,) = [line for line in access(server) if line["request_id"] == "both-1"]
        assert ("POST", "/predict", 400, TRACE) == tuple(
            ours[name] for name in ("method", "path", "status", "traceparent")
        )
        told = (server.folder / "instance/log/flaskapi.json").read_text().splitlines()
        (same,) = [one for line in told if (one := json.loads(line))["request_id"] == "both-1"]
        assert ("/predict", 400, TRACE) == tuple(
            same[name] for name in ("route", "status", "traceparent")
        )
        assert "127.0.0.1" not in server.log("access")
        assert "secret" not in server.log("access")


def access(server: Server) -> list[dict[str, Any]]:
    """The lines of Apache's access log, each of which is JSON."""
    return [json.loads(line) for line in server.log("access").splitlines()]


def send(server: Server, path: str) -> None:
    """Ask as a hostile client may, with headers that are no text."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name in ("X-Request-ID", "traceparent"):
        connection.putheader(name, b'\xff"\\\x01'.replace(b"\x01", b"}"))
    connection.endheaders()
    connection.getresponse().read()
    connection.close()


def test_metrics_are_of_all_processes_whichever_is_asked(server: Server) -> None:
    steps = 'flaskapi_step_duration_seconds_count{step="decode"}'
    until(lambda: 3 == processes_in(read(server)))  # the last has just begun
    before = read(server)
    for _ in range(6):
        assert 200 == server.ask("/predict", PNG, content_type="image/png").status
    found = [read(server) for _ in range(6)]
    assert {before.get(steps, 0) + 6} == {one[steps] for one in found}
    for one in found:
        assert 3 == processes_in(one)
        assert 1 == one["flaskapi_store_up"]


def processes_in(found: dict[str, float]) -> float:
    return sum(n for name, n in found.items() if "flaskapi_model_processes{" in name)


def read(server: Server) -> dict[str, float]:
    lines = server.ask("/metrics").body.decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }
