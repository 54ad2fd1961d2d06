import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pytest
from fakes import draw_digit, encode, make_submission
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from operators import SOME_ID, operator, store_of
from problems import read_problem

from flaskapi.errors import InvalidRequestError
from flaskapi.web.submissions import read_cursor, write_cursor

PNG = encode(draw_digit(7, side=28))


@pytest.fixture
def client(keeping: Flask) -> FlaskClient:
    """A client that bears an operator's key with each request."""
    client, headers = keeping.test_client(), operator(keeping)
    client.environ_base["HTTP_AUTHORIZATION"] = headers["Authorization"]
    return client


def predict(client: FlaskClient, path: str = "/predict", image: bytes = PNG) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(path, data=image, content_type="image/png").get_json()
    return answer


def ids(client: FlaskClient, query: str = "") -> list[str]:
    return [one["id"] for one in client.get(f"/submissions{query}").get_json()["submissions"]]


def test_a_page_says_of_each_what_was_answered_and_where_its_pictures_are(
    client: FlaskClient,
) -> None:
    digit, number = predict(client), predict(client, "/predict/number")
    client.put(f"/submissions/{digit['id']}/label", json={"digit": 9})
    newest, oldest = client.get("/submissions").get_json()["submissions"]
    place = f"/submissions/{digit['id']}"
    assert {
        **{name: digit[name] for name in ("id", "digit", "confidence", "uncertain", "model")},
        **{"route": "/predict", "batch": None, "label": "9", "label_source": "operator"},
        **{
            "image": f"{place}/image",
            "normalized": f"{place}/normalized",
            "received_at": oldest["received_at"],
        },
    } == oldest
    assert (
        abs(datetime.now(UTC) - datetime.fromisoformat(oldest["received_at"])).total_seconds() < 60
    )
    assert {name: number[name] for name in ("id", "number", "lines")} == {
        name: newest[name] for name in ("id", "number", "lines")
    }
    assert (None, None, None) == (newest["normalized"], newest["label"], newest["label_source"])


def test_pages_are_followed_by_their_next_and_stay_as_they_were_while_others_send(
    client: FlaskClient,
) -> None:
    sent = [predict(client, image=encode(draw_digit(7, side=40 + side)))["id"] for side in range(5)]
    found, address = (
        list[str](),
        "/submissions?limit=2&uncertain=false&route=/predict&since=2026-01-01",
    )
    while address:
        page = client.get(address).get_json()
        found += [one["id"] for one in page["submissions"]]
        address = page["next"]
        predict(client)
    assert sent[::-1] == found


def test_filters_are_those_of_the_query(client: FlaskClient) -> None:
    digit, number = predict(client)["id"], predict(client, "/predict/number")["id"]
    client.put(f"/submissions/{digit}/label", json={"digit": None})
    for query, expected in {
        "?digit=7": [digit],  # and not the number 7
        "?digit=3": [],
        "?label=none": [digit],
        "?label=missing": [number],
        "?disagreement=true": [digit],
        "?disagreement=false": [],
        "?uncertain=true": [],
        "?model=2026-01-01-00000000&route=/predict/number": [number],
        "?since=2026-01-01T00:00:00%2B01:00&until=2099-01-01": [number, digit],
        "?until=2026-01-01": [],
        "?limit=1": [number],
    }.items():
        assert expected == ids(client, query), query


@pytest.mark.parametrize(
    ("query", "field"),
    {
        "digit=10": "digit",
        "label=seven": "label",
        "disagreement=yes": "disagreement",
        "uncertain=": "uncertain",
        "model=a b": "model",
        "route=predict": "route",
        "since=yesterday": "since",
        "since=2026-13-01": "since",
        "until=2026-11-25T25:00": "until",
        "limit=0": "limit",
        "limit=201": "limit",
        "cursor=abc": "cursor",
        "cursor=AAAAAAAAAAAAAAAAAAAAAB": "cursor",
        "page=2": "page",
    }.items(),
)
def test_a_query_that_is_not_understood_is_refused_by_name(
    client: FlaskClient, query: str, field: str
) -> None:
    response = client.get(f"/submissions?{query}")
    assert (400, "invalid-request") == read_problem(response)
    assert f"'{field}'" in response.get_json()["detail"]


