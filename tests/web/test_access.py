"""Operators' routes are for operators; predictions are open unless a setting closes them."""

import io
from pathlib import Path
from typing import Any

import pytest
from fakes import draw_digit, encode
from flask import Flask
from operators import SOME_ID, bearing, in_full, make_app, store_of
from problems import read_problem

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.keys import list_keys, make_key, revoke_key
from flaskapi.web.access import operator_name, operators_only

PNG = encode(draw_digit(7))
OPEN = {  # to everybody; whatever is not named here is for operators
    *{
        ("GET", path)
        for path in (
            "/",
            "/page/<name>",
            "/health/live",
            "/health/ready",
            "/metrics",
            "/model",
            "/problems/",
            "/problems/<name>",
        )
    },
    ("GET", "/static/<path:filename>"),
    # Whoever has the id.
    *{(method, "/submissions/<uuid:id>/label") for method in ("PUT", "DELETE")},
}
# To everybody, unless PREDICT_KEY_REQUIRED.
PREDICTIONS = {("POST", path) for path in ("/predict", "/predict/number", "/predict/batch")}


@pytest.fixture
def app(keeping: Flask) -> Flask:
    """The application on SQLite, with a route for operators."""
    return with_secret(keeping)


def with_secret(app: Flask) -> Flask:
    app.add_url_rule("/secret", "secret", operators_only(lambda: f"for {operator_name()}"))
    return app


def test_every_route_is_open_on_purpose_or_for_operators(tmp_path: Path) -> None:
    """With no key made it is forbidden, with one it asks for it. A new route is covered by itself;
    HEAD is GET without a body.
    """
    app = with_secret(make_app(tmp_path, PREDICT_KEY_REQUIRED=True))
    client = app.test_client()
    routes = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS"}
    }
    assert routes >= OPEN | PREDICTIONS
    closed = {route for route in routes if route not in OPEN and ("GET", route[1]) not in OPEN}
    for expected in (403, 401):
        for method, rule in closed:
            response = client.open(in_full(rule), method=method)
            assert expected == response.status_code, (method, rule)
            if method != "HEAD":
                read_problem(response)
        if expected == 403:
            make_key(store_of(app), "ada")
    assert PREDICTIONS | {("GET", "/secret"), ("HEAD", "/secret")} <= closed
    store_of(app).close()


def test_an_operator_is_let_in_by_a_key_and_known_by_its_name(app: Flask) -> None:
    client, tokens = (
        app.test_client(),
        {name: make_key(store_of(app), name) for name in ("ada", "bob")},
    )
    for name, token in tokens.items():
        for scheme in ("Bearer", "bearer"):
            assert (
                f"for {name}"
                == client.get("/secret", headers={"Authorization": f"{scheme} {token}"}).text
            )


def test_whoever_bears_no_good_key_is_told_how_to_authenticate(app: Flask) -> None:
    client, token = app.test_client(), make_key(store_of(app), "ada")
    for sent in (
        {},
        bearing(""),
        bearing(token[:-1]),
        bearing("a=b"),
        bearing("ÿ"),
        {"Authorization": f"Basic {token}"},
    ):
        assert (401, "unauthorized") == read_problem(client.get("/secret", headers=sent)), sent
    assert 401 == client.get(f"/secret?key={token}").status_code


def test_a_key_without_its_scheme_is_not_taken_for_no_key(app: Flask) -> None:
    """Whoever thinks to be an operator would be taken for a sender, and never know."""
    client, token = app.test_client(), make_key(store_of(app), "ada")
    for path in ("/secret", f"/submissions/{SOME_ID}/label"):
        response = client.open(
            path,
            method="GET" if path == "/secret" else "PUT",
            json={"digit": 7},
            headers={"Authorization": token},
        )
        assert (401, "unauthorized") == read_problem(response)
        assert "without the word Bearer" in response.get_json()["detail"]


def test_a_revoked_key_is_refused_at_once(app: Flask) -> None:
    client, token = app.test_client(), make_key(store_of(app), "ada")
    assert 200 == client.get("/secret", headers=bearing(token)).status_code
    revoke_key(store_of(app), "ada")
    assert (401, "unauthorized") == read_problem(client.get("/secret", headers=bearing(token)))


def test_where_no_key_was_made_the_answer_says_how_to_make_one(app: Flask) -> None:
    for headers in ({}, bearing("flaskapi_x")):
        response = app.test_client().get("/secret", headers=headers)
        assert (403, "forbidden") == read_problem(response)
        assert "python -m flaskapi keys make NAME" in response.get_json()["detail"]


def test_where_nothing_is_kept_there_are_no_operators_and_the_answer_says_why(
    tmp_path: Path,
) -> None:
    response = (
        with_secret(make_app(tmp_path, STORE="off"))
        .test_client()
        .get("/secret", headers=bearing("flaskapi_x"))
    )
    assert (403, "forbidden") == read_problem(response)
    assert "STORE" in response.get_json()["detail"]


def test_the_use_of_a_key_is_noted(app: Flask) -> None:
    token = make_key(store_of(app), "ada")
    assert [None] == [key.used_at for key in list_keys(store_of(app))]
    app.test_client().get("/secret", headers=bearing(token))
    assert None not in [key.used_at for key in list_keys(store_of(app))]


def test_a_use_that_cannot_be_noted_fails_no_request(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, store = make_key(store_of(app), "ada"), store_of(app)
    run = store.run

    def read_only(work: Any, *, reads: bool = False) -> Any:
        if not reads:
            raise StoreUnavailableError("The disk is full.")
        return run(work, reads=reads)

    monkeypatch.setattr(store, "run", read_only)
    assert "for ada" == app.test_client().get("/secret", headers=bearing(token)).text


def test_predictions_are_open_unless_a_setting_closes_them(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    make_key(store_of(app), "ada")
    assert 200 == app.test_client().post("/predict", data=PNG).status_code
    closed = make_app(tmp_path, PREDICT_KEY_REQUIRED=True)
    token = make_key(store_of(closed), "bob")
    for _, path in PREDICTIONS:
        assert (401, "unauthorized") == read_problem(closed.test_client().post(path, data=PNG)), (
            path
        )
        assert (
            200
            == closed.test_client()
            .post(path, data=PNG, content_type="image/png", headers=bearing(token))
            .status_code
        ), path
    for one in (app, closed):
        store_of(one).close()


def test_the_body_of_who_has_no_key_is_not_read(tmp_path: Path) -> None:
    app = make_app(tmp_path, PREDICT_KEY_REQUIRED=True)
    make_key(store_of(app), "ada")
    body = io.BytesIO(PNG)
    app.test_client().post(
        "/predict", input_stream=body, content_length=len(PNG), content_type="image/png"
    )
    assert 0 == body.tell()
    store_of(app).close()


def test_a_key_that_was_good_goes_on_to_open_the_predictions_while_the_store_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = with_secret(make_app(tmp_path, PREDICT_KEY_REQUIRED=True))
    store, client = store_of(app), app.test_client()
    tokens = [make_key(store, name) for name in ("ada", "bob")]
    assert 200 == client.post("/predict", data=PNG, headers=bearing(tokens[0])).status_code

    def down(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("The disk is gone.")

    monkeypatch.setattr(store, "run", down)
    assert 200 == client.post("/predict", data=PNG, headers=bearing(tokens[0])).status_code
    assert (503, "store-unavailable") == read_problem(
        client.post("/predict", data=PNG, headers=bearing(tokens[1]))
    )
    assert (503, "store-unavailable") == read_problem(
        client.get("/secret", headers=bearing(tokens[0]))
    )
    store.close()
