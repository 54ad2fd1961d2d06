"""How often one client may ask."""

import contextlib
import io
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import draw_digit, encode
from flask import Flask
from operators import SOME_ID, bearing, make_app, operator, store_of
from problems import read_problem
from waiting import pass_time, until

from flaskapi import create_app
from flaskapi.errors import SettingError

PNG = encode(draw_digit(7, side=28))
LABEL = f"/submissions/{SOME_ID}/label"


@contextlib.contextmanager
def made(tmp_path: Path, **settings: Any) -> Iterator[Flask]:
    app = make_app(tmp_path, **settings)
    yield app
    store_of(app).close()


def put(app: Flask, address: str = "192.0.2.1", **sent: Any) -> int:
    """Send a label from an address. The submission is not there: 404 is what is answered below the
    limit.
    """
    environ = {"REMOTE_ADDR": address}
    return (
        app.test_client()
        .put(LABEL, json={"digit": 9}, environ_overrides=environ, **sent)
        .status_code
    )


def predict(app: Flask, path: str = "/predict", **sent: Any) -> int:
    return app.test_client().post(path, data=PNG, content_type="image/png", **sent).status_code


def test_labels_are_limited_for_each_client_by_itself(tmp_path: Path) -> None:
    with made(tmp_path, LABEL_RATE_LIMIT="2 per minute") as app:
        assert [404, 404, 429, 429] == [put(app) for _ in range(4)]
        assert 404 == put(app, "192.0.2.2")
        response = app.test_client().delete(LABEL, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
        assert (429, "rate-limited") == read_problem(response)
        assert 1 <= int(response.headers["Retry-After"]) <= 61
        assert "LABEL_RATE_LIMIT = 2 per minute" in response.get_json()["detail"]
        assert "192.0.2.1" not in response.text
        assert [200] * 3 == [predict(app) for _ in range(3)]


def test_a_client_may_ask_again_when_the_answer_said(tmp_path: Path) -> None:
    with made(tmp_path, LABEL_RATE_LIMIT="1 per 2 seconds") as app:
        put(app)
        response = app.test_client().put(
            LABEL, json={"digit": 9}, environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
        )
        assert 429 == response.status_code
        pass_time(int(response.headers["Retry-After"]))
        assert 404 == put(app)


def test_operators_label_as_often_as_they_like_and_a_bad_key_helps_nobody(tmp_path: Path) -> None:
    with made(tmp_path, LABEL_RATE_LIMIT="1 per minute") as app:
        headers = operator(app)
        assert [404] * 3 == [put(app, headers=headers) for _ in range(3)]
        assert [401, 429] == [put(app, headers=bearing("flaskapi_x")) for _ in range(2)]


def test_the_default_is_sixty_labels_a_minute_and_any_number_of_predictions(keeping: Flask) -> None:
    assert [404] * 60 + [429] == [put(keeping) for _ in range(61)]
    assert [200] * 61 == [predict(keeping) for _ in range(61)]


def test_predictions_are_limited_by_setting_all_of_them_together(tmp_path: Path) -> None:
    with made(tmp_path, PREDICT_RATE_LIMIT="3 per minute", LABEL_RATE_LIMIT="off") as app:
        assert [200, 200, 200] == [
            predict(app, path) for path in ("/predict", "/predict/number", "/predict/batch")
        ]
        assert [429, 429, 429] == [
            predict(app, path) for path in ("/predict", "/predict/number", "/predict/batch")
        ]
        assert [404] * 5 == [put(app) for _ in range(5)]
        assert 200 == app.test_client().get("/model").status_code


def test_the_body_of_who_asks_too_often_is_not_read(tmp_path: Path) -> None:
    with made(tmp_path, PREDICT_RATE_LIMIT="1 per minute") as app:
        assert 200 == predict(app)
        body = io.BytesIO(PNG)
        app.test_client().post(
            "/predict", input_stream=body, content_length=len(PNG), content_type="image/png"
        )
        assert 0 == body.tell()


def test_a_forged_header_makes_no_new_client_and_a_trusted_proxys_does(tmp_path: Path) -> None:
    for proxies, expected in ((0, [404, 429]), (1, [404, 404])):
        with made(tmp_path, LABEL_RATE_LIMIT="1 per minute", TRUSTED_PROXIES=proxies) as app:
            assert expected == [
                put(app, headers={"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(2)
            ]


@pytest.mark.process
def test_where_no_limit_is_on_no_library_is_loaded_for_it(tmp_path: Path) -> None:
    code = (
        "import sys; from flaskapi import create_app; "
        "create_app(); print('flask_limiter' in sys.modules)"
    )
    for limit, loaded in (("off", "False"), ("60 per minute", "True")):
        environment = {
            "FLASKAPI_INSTANCE_PATH": str(tmp_path),
            "FLASKAPI_LABEL_RATE_LIMIT": limit,
            "FLASKAPI_STORE": "off",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
        }
        asked = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert loaded == asked.stdout.strip()


@pytest.mark.parametrize(
    "value",
    [
        "60",
        "0 per minute",
        "60/minute",
        "-1 per minute",
        "60 per fortnight",
        "1 per minute; 2 per hour",
        60,
    ],
)
def test_a_rate_of_another_form_stops_the_start(tmp_path: Path, value: Any) -> None:
    for name in ("LABEL_RATE_LIMIT", "PREDICT_RATE_LIMIT"):
        with pytest.raises(SettingError, match=f"{name} in create_app: expected off, or a rate"):
            create_app({"INSTANCE_PATH": tmp_path, name: value})


@pytest.mark.parametrize("value", ["memory://", "memcached://127.0.0.1", "", "secret"])
def test_another_storage_stops_the_start_without_showing_it(tmp_path: Path, value: str) -> None:
    with pytest.raises(
        SettingError, match="expected memory, or redis://HOST:PORT/NUMBER, found something else"
    ):
        create_app({"INSTANCE_PATH": tmp_path, "RATE_LIMIT_STORAGE": value})


class Redis:
    """A Redis server on a loopback port of its own, which keeps nothing on a disk."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        command = [
            "redis-server",
            "--port",
            str(self._port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


@pytest.mark.redis
def test_in_redis_the_processes_count_together_and_no_address_is_there(
    tmp_path: Path, redis: Redis
) -> None:
    from redis import Redis as Connection

    settings = {"LABEL_RATE_LIMIT": "3 per minute", "RATE_LIMIT_STORAGE": redis.url}
    with made(tmp_path, **settings) as first, made(tmp_path, **settings) as second:
        assert [404, 404, 404, 429, 429] == [
            put(app) for app in (first, second, first, second, first)
        ]
        with contextlib.closing(Connection.from_url(redis.url)) as connection:
            (key,) = connection.keys()
            assert b"LABEL_RATE_LIMIT" in key
            assert b"192.0.2.1" not in key


@pytest.mark.redis
def test_while_redis_is_down_each_process_counts_for_itself(tmp_path: Path, redis: Redis) -> None:
    with made(tmp_path, LABEL_RATE_LIMIT="2 per minute", RATE_LIMIT_STORAGE=redis.url) as app:
        assert 404 == put(app)
        redis.stop()
        begun_s = time.monotonic()
        assert [404, 404, 429] == [put(app) for _ in range(3)]
        assert time.monotonic() - begun_s < 3


@pytest.mark.redis
def test_a_service_starts_while_redis_is_down(tmp_path: Path, redis: Redis) -> None:
    redis.stop()
    with made(tmp_path, LABEL_RATE_LIMIT="1 per minute", RATE_LIMIT_STORAGE=redis.url) as app:
        assert [404, 429] == [put(app) for _ in range(2)]
