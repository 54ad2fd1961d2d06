"""Batches that a worker answers: the same as at once, for who sent them. That no answer is lost
with a worker, `tests/commands/test_batches.py` shows.
"""

import base64
import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from archives import make_tar, make_zip
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask
from flask.testing import FlaskClient
from operators import SOME_ID, bearing, make_app, operator, place_empty_store, store_of
from problems import read_problem

from flaskapi import create_app
from flaskapi.errors import ModelUnavailableError, StoreUnavailableError
from flaskapi.submissions import batches
from flaskapi.submissions.database import Database
from flaskapi.submissions.keys import make_key
from flaskapi.submissions.tables import submissions
from flaskapi.web.batch_worker import BatchWorker

LATER = {"Prefer": "respond-async"}
DIGIT, PAGE = encode(draw_digit(7, side=28)), encode(draw_digit(7))
FILES = [("a.png", DIGIT), ("no picture.txt", b"a text"), ("b.png", PAGE), ("empty.png", b"")]


def worker_of(app: Flask) -> BatchWorker:
    store = Database(f"sqlite:///{app.instance_path}/submissions.db", "process")
    return BatchWorker(app, store, poll_s=0.01)


def post(client: FlaskClient, query: str = "", **options: Any) -> Any:
    headers = {**LATER, **options.pop("headers", {})}
    options = options or {"data": make_zip(FILES), "content_type": "application/zip"}
    return client.post(f"/predict/batch{query}", headers=headers, **options)


def without_ids(value: Any) -> Any:
    """An answer without what is another's each time: ids of images and requests."""
    text = value if isinstance(value, str) else json.dumps(value)
    for name in ("id", "request_id"):
        parts = text.split(f'"{name}":')
        text = parts[0] + "".join(part[part.index('"', 2) :] for part in parts[1:])
    return text


WAYS: dict[str, dict[str, Any]] = {
    "a ZIP": {"data": make_zip(FILES), "content_type": "application/zip"},
    "a tar that ends early": {
        "data": make_tar(FILES)[:2000],
        "content_type": "application/x-tar",
    },
    "JSON": {"json": {"images": [{"name": "x", "image": "nonsense"}, "iVBORw0KGgo="]}},
    "a form": {},
}


def sent(way: str) -> dict[str, Any]:
    """The body; a file of a form is read once."""
    return {"data": {"file": (io.BytesIO(DIGIT), "7.png")}} if way == "a form" else WAYS[way]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("query", ["", "?route=number", "?keep=false"])
@pytest.mark.parametrize("form", ["application/json", "application/x-ndjson", "text/csv"])
def test_the_answer_is_the_one_that_is_given_at_once(
    keeping: Flask, way: str, query: str, form: str
) -> None:
    client = keeping.test_client()
    headers = {"X-Request-ID": "mine", "Accept": form, "User-Agent": "curl/8"}
    accepted = post(client, query, **sent(way), headers=headers)
    assert (202, "respond-async") == (
        accepted.status_code,
        accepted.headers["Preference-Applied"],
    )
    at_once = client.post(f"/predict/batch{query}", **sent(way), headers=headers)
    assert 1 == worker_of(keeping).run(watch=False)
    state = client.get(accepted.headers["Location"]).get_json()
    later = client.get(state["results"], headers={"Accept": form})
    assert at_once.content_type == later.content_type
    if form == "text/csv":
        assert [line.rpartition(",")[0] for line in at_once.text.splitlines()] == [
            line.rpartition(",")[0] for line in later.text.splitlines()
        ]
    else:
        assert without_ids(at_once.text.replace(" ", "")) == without_ids(
            later.text.replace(" ", "")
        )


