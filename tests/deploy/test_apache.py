"""The service under a real Apache with mod_wsgi, with the files that are deployed."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archives import make_tar, make_zip
from fakes import draw_digit, encode
from servers import ROOT, Server, apache, free_port, httpd
from waiting import pass_time, until

from flaskapi.submissions.database import Database
from flaskapi.submissions.keys import make_key

pytestmark = pytest.mark.apache

SEVEN = encode(draw_digit(7))


def test_the_model_is_loaded_before_the_first_request_and_tensorflow_never(folder: Path) -> None:
    """So that the first request is as fast as the second."""
    with apache(folder / "preloaded") as server:
        assert len(server.daemons()) == 3  # the third is for /predict/batch
        for daemon in server.daemons():
            loaded = Path(f"/proc/{daemon}/maps")
            assert until(lambda loaded=loaded: "onnxruntime" in loaded.read_text())  # type: ignore[misc]
        assert 'route="/predict"' not in server.ask("/metrics").body.decode()
        assert server.ask("/predict", SEVEN, content_type="image/png").json["digit"] == 7
        assert all(
            "tensorflow" not in Path(f"/proc/{daemon}/maps").read_text()
            for daemon in server.daemons()
        )


def test_an_image_is_read_however_it_is_sent(server: Server) -> None:
    part = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n\r\n'
        + SEVEN
        + b"\r\n--x--\r\n"
    )
    form = server.ask("/predict", part, content_type="multipart/form-data; boundary=x")
    body = server.ask("/predict", SEVEN, content_type="image/png")
    assert (200, 7) == (form.status, form.json["digit"])
    assert form.json["id"] != body.json["id"]
    assert form.json | {"id": ""} == body.json | {"id": ""}


def test_what_was_answered_is_kept_though_the_process_is_killed(folder: Path) -> None:
    """In one file by all processes, that of `/predict/batch` included, which nobody but Apache's
    user can read.
    """
    with apache(folder / "kept") as server:
        ids = [
            server.ask("/predict", SEVEN, content_type="image/png").json["id"] for _ in range(20)
        ]
        many = server.ask(
            "/predict/batch", make_zip(MANY[:100]), content_type="application/zip"
        ).json["results"]
        for daemon in server.daemons():
            os.kill(daemon, signal.SIGKILL)
        ids += [result["id"] for result in many if "id" in result]
        database = server.folder / "instance" / "submissions.db"
        assert 0o600 == database.stat().st_mode & 0o777
        with contextlib.closing(sqlite3.connect(database)) as connection:
            kept = {row[0] for row in connection.execute("SELECT id FROM submissions")}
        assert len(ids) > 100
        assert {identifier.replace("-", "") for identifier in ids} == kept


def test_an_operators_key_reaches_the_application(server: Server) -> None:
    """mod_wsgi keeps the header to itself unless it is told to pass it on."""
    store = Database(f"sqlite:///{server.folder}/instance/submissions.db", "process")
    bearing = {"Authorization": f"Bearer {make_key(store, 'ada')}"}
    store.close()
    answer = server.ask("/predict", SEVEN, content_type="image/png")
    assert 401 == server.ask("/submissions").status
    newest = server.ask("/submissions?limit=1", **bearing).json["submissions"][0]
    assert answer.json["id"] == newest["id"]
    assert SEVEN == server.ask(newest["image"], **bearing).body
    key = server.folder / "instance" / "client.key"
    assert not key.exists()  # nobody has labelled anything


def test_a_chunked_body_is_read(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        yield SEVEN[:100]
        yield SEVEN[100:]

    assert (
        server.ask(
            "/predict", chunks(), content_type="image/png", transfer_encoding="chunked"
        ).json["digit"]
        == 7
    )


NDJSON = {"Accept": "application/x-ndjson"}
MANY = [(f"{place:05}.png", encode(draw_digit(place % 10, side=28))) for place in range(3000)]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_thousands_of_images_in_one_request_are_answered_line_by_line_and_in_order(
    server: Server, make: Callable[..., bytes]
) -> None:
    """Chunked too, as curl sends what comes out of a pipe. The bodies of both ways are larger than
    all buffers together.
    """

    def chunks() -> Iterator[bytes]:
        yield archive[:1000]
        yield archive[1000:]

    archive = make(MANY)
    for body in (archive, chunks()):
        answer = server.ask(
            "/predict/batch", body, content_type="application/octet-stream", **NDJSON
        )
        assert (200, "application/x-ndjson") == (answer.status, answer.headers["Content-Type"])
        assert [name for name, _ in MANY] == [
            json.loads(line)["name"] for line in answer.body.splitlines()
        ]


def begin(
    server: Server, path: str, length: int, body: bytes = b"", accept: str = "*/*"
) -> socket.socket:
    """Begin a request, of which the server then waits for the rest."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n"
        f"Content-Type: application/zip\r\nContent-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def test_slow_senders_of_many_images_hold_up_no_single_one(server: Server) -> None:
    waiting = [begin(server, "/predict/batch", 1000, b"PK") for _ in range(8)]
    try:
        for _ in range(4):
            assert server.ask("/predict", SEVEN, content_type="image/png").status == 200
    finally:
        for connection in waiting:
            connection.close()