def test_one_submission_has_all_that_is_kept_of_it_and_what_was_said_of_it(
    client: FlaskClient,
) -> None:
    digit, number = predict(client), predict(client, "/predict/number")
    for label in ({"digit": 9}, {"digit": None, "reason": "a letter"}):
        client.put(f"/submissions/{digit['id']}/label", json=label)
    client.delete(f"/submissions/{digit['id']}/label")
    found = client.get(f"/submissions/{digit['id']}").get_json()
    assert (digit["probabilities"], "image/png", len(PNG)) == tuple(
        found[name] for name in ("probabilities", "media_type", "size_bytes")
    )
    said = [
        (one["label"], one["reason"], one["source"], one["key_name"]) for one in found["labels"]
    ]
    assert [("9", None), ("none", "a letter"), (None, None)] == [one[:2] for one in said]
    assert {("operator", "ada")} == {one[2:] for one in said}
    assert number["digits"] == client.get(f"/submissions/{number['id']}").get_json()["digits"]


def test_an_image_comes_back_to_the_byte_and_no_browser_runs_it(client: FlaskClient) -> None:
    for form, media_type in {
        "PNG": "image/png",
        "JPEG": "image/jpeg",
        "GIF": "image/gif",
        "WEBP": "image/webp",
    }.items():
        image = encode(draw_digit(7), form)
        id = predict(client, image=image)["id"]
        response = client.get(f"/submissions/{id}/image")
        assert (200, image, media_type) == (
            response.status_code,
            response.data,
            response.content_type,
        )
        assert f'inline; filename="{id}.{form.lower()}"' == response.headers["Content-Disposition"]
        assert "nosniff" == response.headers["X-Content-Type-Options"]
        assert "default-src 'none'; sandbox" == response.headers["Content-Security-Policy"]
        assert "no-store" == response.headers["Cache-Control"]


def test_what_is_of_no_known_type_is_only_to_be_saved(keeping: Flask, client: FlaskClient) -> None:
    page = make_submission(
        image=b"<script>alert(1)</script>", media_type="application/octet-stream"
    )
    store_of(keeping).record([page])
    response = client.get(f"/submissions/{page.id}/image")
    assert "application/octet-stream" == response.content_type
    assert f'attachment; filename="{page.id}.bin"' == response.headers["Content-Disposition"]


def test_the_normalized_image_is_what_the_network_saw(client: FlaskClient) -> None:
    answer = client.post("/predict?include=normalized", data=PNG).get_json()
    response = client.get(f"/submissions/{answer['id']}/normalized")
    assert ("image/png", (28, 28)) == (
        response.content_type,
        cv2.imdecode(np.frombuffer(response.data, np.uint8), -1).shape,
    )
    assert base64.b64decode(answer["normalized"].partition(",")[2]) == response.data


def test_a_number_has_no_normalized_image(client: FlaskClient) -> None:
    assert (404, "not-found") == read_problem(
        client.get(f"/submissions/{predict(client, '/predict/number')['id']}/normalized")
    )


def test_what_is_erased_is_gone_and_its_image_with_the_last_that_has_it(
    client: FlaskClient, keeping: Flask
) -> None:
    first, second = (f"/submissions/{predict(client)['id']}" for _ in range(2))
    client.put(f"{first}/label", json={"digit": 9})
    erased = client.delete(first)
    assert (204, b"") == (erased.status_code, erased.data)
    assert PNG == client.get(f"{second}/image").data
    for response in (
        client.get(first),
        client.get(f"{first}/image"),
        client.put(f"{first}/label", json={"digit": 9}),
        client.delete(first),
    ):
        assert (404, "not-found") == read_problem(response)


@pytest.mark.parametrize("path", ["", "/image", "/normalized"])
def test_what_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    assert (404, "not-found") == read_problem(client.get(f"/submissions/{SOME_ID}{path}"))
    assert (400, "invalid-request") == read_problem(
        client.get(f"/submissions/{SOME_ID}{path}?size=2")
    )


@given(st.uuids())
def test_a_cursor_is_read_as_it_was_written(id: UUID) -> None:
    assert id == read_cursor(write_cursor(id))


@given(st.from_regex(r"[\w-]{22}", fullmatch=True) | st.text())
def test_whatever_else_is_sent_as_a_cursor_is_refused(text: str) -> None:
    try:
        id = read_cursor(text)
    except InvalidRequestError:
        return
    assert id is not None
    assert text == write_cursor(id)
