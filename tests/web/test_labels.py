import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fakes import draw_digit, encode
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from operators import SOME_ID, bearing, make_app, operator, store_of
from problems import read_problem
from werkzeug.test import TestResponse

from flaskapi.errors import InvalidRequestError
from flaskapi.submissions.tables import labels
from flaskapi.web.labels import read_label

PNG = encode(draw_digit(7, side=28))
NINE = {"digit": 9}


def send(app: Flask, path: str = "/predict") -> str:
    """Send an image, and give the address of its label."""
    answer = app.test_client().post(path, data=PNG, content_type="image/png")
    return f"/submissions/{answer.get_json()['id']}/label"


def in_force(response: TestResponse) -> tuple[str | None, str | None]:
    assert 200 == response.status_code, response.text
    answer = response.get_json()
    assert ["id", "label", "label_source"] == list(answer)[:3]
    return answer["label"], answer["label_source"]


def test_whoever_has_the_id_may_say_what_it_really_was_and_take_it_back(keeping: Flask) -> None:
    client, label = keeping.test_client(), send(keeping)
    assert ("9", "sender") == in_force(client.put(label, json=NINE))
    assert ("4", "sender") == in_force(client.put(label, json={"digit": 4}))
    assert ("none", "sender") == in_force(
        client.put(label, json={"digit": None, "reason": "a letter"})
    )
    for _ in range(2):
        assert (None, None) == in_force(client.delete(label))


def test_a_number_is_labelled_with_a_number(keeping: Flask) -> None:
    client, label = keeping.test_client(), send(keeping, "/predict/number")
    assert ("005550123", "sender") == in_force(client.put(label, json={"number": "005550123"}))
    assert ("none", "sender") == in_force(client.put(label, json={"number": None}))


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [("/predict", {"number": "9"}, "'digit'"), ("/predict/number", NINE, "'number'")],
)
def test_the_wrong_kind_of_label_is_refused_and_the_right_one_named(
    keeping: Flask, path: str, body: dict[str, Any], field: str
) -> None:
    response = keeping.test_client().put(send(keeping, path), json=body)
    assert (400, "invalid-request") == read_problem(response)
    assert f"with {field}" in response.get_json()["detail"]


def test_an_operators_label_goes_before_a_senders_who_is_told_so(keeping: Flask) -> None:
    client, ada, label = keeping.test_client(), operator(keeping), send(keeping)
    assert ("4", "operator") == in_force(client.put(label, json={"digit": 4}, headers=ada))
    response = client.put(label, json=NINE)
    assert ("4", "operator") == in_force(response)
    assert "An operator's label outweighs" in response.get_json()["note"]
    response = client.delete(label)
    assert ("4", "operator") == in_force(response)
    assert response.get_json()["note"].startswith(
        "The senders' labels are withdrawn. An operator's label outweighs"
    )
    assert "note" not in client.put(label, json=NINE, headers=ada).get_json()
    assert (None, None) == in_force(client.delete(label, headers=ada))
    assert ("9", "sender") == in_force(client.put(label, json=NINE))


def test_who_bears_a_bad_key_is_not_taken_for_a_sender(keeping: Flask) -> None:
    client, label = keeping.test_client(), send(keeping)
    assert (403, "forbidden") == read_problem(
        client.put(label, json=NINE, headers=bearing("flaskapi_x"))
    )
    operator(keeping)
    assert (401, "unauthorized") == read_problem(
        client.put(label, json=NINE, headers=bearing("flaskapi_x"))
    )
    # A proxy's password.
    assert ("9", "sender") == in_force(
        client.put(label, json=NINE, headers={"Authorization": "Basic YTpi"})
    )


def test_there_is_no_label_of_an_unknown_id(keeping: Flask) -> None:
    client = keeping.test_client()
    for response in (
        client.put(f"/submissions/{SOME_ID}/label", json=NINE),
        client.delete(f"/submissions/{SOME_ID}/label"),
    ):
        assert (404, "not-found") == read_problem(response)
    assert (404, "not-found") == read_problem(client.put("/submissions/7/label", json=NINE))


def test_where_nothing_is_kept_there_is_nothing_to_label(tmp_path: Path) -> None:
    response = (
        make_app(tmp_path, STORE="off")
        .test_client()
        .put(f"/submissions/{SOME_ID}/label", json=NINE)
    )
    assert (404, "not-found") == read_problem(response)
    assert "STORE" in response.get_json()["detail"]