def test_work_stops_when_the_client_goes_away(folder: Path) -> None:
    with apache(folder / "gone") as server:
        archive = make_tar([(f"{place}", content) for place in range(20) for _, content in MANY])
        connection = begin(server, "/predict/batch", len(archive), archive, NDJSON["Accept"])
        assert b"200 OK" in connection.recv(100)
        connection.close()

        def is_idle() -> bool:
            before = [
                Path(f"/proc/{daemon}/stat").read_text().split()[13:15]
                for daemon in server.daemons()
            ]
            pass_time(0.5)
            return before == [
                Path(f"/proc/{daemon}/stat").read_text().split()[13:15]
                for daemon in server.daemons()
            ]

        assert until(is_idle)
        answered = 'flaskapi_requests_total{route="/predict/batch",status="200"} 1.0'
        assert until(lambda: answered in server.ask("/metrics").body.decode())
        counted = re.findall(
            r"^flaskapi_predictions_total.* (\d+)", server.ask("/metrics").body.decode(), re.M
        )
        assert sum(map(int, counted)) < 60_000


def test_an_archive_may_be_larger_than_an_image_and_its_limit_is_said(folder: Path) -> None:
    with apache(folder / "large", MAX_BATCH_BYTES="41000000") as server:
        archive = make_zip([*MANY[:10], ("large", bytes(40_000_000))])
        answer = server.ask("/predict/batch", archive, content_type="application/zip")
        assert (200, 10, 1) == (answer.status, answer.json["succeeded"], answer.json["failed"])
        answer = server.ask("/predict/batch", bytes(42_000_000), content_type="application/zip")
        assert (413, "/problems/too-large") == (answer.status, answer.json["type"])
        assert "MAX_BATCH_BYTES = 41,000,000" in answer.json["detail"]


def test_both_processes_count_together(server: Server) -> None:
    def answered() -> float:
        lines = server.ask("/metrics").body.decode().splitlines()
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith('flaskapi_requests_total{route="/predict",status="200"}')
        )

    before = answered()
    for _ in range(20):
        server.ask("/predict", SEVEN, content_type="image/png")
    assert before + 20 == answered()


def test_a_body_over_the_applications_limit_is_refused_in_its_words(server: Server) -> None:
    answer = server.ask("/predict", bytes(20_000_000), content_type="image/png")
    assert (413, "/problems/too-large") == (answer.status, answer.json["type"])
    assert "16,777,216" in answer.json["detail"]


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /%00", "", 404),
        ("TRACE /", "", 405),
        ("GET /" + "a" * 9000, "", 414),
        ("GET /health/live", "Expect: foo\r\n", 417),
        ("GET /health/live", "Cookie: " + "a" * 9000 + "\r\n", 400),
        ("GET /apache-problems/400.json", "", 403),
    ],
)
def test_what_apache_refuses_by_itself_has_the_one_shape(
    server: Server, request_line: str, headers: str, status: int
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            f"{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: "
            f"close\r\n{headers}\r\n".encode()
        )
        head, _, body = (
            b"".join(iter(lambda: connection.recv(65536), b"")).decode().partition("\r\n\r\n")
        )
    assert f"HTTP/1.1 {status} " == head[:13]
    assert "Content-Type: application/problem+json" in head
    assert re.search(r"^X-Request-ID: [\w@-]+\r?$", head, re.M)
    assert status == json.loads(body)["status"]


