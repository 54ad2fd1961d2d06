"""Lines of the log: what stands in one for each request, and what never does."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask import Flask
from flask.logging import default_handler
from hypothesis import given
from hypothesis import strategies as st

from flaskapi import create_app
from flaskapi.errors import SettingError
from flaskapi.submissions import TOKEN_PREFIX
from flaskapi.submissions.keys import make_key
from flaskapi.web import log

PNG = encode(draw_digit(7, side=28))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Make = Callable[..., Flask]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes applications that log, and leaves their logger as it was."""
    made: list[Flask] = []

    def make_one(**settings: Any) -> Flask:
        values = {"INSTANCE_PATH": tmp_path, "UNCERTAIN_BELOW": 0.5}
        made.append(
            create_app(values | settings, classifier=FixedClassifier(), detector=FixedDetector())
        )
        return made[-1]

    yield make_one
    logger = logging.getLogger("flaskapi")
    for handler in [*logger.handlers]:
        if isinstance(handler, log._Descriptor | log._File):
            logger.removeHandler(handler)
            handler.close()
    logger.addHandler(default_handler)
    for app in made:
        app.extensions["flaskapi"].store.close()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "lines.json").read_text().splitlines()]


def test_a_request_is_one_line_of_json(make: Make, tmp_path: Path) -> None:
    app = make(LOG_FORMAT="json", LOG_FILE="lines.json", STORE="on")
    headers = {"X-Request-ID": "mine-1", "traceparent": TRACE}
    answer = app.test_client().post("/predict?keep=true", data=PNG, headers=headers)
    line = lines(tmp_path)[-1]
    assert {"all", "decode", "prepare", "classify", "store"} == set(line.pop("ms"))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "request_id": "mine-1",
        "traceparent": TRACE,
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "received_bytes": len(PNG),
        "sent_bytes": len(answer.data),
        "key": None,
        "model": FixedClassifier.version,
    }


def test_a_batch_is_logged_when_its_answer_has_ended(make: Make, tmp_path: Path) -> None:
    app = make(LOG_FORMAT="json", LOG_FILE="lines.json")
    files = {"file": [(io.BytesIO(PNG), name) for name in ("1.png", "2.png")]}
    before = len(lines(tmp_path))
    answer = app.test_client().post(
        "/predict/batch", data=files, headers={"Accept": "application/x-ndjson"}
    )
    assert before == len(lines(tmp_path))
    assert 2 == len(answer.data.split())
    answer.close()
    line = lines(tmp_path)[-1]
    assert ("/predict/batch", FixedClassifier.version) == (line["route"], line["model"])
    assert {"decode", "classify"} < set(line["ms"])


def test_the_key_is_named_and_nothing_secret_is_written(make: Make, tmp_path: Path) -> None:
    """No key, no address, no picture, no query, whatever is answered."""
    app = make(LOG_FORMAT="json", LOG_FILE="lines.json", STORE="on")
    token = make_key(app.extensions["flaskapi"].store, "ada", scopes=("predict",))
    client = app.test_client()
    options: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": "192.0.2.77"}}
    for bearer in (token, token + "x", token[len(TOKEN_PREFIX) :]):
        headers = {"Authorization": f"Bearer {bearer}"}
        client.post(f"/predict?key={token}", data=PNG, headers=headers, **options)
        client.post("/predict", data=PNG, headers=headers, **options)
        client.get("/keys", headers=headers, **options)
    text = (tmp_path / "lines.json").read_text()
    assert "ada" in {line.get("key") for line in lines(tmp_path)}
    assert token[len(TOKEN_PREFIX) :] not in text
    assert "192.0.2.77" not in text
    assert "PNG" not in text
    assert "?" not in "".join(line.get("route") or "" for line in lines(tmp_path))


def test_what_is_no_request_has_a_message_and_a_fault_its_traceback(
    make: Make, tmp_path: Path
) -> None:
    app = make(LOG_FORMAT="json", LOG_FILE="lines.json")
    app.add_url_rule("/fault", view_func=lambda: 1 / 0)
    app.logger.info('said "so"\nand so')
    app.test_client().get("/fault", headers={"X-Request-ID": "the-fault"})
    said, fault, request = lines(tmp_path)[-3:]
    assert ('said "so"\nand so', "-") == (said["message"], said["request_id"])
    assert ("ERROR", "the-fault") == (fault["level"], fault["request_id"])
    assert "ZeroDivisionError" in fault["exception"]
    assert (500, "the-fault") == (request["status"], request["request_id"])


@pytest.mark.parametrize("sent", ["", "00-1-2-03", TRACE.upper(), TRACE + "-x", 'a"}\n{"b'])
def test_a_traceparent_that_is_none_is_not_passed_on(make: Make, tmp_path: Path, sent: str) -> None:
    app = make(LOG_FORMAT="json", LOG_FILE="lines.json")
    app.test_client().get("/health/live", environ_overrides={"HTTP_TRACEPARENT": sent})
    assert lines(tmp_path)[-1]["traceparent"] is None


def test_a_file_that_was_moved_away_is_written_anew(make: Make, tmp_path: Path) -> None:
    client = make(LOG_FORMAT="json", LOG_FILE="lines.json").test_client()
    client.get("/health/live")
    (tmp_path / "lines.json").rename(tmp_path / "lines.json.1")
    client.get("/problems/")
    assert ["/problems/"] == [line["route"] for line in lines(tmp_path)]


def test_a_file_that_cannot_be_written_stops_the_start(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="LOG_FILE cannot be written"):
        make(LOG_FORMAT="json", LOG_FILE="file/lines.json")


def test_a_person_sees_a_short_line_for_each_request(
    make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    client = make(LOG_FORMAT="requests").test_client()
    client.post("/predict?include=normalized", data=PNG)
    client.get("/no%1b[31mthing%0d%0a.")
    predict, nothing = capfd.readouterr().err.splitlines()
    assert " 200 POST /predict " in predict
    assert "classify" in predict
    assert nothing[8:].startswith(" 404 GET /no%1B%5B31mthing%0D%0A. ")


@pytest.mark.parametrize(
    ("variable", "is_terminal", "colored"),
    [("", True, True), ("", False, False), ("FORCE_COLOR", False, True), ("NO_COLOR", True, False)],
)
def test_lines_are_coloured_on_a_terminal_unless_told_otherwise(
    make: Make,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    is_terminal: bool,
    colored: bool,
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(log.os, "isatty", lambda _: is_terminal)
    make(LOG_FORMAT="requests").test_client().get("/nothing")
    assert colored == ("\x1b[33m404\x1b[0m" in capfd.readouterr().err)


@given(st.text())
def test_a_message_moves_no_terminals_cursor(message: str) -> None:
    record = logging.LogRecord("flaskapi", logging.ERROR, "", 0, "%s", (message,), None)
    line = log._Person(False).format(record)
    assert {"\n", "\t"} >= {
        letter for letter in line if ord(letter) < 32 or 127 <= ord(letter) < 160
    }


def test_text_has_no_line_for_a_request(
    make: Make, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make(LOG_FORMAT="text", LOG_FILE="log/text").test_client().get("/health/live")
    assert "" == (tmp_path / "log" / "text").read_text()
    assert "" == capfd.readouterr().err
