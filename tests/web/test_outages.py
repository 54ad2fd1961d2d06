"""The service while its store is full, read-only, slow or gone, for real: it goes on without
receipts, says so, and recovers by itself.
"""

import contextlib
import logging
import os
import shutil
import signal
import sqlite3
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from databases import Postgres
from disks import mounted
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask import Flask
from flask.testing import FlaskClient
from waiting import pass_time, until

from flaskapi import create_app
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.writer import RETRY_S

PNG = encode(draw_digit(7, side=28))
MOST_S = 2  # that an answer takes on a busy machine; the store is waited for 0.9 s at most
BACK_S = 60


def make_app(folder: Path, url: str | None = None) -> Flask:
    config = {"INSTANCE_PATH": folder, "STORE": "on", "DATABASE_URL": url, "UNCERTAIN_BELOW": 0.5}
    return create_app(config, classifier=FixedClassifier(), detector=FixedDetector())


def with_remark(remark: bytes) -> bytes:
    """The picture with bytes in it that no decoder looks at; behind it they would be cut off."""
    chunk = b"juNk" + remark
    whole = struct.pack(">L", len(remark)) + chunk + struct.pack(">L", zlib.crc32(chunk))
    return PNG[:-12] + whole + PNG[-12:]


def predict(client: FlaskClient) -> str | None:
    """Send an image that nobody sent before, large enough to need room; give the id in the
    answer.
    """
    begun_s = time.monotonic()
    answer = client.post(
        "/predict", data=with_remark(os.urandom(200_000)), content_type="image/png"
    )
    assert time.monotonic() - begun_s < MOST_S
    assert (200, 7) == (answer.status_code, answer.get_json()["digit"])
    identifier: str | None = answer.get_json()["id"]
    return identifier


def check_it_goes_on_without(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, *reasons: str
) -> None:
    """The rule while the store cannot be used: answers without receipts, in time, and a metric, the
    log and readiness that say so.
    """
    before = len(caplog.records)
    assert [None] * 4 == [predict(client) for _ in range(4)]
    ready = client.get("/health/ready")
    found = ready.get_json()["checks"]["store"]
    assert (200, "unavailable") == (ready.status_code, found["status"])
    assert "detail" not in found
    assert 4.0 <= unkept(client)
    said = [
        line.getMessage() for line in caplog.records[before:] if line.levelno >= logging.WARNING
    ]
    assert 1 == len(said), said
    assert said[0].endswith("Predictions are answered without being kept.")
    assert any(reason in said[0] for reason in reasons)