def test_progress_can_be_watched_and_says_that_no_worker_is_there(keeping: Flask) -> None:
    client = keeping.test_client()
    accepted = post(client)
    state = accepted.get_json()
    assert ("requested", None, None, 0) == (
        *(state["state"], state["images"], state["results"], state["answered"]),
    )
    assert accepted.headers["Location"] == f"/batches/{state['id']}"
    assert state == client.get(accepted.headers["Location"]).get_json()
    assert "No worker was heard of" in state["note"]
    assert "flaskapi batches --watch" in state["note"]
    early = client.get(f"{accepted.headers['Location']}/results")
    assert (409, "conflict") == read_problem(early)

    taken = batches.claim(store_of(keeping), "a")
    assert taken
    taken = batches.count(store_of(keeping), taken, 4)
    database = worker_of(keeping)._store
    batches.answer(database, taken, ['{"name":"a.png"}'], 0, [])
    state = client.get(accepted.headers["Location"]).get_json()
    assert ("running", 4, 1, 0.25) == (
        *(state["state"], state["images"], state["answered"], state["progress"]),
    )
    assert state["seconds_left"] >= 0

    batches.note_worker(store_of(keeping), batches.datetime.now(batches.UTC))
    assert "1 batches wait" in post(client).get_json()["note"]


def test_what_is_kept_is_kept_once_under_the_batch_s_id(keeping: Flask) -> None:
    client = keeping.test_client()
    state = post(client).get_json()
    post(client, "?keep=false")
    worker_of(keeping).run(watch=False)
    found = store_of(keeping).run(
        lambda connection: connection.execute(
            sa.select(submissions.c.id, submissions.c.batch, submissions.c.route)
        ).all(),
        reads=True,
    )
    results = client.get(f"/batches/{state['id']}/results").get_json()["results"]
    ids = [one["id"] for one in results if "id" in one]
    assert ids == [str(row.id) for row in found]
    assert {(state["id"], "/predict/batch")} == {(str(row.batch), row.route) for row in found}


def test_a_request_that_cannot_be_read_is_refused_at_once(keeping: Flask) -> None:
    client = keeping.test_client()
    for options, status in (
        ({"data": b"a text", "content_type": "application/zip"}, 415),
        ({"data": b"", "content_type": "application/zip"}, 400),
        ({"json": {"images": []}}, 400),
        ({"data": b"{", "content_type": "application/json"}, 400),
    ):
        assert status == post(client, **options).status_code
    assert 400 == post(client, "?route=letters").status_code
    assert 0 == worker_of(keeping).run(watch=False)


@pytest.mark.parametrize(
    "prefer", ["wait=10", 'note="a, respond-async"', "respond-asynchronously", ""]
)
def test_another_preference_is_none_for_this(keeping: Flask, prefer: str) -> None:
    answer = post(keeping.test_client(), headers={"Prefer": prefer})
    assert (200, 4) == (answer.status_code, len(answer.get_json()["results"]))


def test_several_preferences_can_be_named(keeping: Flask) -> None:
    answer = post(keeping.test_client(), headers={"Prefer": "wait=10, Respond-Async; x=y"})
    assert 202 == answer.status_code


def test_without_a_store_the_answer_comes_at_once(app: Flask) -> None:
    answer = post(app.test_client())
    assert (200, None) == (answer.status_code, answer.headers.get("Preference-Applied"))
    assert 404 == app.test_client().get(f"/batches/{SOME_ID}").status_code