def test_two_senders_can_be_told_apart_and_their_addresses_are_not_kept(keeping: Flask) -> None:
    client, ada, label = keeping.test_client(), operator(keeping), send(keeping)
    for address, headers in (
        ("192.0.2.1", {}),
        ("192.0.2.2", {}),
        ("192.0.2.1", {}),
        ("192.0.2.1", ada),
    ):
        client.put(
            label, json={"digit": 1}, environ_overrides={"REMOTE_ADDR": address}, headers=headers
        )
    query = sa.select(labels.c.client).order_by(labels.c.id)
    first, second, again, operators = store_of(keeping).run(
        lambda connection: connection.execute(query).scalars().all(), reads=True
    )
    assert 16 == len(first)
    assert first == again
    assert first != second
    assert operators is None


BODIES = {
    "no JSON": b"{",
    "no object": b"9",
    "a list": b'[{"digit": 9}]',
    "null": b"null",
    "nothing": b"{}",
    "both": b'{"digit": 9, "number": "9"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_no_label_is_refused_and_changes_nothing(keeping: Flask, body: bytes) -> None:
    client, label = keeping.test_client(), send(keeping)
    client.put(label, json=NINE)
    assert (400, "invalid-request") == read_problem(
        client.put(label, data=body, content_type="application/json")
    )
    assert ("9", "sender") == in_force(client.put(label, json=NINE))


def test_a_label_that_is_not_sent_as_json_and_a_query_are_refused_with_how_to_do_it(
    keeping: Flask,
) -> None:
    client, label = keeping.test_client(), send(keeping)
    for response in (client.put(label, data=json.dumps(NINE)), client.put(label, data=NINE)):
        assert (400, "invalid-request") == read_problem(response)
        assert "application/json" in response.get_json()["detail"]
    assert (400, "invalid-request") == read_problem(client.put(f"{label}?digit=9", json=NINE))


DIGITS = st.integers(0, 9).map(lambda digit: ({"digit": digit}, (str(digit), "digit", None)))
NUMBERS = st.from_regex(r"[0-9]{1,256}", fullmatch=True).map(
    lambda number: ({"number": number}, (number, "number", None))
)
NONES = st.tuples(
    st.sampled_from(["digit", "number"]),
    st.none() | st.text(st.characters(categories=["L", "N", "P"]), min_size=1),
).map(lambda said: ({said[0]: None, "reason": said[1]}, ("none", said[0], said[1])))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(["digit", "number", "reason"])


@given(DIGITS | NUMBERS | NONES.filter(lambda said: len(said[0]["reason"] or "") <= 200))
def test_every_label_is_read_as_it_was_sent(said: tuple[dict[str, Any], Any]) -> None:
    assert said[1] == read_label(json.loads(json.dumps(said[0])))


@given(st.dictionaries(FIELDS | st.text(), VALUES) | VALUES)
def test_whatever_is_sent_is_a_label_or_refused(document: Any) -> None:
    """And what is taken can be kept by any database: digits and printable text."""
    try:
        label, field, reason = read_label(document)
    except InvalidRequestError:
        return
    assert label == "none" or (label.isascii() and label.isdigit())
    assert field in ("digit", "number")
    assert reason is None or reason.isprintable()


def test_a_whole_number_is_one_however_its_json_is_written() -> None:
    assert ("9", "digit", None) == read_label(json.loads('{"digit": 9.0}'))


@pytest.mark.parametrize("value", [True, False, -1, 10, 9.5, "9", "", [9], {"digit": 9}, 10**30])
def test_a_value_that_is_no_digit_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="'digit'"):
        read_label({"digit": value})


@pytest.mark.parametrize(
    "value", [5550123, "", "555-0123", "55 5", "12|3", "٣", "9\n", "9" * 257, True]
)
def test_a_value_that_is_no_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="'number'"):
        read_label({"number": value})


@pytest.mark.parametrize("reason", ["", "x" * 201, "a\nb", "a\0b", "\ud800", 7, ["a"]])
def test_a_reason_that_is_no_line_is_refused_by_name(reason: Any) -> None:
    with pytest.raises(InvalidRequestError, match="'reason'"):
        read_label({"digit": None, "reason": reason})


def test_a_reason_has_no_place_beside_a_digit_and_an_unknown_field_none_at_all() -> None:
    with pytest.raises(InvalidRequestError, match="'reason'"):
        read_label({"digit": 9, "reason": "smudged"})
    with pytest.raises(InvalidRequestError, match="'label'"):
        read_label({"digit": 9, "label": "9"})