def check_it_recovers(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """By requests alone, without a restart; and what then has a receipt is there."""
    client = app.test_client()
    identifier = until(lambda: predict(client), BACK_S, every_s=0.1)
    assert identifier
    assert any("it can be used again" in line for line in caplog.messages)
    assert "ok" == client.get("/health/ready").get_json()["checks"]["store"]["status"]
    store = app.extensions["flaskapi"].store
    assert get_submission(store, UUID(identifier))
    store.close()


def unkept(client: FlaskClient) -> float:
    (line,) = (
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith('flaskapi_submissions_total{kept="false"}')
    )
    return float(line.split()[1])


@pytest.mark.mount
def test_sqlite_on_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with mounted(8) as disk:
        app = make_app(tmp_path, f"sqlite:///{disk.path}/submissions.db")
        client = app.test_client()
        assert until(lambda: predict(client))
        disk.fill()
        check_it_goes_on_without(client, caplog, "full", "are free on the disk", "disk I/O error")
        disk.free()
        check_it_recovers(app, caplog)
        with contextlib.closing(sqlite3.connect(disk.path / "submissions.db")) as connection:
            assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
            assert [(2, 2)] == connection.execute(
                "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM submissions)"
            ).fetchall()


@pytest.mark.mount
def test_sqlite_on_a_disk_that_may_only_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As one is mounted after a fault: the service starts all the same."""
    with mounted(8) as disk:
        make_app(tmp_path, f"sqlite:///{disk.path}/submissions.db").extensions[
            "flaskapi"
        ].store.close()
        disk.set_read_only(True)
        app = make_app(tmp_path, f"sqlite:///{disk.path}/submissions.db")
        check_it_goes_on_without(app.test_client(), caplog, "readonly", "unable to open")
        disk.set_read_only(False)
        check_it_recovers(app, caplog)


def test_sqlite_that_another_process_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(tmp_path)
    client = app.test_client()
    assert until(lambda: predict(client))
    with contextlib.closing(
        sqlite3.connect(tmp_path / "submissions.db", isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        check_it_goes_on_without(client, caplog, "locked", "did not answer")
    check_it_recovers(app, caplog)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_sqlite_whose_file_is_deleted_or_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_replaced: bool
) -> None:
    """Answers go on without receipts, and the service is not ready: a person has to act."""
    app = make_app(tmp_path)
    client = app.test_client()
    assert until(lambda: predict(client))
    (tmp_path / "submissions.db").unlink()
    if is_replaced:
        with contextlib.closing(sqlite3.connect(tmp_path / "submissions.db")) as other:
            other.execute("CREATE TABLE other (x)")
    before = len(caplog.records)
    assert [None] * 3 == [predict(client) for _ in range(3)]
    ready = client.get("/health/ready")
    assert (503, "unavailable") == (
        ready.status_code,
        ready.get_json()["checks"]["store"]["status"],
    )
    (said,) = caplog.messages[before:]
    assert f"{'replaced' if is_replaced else 'deleted'} while the service uses it" in said
    app.extensions["flaskapi"].store.close()


def ask(postgres: Postgres, statement: str) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@contextlib.contextmanager
def stopped(postgres: Postgres, url: str) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


@contextlib.contextmanager
def frozen(postgres: Postgres, url: str) -> Iterator[None]:
    processes = postgres.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@contextlib.contextmanager
def read_only(postgres: Postgres, url: str) -> Iterator[None]:
    """As after a failover; connections that are open are ended with it."""
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name_of(url)}'"
    ask(postgres, f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    ask(postgres, end)
    try:
        yield
    finally:
        ask(postgres, f"ALTER DATABASE {name_of(url)} RESET default_transaction_read_only")
        ask(postgres, end)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("outage", "reasons"),
    [
        (stopped, ("refused", "terminating connection", "closed the connection")),
        (frozen, ("did not answer", "timeout")),
        (read_only, ("read-only",)),
    ],
)
def test_postgresql_that_is_stopped_frozen_or_read_only(
    postgres: Postgres,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    outage: Any,
    reasons: tuple[str, ...],
) -> None:
    url = postgres.make_database()
    app = make_app(tmp_path, url)
    client = app.test_client()
    labelled = until(lambda: predict(client))  # the server may still be busy with its start
    with outage(postgres, url):
        check_it_goes_on_without(client, caplog, *reasons)
        pass_time(RETRY_S)  # then it is tried again, and waited for
        begun_s = time.monotonic()
        answer = client.put(f"/submissions/{labelled}/label", json={"digit": 7})
        assert (503, True) == (answer.status_code, time.monotonic() - begun_s < MOST_S)
    check_it_recovers(app, caplog)


@pytest.mark.mount
@pytest.mark.postgres
def test_postgresql_on_a_full_disk(
    postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk of its own for the database; the server itself goes on, as with a tablespace that is
    full.
    """
    with mounted(48) as disk:
        place = disk.path / "space"
        place.mkdir()
        shutil.chown(place, "postgres")
        ask(postgres, f"CREATE TABLESPACE small LOCATION '{place}'")
        url = postgres.make_database()
        ask(postgres, f"ALTER DATABASE {name_of(url)} SET TABLESPACE small")
        try:
            app = make_app(tmp_path, url)
            client = app.test_client()
            assert until(lambda: predict(client))
            disk.fill()
            check_it_goes_on_without(client, caplog, "No space left on device")
            disk.free()
            check_it_recovers(app, caplog)
        finally:
            ask(postgres, f"DROP DATABASE {name_of(url)} WITH (FORCE)")
            ask(postgres, "DROP TABLESPACE small")
