"""What `/metrics` says of the present, and that a database which hangs holds up no scrape."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import FixedClassifier, draw_digit, encode, make_submission
from flask import Flask
from operators import store_of
from waiting import until

from flaskapi import create_app
from flaskapi.submissions import batches, retrainings
from flaskapi.submissions.keys import make_key
from flaskapi.web import gauges
from flaskapi.web.gauges import Gauges

PNG = encode(draw_digit(7, side=28))


def read(app: Flask, **options: Any) -> dict[str, float]:
    text = app.test_client().get("/metrics", **options).text
    found = re.findall(r"^(flaskapi_\S+) (\S+)$", text, re.M)
    return {series: float(value) for series, value in found}


@pytest.fixture(autouse=True)
def _asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gauges.__init__, "__kwdefaults__", {"every_s": 0.0, "wait_s": 30.0})


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = create_app({"INSTANCE_PATH": tmp_path, "STORE": "on"}, classifier=FixedClassifier())
    yield app
    store_of(app).close()


def test_the_version_that_serves_is_counted_by_processes(app: Flask) -> None:
    series = f'flaskapi_model_processes{{generation="0",version="{FixedClassifier.version}"}}'
    assert 1 == read(app)[series]
    assert 0 == read(app)["flaskapi_model_refused_processes"]


def test_labelled_answers_of_seven_days_are_counted_by_model_and_older_ones_are_not(
    app: Flask,
) -> None:
    now = datetime.now(UTC)
    for label, days in (("7", 0), ("7", 5), ("1", 6), ("1", 9)):
        received = now - timedelta(days=days)
        one = make_submission(label=label, label_source="operator", received_at=received)
        store_of(app).record([one])
    found = read(app)
    of = '{model="2026-01-01-00000000"}'
    assert (3, 2) == (
        found[f"flaskapi_labelled_answers{of}"],
        found[f"flaskapi_labelled_right_answers{of}"],
    )
    assert 4 == found["flaskapi_kept_submissions"]
    assert found["flaskapi_disk_free_bytes"] > 0


def test_drift_is_told_once_there_is_enough_to_tell_it_from(app: Flask) -> None:
    measured = {"ink_share": 0.5, "stroke_px": 9.0, "size_px": 30.0, "contrast": 90.0}
    store_of(app).record([make_submission(**measured) for _ in range(199)])
    assert not [name for name in read(app) if "drift" in name]
    store_of(app).record([make_submission(**measured)])
    assert 0.25 < read(app)['flaskapi_drift_index{measure="ink_share"}']
    assert 0.1 > read(app)['flaskapi_drift_index{measure="contrast"}']


def test_a_worker_is_alive_until_it_is_not_heard_of(app: Flask) -> None:
    store, now = store_of(app), datetime.now(UTC)
    assert "flaskapi_retraining_worker_up" not in read(app)
    retrainings.request(store, {}, None)
    retrainings.note_worker(store, now - timedelta(minutes=4))
    found = read(app)
    assert (0, 1) == (
        found["flaskapi_retraining_worker_up"],
        found["flaskapi_retrainings_waiting"],
    )
    retrainings.note_worker(store, now)
    assert 1 == read(app)["flaskapi_retraining_worker_up"]


def test_batches_that_wait_and_their_worker_are_told(app: Flask) -> None:
    store, now = store_of(app), datetime.now(UTC)
    assert "flaskapi_batch_worker_up" not in read(app)
    batches.note_worker(store, now - timedelta(minutes=2))
    found = read(app)
    assert (0, 0) == (found["flaskapi_batch_worker_up"], found["flaskapi_batches_waiting"])
    batches.note_worker(store, now)
    asked = {"json": {"images": ["iVBORw0KGgo="]}, "headers": {"Prefer": "respond-async"}}
    assert 202 == app.test_client().post("/predict/batch", **asked).status_code
    found = read(app)
    assert (1, 1) == (found["flaskapi_batch_worker_up"], found["flaskapi_batches_waiting"])


def test_others_than_this_machine_and_operators_see_counts_alone(app: Flask) -> None:
    elsewhere = {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}}
    key = make_key(store_of(app), "ada")
    label = make_key(store_of(app), "bob", scopes=("label",))
    seen = {
        token: "flaskapi_kept_submissions"
        in read(app, headers={"Authorization": f"Bearer {token}"}, **elsewhere)
        for token in (key, label, "flaskapi_wrong")
    }
    assert {key: True, label: False, "flaskapi_wrong": False} == seen
    assert "flaskapi_refused_images_total" in read(app, **elsewhere)


def test_a_database_that_fails_is_down_until_it_can_be_read(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise gauges.StoreUnavailableError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(gauges, "_of_kept", fail)
        found = read(app)
        assert 0 == found["flaskapi_store_up"]
        assert "flaskapi_kept_submissions" not in found
        assert "flaskapi_disk_free_bytes" in found
    until(lambda: read(app)["flaskapi_store_up"])  # a busy file may take longer than one waits


def test_a_database_that_hangs_holds_up_no_scrape_and_is_asked_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, asked = threading.Event(), []

    def hang(*_: object) -> list[Any]:
        asked.append(1)
        hanging.wait(60)
        return []

    monkeypatch.setattr(gauges, "_of_kept", hang)
    found = Gauges(every_s=0.0, wait_s=0.01)
    with app.test_request_context():
        for _ in range(3):
            assert b"flaskapi_store_up 0.0" in found.render(app)
        assert [1] == asked
        hanging.set()
        assert found._asking is not None
        found._asking.join(60)
        assert b"flaskapi_store_up 1.0" in Gauges(every_s=0.0, wait_s=60).render(app)


def test_where_nothing_is_kept_no_database_is_asked(tmp_path: Path) -> None:
    app = create_app({"INSTANCE_PATH": tmp_path, "STORE": "off"}, classifier=FixedClassifier())
    found = read(app)
    assert "flaskapi_disk_free_bytes" in found
    assert not [name for name in found if "store_up" in name or "kept" in name]