def test_the_host_that_certbot_copies_is_understood(server: Server) -> None:
    """It is written beside the first as `flaskapi-le-ssl.conf`, which Apache reads before
    `flaskapi.conf`.
    """
    first, copy = server.folder / "flaskapi.conf", server.folder / "flaskapi-le-ssl.conf"
    copy.write_text(first.read_text().replace(f":{server.port}>", f":{free_port()}>"))
    configuration = (
        (server.folder / "httpd.conf")
        .read_text()
        .replace(f"Include {first}\n", f"Include {copy}\nInclude {first}\n")
    )
    (server.folder / "copied.conf").write_text(configuration)
    done = subprocess.run(
        [httpd(), "-t", "-f", str(server.folder / "copied.conf")], capture_output=True, text=True
    )
    assert (0, True) == (done.returncode, "Syntax OK" in done.stderr), done.stderr


def test_an_encoded_slash_reaches_the_application(server: Server) -> None:
    answer = server.ask("/a%2fb")
    assert (404, {"type", "title", "status", "detail", "request_id"}) == (
        answer.status,
        set(answer.json),
    )


def test_apaches_own_refusal_has_the_one_shape(server: Server) -> None:
    answer = server.ask(
        "/predict", bytes(34_000_000), content_type="image/png", X_Request_ID="mine-1"
    )
    assert (413, "application/problem+json", "mine-1") == (
        answer.status,
        answer.headers["Content-Type"],
        answer.headers["X-Request-ID"],
    )
    assert {"type", "title", "status", "detail"} == set(answer.json)


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2_3", True), ('a"b', False), ("x" * 65, False), ("", False)]
)
def test_every_answer_and_the_access_log_bear_a_request_id(
    server: Server, sent: str, kept: bool
) -> None:
    answered = server.ask("/health/live", X_Request_ID=sent).headers.get_all("X-Request-ID")
    assert len(answered) == 1
    assert kept == (answered[0] == sent)
    assert until(lambda: answered[0] in server.log("access"))


def test_a_missing_model_leaves_the_service_live_and_not_ready(folder: Path) -> None:
    with apache(folder / "no-model", MODEL_PATH='"missing.h5"') as server:
        assert server.ask("/health/live").status == 200
        for answer in (
            server.ask("/health/ready"),
            server.ask("/predict", SEVEN, content_type="image/png"),
        ):
            assert (503, ["30"]) == (answer.status, answer.headers.get_all("Retry-After"))
            assert answer.json["type"] == "/problems/model-unavailable"
        assert until(
            lambda: "missing.h5 cannot be read" in server.log("error") + server.log("server")
        )


@pytest.mark.train
def test_a_model_of_old_keras_in_a_read_only_folder_is_compiled_once_for_all_processes(
    folder: Path,
) -> None:
    old = ROOT / "tests" / "data" / "keras_2_2_2" / "keras222_first.h5"
    (folder / "old-models").mkdir()
    shutil.copy(old, folder / "old-models" / "my_model.h5")
    (folder / "old-models").chmod(0o555)
    with apache(folder / "old-keras", MODEL_PATH=f'"{folder}/old-models/my_model.h5"') as server:
        sha256 = hashlib.sha256(old.read_bytes()).hexdigest()
        card = server.ask("/model").json
        assert card.pop("detector")["network"] == "detector"
        assert {"version": sha256[:8], "generation": 0, "sha256": sha256} == card
        assert 10 == len(
            server.ask("/predict", SEVEN, content_type="image/png").json["probabilities"]
        )
        assert until(
            lambda: all(
                "onnxruntime" in Path(f"/proc/{daemon}/maps").read_text()
                for daemon in server.daemons()
            )
        )
        assert [f"{sha256}.onnx"] == [
            path.name for path in (server.folder / "instance" / "cache").iterdir()
        ]


def test_a_bad_setting_is_a_clear_line_in_the_log_and_not_apaches_html(folder: Path) -> None:
    with apache(folder / "bad-setting", MAX_REQUEST_BYTES='"many"') as server:
        answer = server.ask("/health/ready")
        assert (500, "application/problem+json") == (answer.status, answer.headers["Content-Type"])
        assert until(
            lambda: (
                "expected a whole number of at least 1, found 'many'"
                in server.log("error") + server.log("server")
            )
        )


def test_a_killed_process_is_replaced(server: Server) -> None:
    before = set(server.daemons())
    os.kill(min(before), signal.SIGKILL)
    assert until(lambda: len(set(server.daemons()) - before) == 1)
    assert server.ask("/predict", SEVEN, content_type="image/png").status == 200