def test_with_a_store_that_fails_the_answer_comes_at_once(
    keeping: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the body that was received already."""

    def fail(*_: Any) -> None:
        raise StoreUnavailableError("The disk is full.")

    client = keeping.test_client()
    for function in ("begin", "send", "admit"):
        with monkeypatch.context() as patch:
            patch.setattr(batches, function, fail)
            answer = post(client)
        assert (200, 4) == (answer.status_code, len(answer.get_json()["results"]))
    assert 0 == worker_of(keeping).run(watch=False)


def test_a_page_of_another_origin_is_answered_at_once_and_nothing_of_it_is_kept(
    keeping: Flask,
) -> None:
    answer = post(keeping.test_client(), headers={"Origin": "https://example.org"})
    assert 200 == answer.status_code
    assert {None} == {one.get("id") for one in answer.get_json()["results"]}


def test_only_its_sender_and_operators_see_what_was_sent_with_a_key(keeping: Flask) -> None:
    client, store = keeping.test_client(), store_of(keeping)
    keys = {name: bearing(make_key(store, name, scopes=("predict",))) for name in ("bob", "carol")}
    address = post(client, headers=keys["bob"]).headers["Location"]
    worker_of(keeping).run(watch=False)
    for headers, status in (
        (keys["bob"], 200),
        (operator(keeping), 200),
        (keys["carol"], 404),
        ({}, 404),
        (bearing("flaskapi_wrong"), 401),
    ):
        for path in (address, f"{address}/results"):
            assert status == client.get(path, headers=headers).status_code
        if status != 200:
            assert status == client.delete(address, headers=headers).status_code
    assert 204 == client.delete(address, headers=keys["bob"]).status_code
    assert 404 == client.get(address, headers=keys["bob"]).status_code


def test_a_cancelled_batch_is_not_answered(keeping: Flask) -> None:
    client = keeping.test_client()
    address = post(client).headers["Location"]
    assert 204 == client.delete(address).status_code
    assert 404 == client.delete(address).status_code
    assert 0 == worker_of(keeping).run(watch=False)


def test_a_sender_has_only_so_many_at_once(tmp_path: Path) -> None:
    app = make_app(tmp_path, MAX_ASYNC_BATCHES=2, MAX_ASYNC_BYTES=100_000)
    client = app.test_client()
    for _ in range(2):
        assert 202 == post(client).status_code
    answer = post(client)
    assert "2 batches" in answer.get_json()["detail"]
    assert (429, "60") == (answer.status_code, answer.headers["Retry-After"])
    large = {"data": make_zip([("a.png", bytes(200_000))], 0), "content_type": "application/zip"}
    assert 413 == post(client, **large).status_code
    store_of(app).close()


class FailsOnce(FixedClassifier):
    """A classifier that cannot answer at first."""

    failed = False

    def probabilities(self, batch: Any) -> Any:
        if not self.failed:
            self.failed = True
            raise ModelUnavailableError("Not yet.")
        return super().probabilities(batch)


def test_a_batch_waits_for_a_model_that_fails(tmp_path: Path) -> None:
    place_empty_store(tmp_path)
    app = create_app({"INSTANCE_PATH": tmp_path, "STORE": "on"}, classifier=FailsOnce())
    client = app.test_client()
    address = post(client).headers["Location"]
    assert 1 == worker_of(app).run(watch=False)
    state = client.get(address).get_json()
    assert ("done", 4, 2) == (state["state"], state["answered"], state["failed"])
    store_of(app).close()


def test_a_worker_waits_for_room_on_its_disk(
    keeping: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the batch, and no attempt."""
    client = keeping.test_client()
    address = post(client).headers["Location"]
    failures = iter([True, True])

    class Disk(io.BytesIO):
        def __init__(self, *_: Any) -> None:
            super().__init__()

        def write(self, data: Any) -> int:
            if next(failures, False):
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr("flaskapi.web.batch_worker.tempfile.SpooledTemporaryFile", Disk)
    assert 1 == worker_of(keeping).run(watch=False)
    state = client.get(address).get_json()
    assert ("done", len(FILES)) == (state["state"], state["answered"])


def test_an_unforeseen_error_while_images_are_counted_ends_the_batch_and_no_worker(
    keeping: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = keeping.test_client()
    address = post(client).headers["Location"]

    def fail(items: Any) -> int:
        next(items)
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("flaskapi.web.batch_worker.count_images", fail)
    assert 1 == worker_of(keeping).run(watch=False)
    state = client.get(address).get_json()
    assert ("failed", 500) == (state["state"], state["error"]["status"])


def test_a_name_with_half_a_character_breaks_off_no_answer(keeping: Flask) -> None:
    images = [{"name": "a\ud800", "image": base64.b64encode(DIGIT).decode()}, "iVBORw0KGgo="]
    answer = keeping.test_client().post(
        "/predict/batch", json={"images": images}, headers={"Accept": "text/csv"}
    )
    assert ["a?", "images[1]"] == [line.split(",")[0] for line in answer.text.splitlines()[1:]]
