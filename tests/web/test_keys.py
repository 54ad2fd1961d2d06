"""Keys over HTTP: made, listed, revoked. Who may, `test_access.py` holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from operators import bearing, operator, store_of
from problems import read_problem

from flaskapi.submissions.keys import list_keys, make_key


def test_a_key_is_made_shown_once_and_opens_what_it_should(keeping: Flask) -> None:
    client, ada = keeping.test_client(), operator(keeping)
    wish = {"name": "shop", "scopes": ["label"], "expires": "90d", "limit": "600 per minute"}
    made = client.post("/keys", json=wish, headers=ada)
    assert (201, "no-store") == (made.status_code, made.headers["Cache-Control"])
    token = made.get_json()["token"]
    assert 200 == client.get("/submissions", headers=bearing(token)).status_code
    assert 403 == client.get("/keys", headers=bearing(token)).status_code
    listed = client.get("/keys", headers=ada)
    assert token not in listed.text
    mine, shop = listed.get_json()["keys"]
    assert ("ada", ["operate"], None, None) == (
        *(mine["name"], mine["scopes"], mine["expires_at"], mine["limit"]),
    )
    assert ("shop", ["label"], "600 per minute", None) == (
        *(shop["name"], shop["scopes"], shop["limit"], shop["revoked_at"]),
    )
    assert None not in (mine["used_at"], shop["used_at"], shop["created_at"])
    ends = datetime.fromisoformat(shop["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends <= timedelta(days=90)
    assert "ada" == listed.get_json()["used"]


def test_a_limit_that_cannot_be_counted_refuses_the_key_and_says_what_to_do(
    keeping: Flask,
) -> None:
    """Earlier releases stored limits such as these; the table is written past today's check."""
    for number, limit in enumerate(("\u0666 per minute", "9" * 400 + " per day", "often")):
        token = make_key(store_of(keeping), f"old{number}", rate_limit=limit)
        refused = keeping.test_client().get("/keys", headers=bearing(token))
        assert (403, "forbidden") == read_problem(refused)
        assert f"'old{number}'" in refused.get_json()["detail"]
        assert "revoke" in refused.get_json()["detail"]


def test_a_name_is_given_once(keeping: Flask) -> None:
    client, ada = keeping.test_client(), operator(keeping)
    refused = client.post("/keys", json={"name": "ada", "scopes": ["predict"]}, headers=ada)
    assert (409, "conflict") == read_problem(refused)
    assert "'ada'" in refused.get_json()["detail"]


def test_a_key_that_is_revoked_opens_nothing_and_stays_in_the_list(keeping: Flask) -> None:
    client, ada, bob = keeping.test_client(), operator(keeping), operator(keeping, "bob")
    assert 204 == client.delete("/keys/bob", headers=ada).status_code
    assert (401, "unauthorized") == read_problem(client.get("/keys", headers=bob))
    (_, listed) = client.get("/keys", headers=ada).get_json()["keys"]
    assert listed["revoked_at"] is not None
    for name in ("bob", "nobody"):
        assert (404, "not-found") == read_problem(client.delete(f"/keys/{name}", headers=ada))


def test_a_page_of_keys_goes_on_by_name(keeping: Flask) -> None:
    client, ada = keeping.test_client(), operator(keeping)
    for name in ("bob", "ed@example.org", "zoe"):
        make_key(store_of(keeping), name)
    path, names = "/keys?limit=2", []
    for _ in range(2):
        page = client.get(path, headers=ada).get_json()
        names += [one["name"] for one in page["keys"]]
        path = page["next"]
    assert ["ada", "bob", "ed@example.org", "zoe"] == names
    assert path is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "not an object"),
        ({"scopes": ["predict"]}, "'name' must be text"),
        ({"name": "", "scopes": ["predict"]}, "cannot be a key's name"),
        ({"name": "a b", "scopes": ["predict"]}, "cannot be a key's name"),
        ({"name": "x" * 65, "scopes": ["predict"]}, "cannot be a key's name"),
        ({"name": "x", "scope": "label"}, "'scope' is unknown"),
        ({"name": "x"}, "one or more of predict, label, operate"),
        ({"name": "x", "scopes": []}, "one or more of predict, label, operate"),
        ({"name": "x", "scopes": ["all"]}, "one or more of predict, label, operate"),
        ({"name": "x", "scopes": "label"}, "one or more of predict, label, operate"),
        ({"name": "x", "expires": 90, "scopes": ["predict"]}, "'expires' must be text"),
        ({"name": "x", "expires": "soon", "scopes": ["predict"]}, "found 'soon'"),
        ({"name": "x", "expires": "2020-01-01", "scopes": ["predict"]}, "is past"),
        (
            {"name": "x", "expires": "9999-12-31T23:59-12:00", "scopes": ["predict"]},
            "too far in the future",
        ),
        ({"name": "x", "limit": "often", "scopes": ["predict"]}, "found 'often'"),
        ({"name": "x", "limit": "off", "scopes": ["predict"]}, "found 'off'"),
    ],
)
def test_what_cannot_be_made_is_named(keeping: Flask, body: Any, said: str) -> None:
    client, ada = keeping.test_client(), operator(keeping)
    refused = client.post("/keys", json=body, headers=ada)
    assert (400, "invalid-request") == read_problem(refused)
    assert said in refused.get_json()["detail"]
    assert ["ada"] == [key.name for key in list_keys(store_of(keeping))]
