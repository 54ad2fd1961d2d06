"""Asking for a retraining and watching it; who may, `test_access.py` holds."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from operators import SOME_ID, operator, store_of
from problems import read_problem

from flaskapi.submissions import retrainings


def test_a_request_is_accepted_and_can_be_watched_where_the_answer_says(keeping: Flask) -> None:
    client, ada = keeping.test_client(), operator(keeping)
    response = client.post("/retrainings", headers=ada)
    asked = response.get_json()
    assert (202, f"/retrainings/{asked['id']}") == (
        response.status_code,
        response.headers["Location"],
    )
    assert ("requested", "ada", 0.0, {}, None, None) == (
        *(
            asked["state"],
            asked["requested_by"],
            asked["progress"],
            asked["options"],
            asked["version"],
            asked["finished_at"],
        ),
    )
    assert "retrain --watch" in asked["note"]
    assert asked == client.get(response.headers["Location"], headers=ada).get_json()


def test_what_a_worker_tells_is_shown(keeping: Flask) -> None:
    client, ada, store = keeping.test_client(), operator(keeping), store_of(keeping)
    address = client.post("/retrainings", headers=ada).headers["Location"]
    taken = retrainings.claim(store, "a worker")
    assert taken is not None
    assert client.get(address, headers=ada).get_json()["seconds_left"] is None
    retrainings.hear(store, taken, 0.254321, "Training.\n", 90.0)
    shown = client.get(address, headers=ada).get_json()
    assert 80 < shown["seconds_left"] <= 90
    assert ("running", 0.254, "Training.\n", 1) == (
        shown["state"],
        shown["progress"],
        shown["log"],
        shown["attempts"],
    )
    retrainings.finish(
        store,
        taken,
        "promoted",
        "It is better.",
        version="2026-11-25-12345678",
        figures={"fixed": 9},
    )
    shown = client.get(address, headers=ada).get_json()
    assert ("promoted", "2026-11-25-12345678", {"fixed": 9}, 1.0) == (
        *(shown["state"], shown["version"], shown["figures"], shown["progress"]),
    )
    assert shown["seconds_left"] is None
    assert "note" not in shown, "nobody waits for a worker any more"
    for name in ("requested_at", "heard_at", "finished_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown[name]), name


def test_a_day_to_begin_with_and_whether_to_promote_can_be_said(keeping: Flask) -> None:
    options = {"since": "2026-11-01", "promote": False}
    response = keeping.test_client().post("/retrainings", json=options, headers=operator(keeping))
    assert (202, options) == (response.status_code, response.get_json()["options"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "not an object"),
        ({"until": "2026-11-01"}, "'until' is unknown"),
        ({"since": "yesterday"}, "'since' must be a day"),
        ({"since": 20261101}, "'since' must be a day"),
        ({"promote": "no"}, "'promote' must be true or false"),
    ],
)
def test_what_cannot_be_asked_for_is_named(keeping: Flask, body: Any, said: str) -> None:
    response = keeping.test_client().post("/retrainings", json=body, headers=operator(keeping))
    assert (400, "invalid-request") == read_problem(response)
    assert said in response.get_json()["detail"]


def test_what_was_never_asked_for_is_not_there(keeping: Flask) -> None:
    assert (404, "not-found") == read_problem(
        keeping.test_client().get(f"/retrainings/{SOME_ID}", headers=operator(keeping))
    )


def test_they_are_listed_the_newest_first_without_what_is_long(keeping: Flask) -> None:
    client, ada, store = keeping.test_client(), operator(keeping), store_of(keeping)
    asked = [client.post("/retrainings", headers=ada).get_json()["id"] for _ in range(3)]
    taken = retrainings.claim(store, "a worker")
    assert taken is not None
    figures = {"fixed": 11, "broken": 0, "suspicious_ids": ["x"] * 1000}
    retrainings.finish(store, taken, "promoted", "Long.", version="v", figures=figures)
    first = client.get("/retrainings?limit=2", headers=ada).get_json()
    second = client.get(first["next"], headers=ada).get_json()
    listed = [one for page in (first, second) for one in page["retrainings"]]
    assert asked[::-1] == [one["id"] for one in listed]
    assert ({"fixed": 11, "broken": 0}, "promoted", True) == (
        listed[-1]["figures"],
        listed[-1]["state"],
        "log" not in listed[-1],
    )
    assert second["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=x", "state=failed"])
def test_a_page_that_cannot_be_is_refused(keeping: Flask, query: str) -> None:
    response = keeping.test_client().get(f"/retrainings?{query}", headers=operator(keeping))
    assert (400, "invalid-request") == read_problem(response)


def test_one_that_has_not_ended_can_be_withdrawn_and_its_worker_loses_it(keeping: Flask) -> None:
    client, store = keeping.test_client(), store_of(keeping)
    with_key = operator(keeping)
    first, second = (
        client.post("/retrainings", headers=with_key).get_json()["id"] for _ in range(2)
    )
    taken = retrainings.claim(store, "a worker")
    assert taken is not None
    assert first == str(taken.id)
    for id in (first, second):
        answer = client.delete(f"/retrainings/{id}", headers=with_key).get_json()
        assert "withdrawn" == answer["state"]
        assert answer["finished_at"]
    assert not retrainings.hear(store, taken, 0.5, "Training.")
    assert retrainings.claim(store, "another worker") is None
    again = client.delete(f"/retrainings/{first}", headers=with_key)
    assert (409, "conflict") == read_problem(again)
    assert 404 == client.delete(f"/retrainings/{SOME_ID}", headers=with_key).status_code


def test_whether_there_is_a_worker_is_said_at_once(keeping: Flask) -> None:
    client, store = keeping.test_client(), store_of(keeping)
    with_key = operator(keeping)
    note = client.post("/retrainings", headers=with_key).get_json()["note"]
    assert "No worker was heard of in the last three minutes." in note
    assert "retrain --watch" in note
    retrainings.note_worker(store, datetime.now(UTC))
    note = client.post("/retrainings", headers=with_key).get_json()["note"]
    assert "A worker is there; 2 retrainings wait for one." == note
