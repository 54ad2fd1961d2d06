"""Operators label many submissions at once, and see how far they are."""

from pathlib import Path
from typing import Any

import pytest
from fakes import draw_digit, encode
from flask import Flask
from operators import SOME_ID, make_app, operator, store_of
from problems import read_problem

from flaskapi.contract.bodies import MOST_LABELS


def send(app: Flask, digit: int, path: str = "/predict") -> str:
    """Send an image; its id."""
    image = encode(draw_digit(digit, side=28))
    answer = app.test_client().post(path, data=image, content_type="image/png").get_json()
    identifier: str = answer["id"]
    return identifier


def test_many_labels_are_kept_together_and_what_is_wrong_with_one_stops_no_other(
    keeping: Flask,
) -> None:
    ada = operator(keeping)
    one, two, number = send(keeping, 1), send(keeping, 2), send(keeping, 3, "/predict/number")
    client = keeping.test_client()
    said = [
        {"id": one, "digit": 1},
        {"id": SOME_ID, "digit": 1},
        {"id": number, "digit": 3},
        {"id": two, "digit": None, "reason": "a letter"},
        {"id": number, "number": "33"},
    ]
    answer = client.post("/labels", json={"labels": said}, headers=ada).get_json()
    assert (3, 2) == (answer["succeeded"], answer["failed"])
    assert [label["id"] for label in said] == [result["id"] for result in answer["results"]]
    assert ["/problems/not-found", "/problems/invalid-request"] == [
        result["error"]["type"] for result in answer["results"] if "error" in result
    ]
    assert {"id": one, "label": "1", "label_source": "operator"} == answer["results"][0]
    assert {"labelled": 2, "uncertain": 0} == client.get("/labels", headers=ada).get_json()
    back = client.post("/labels", json={"labels": [{"id": one, "withdraw": True}]}, headers=ada)
    assert [{"id": one, "label": None, "label_source": None}] == back.get_json()["results"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "no list 'labels'"),
        ([], "no list 'labels'"),
        ({"labels": []}, "no list 'labels'"),
        ({"labels": [1], "more": 1}, "no list 'labels'"),
        (
            {"labels": [{"id": SOME_ID, "digit": 1}] * (MOST_LABELS + 1)},
            f"at most {MOST_LABELS} together",
        ),
        ({"labels": [{"id": SOME_ID, "digit": 1}, {"id": "7", "digit": 1}]}, "labels[1]"),
        ({"labels": [{"digit": 1}]}, "labels[0]: The field 'id'"),
        ({"labels": [{"id": SOME_ID, "digit": 10}]}, "labels[0]: The field 'digit'"),
        ({"labels": [{"id": SOME_ID, "withdraw": False}]}, "labels[0]: The field 'withdraw'"),
        ({"labels": ["7"]}, "labels[0]: The JSON is not an object"),
    ],
)
def test_what_is_no_list_of_labels_is_refused_by_name_and_none_is_kept(
    keeping: Flask, body: Any, named: str
) -> None:
    response = keeping.test_client().post("/labels", json=body, headers=operator(keeping))
    assert (400, "invalid-request") == read_problem(response)
    assert named in response.get_json()["detail"]


def test_the_least_sure_are_listed_page_by_page_until_they_are_labelled(tmp_path: Path) -> None:
    app = make_app(tmp_path, UNCERTAIN_BELOW=1.0)
    client, ada = app.test_client(), operator(app)
    ids = [send(app, digit) for digit in range(3)]  # all as sure: the newest goes first
    found, address = [], "/submissions?order=uncertain&limit=2"
    while address:
        page = client.get(address, headers=ada).get_json()
        found += [one["id"] for one in page["submissions"]]
        address = page["next"]
    assert ids[::-1] == found
    assert {"labelled": 0, "uncertain": 3} == client.get("/labels", headers=ada).get_json()
    said = [{"id": ids[2], "digit": 2}, {"id": ids[0], "digit": 0}]
    assert 200 == client.post("/labels", json={"labels": said}, headers=ada).status_code
    page = client.get("/submissions?order=uncertain", headers=ada).get_json()
    assert ([ids[1]], None) == ([one["id"] for one in page["submissions"]], page["next"])
    store_of(app).close()


@pytest.mark.parametrize(
    "query", ["label=any", "uncertain=false", "disagreement=true", "cursor=" + "A" * 22]
)
def test_with_that_order_other_filters_and_cursors_are_refused(keeping: Flask, query: str) -> None:
    address = f"/submissions?order=uncertain&{query}"
    refused = keeping.test_client().get(address, headers=operator(keeping))
    assert (400, "invalid-request") == read_problem(refused)
