"""Each route is for the scopes that it declares; predictions are open unless a setting closes
them.
"""

import io
import re
from datetime import UTC, datetime, timedelta
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

PNG = encode(draw_digit(7, side=28))
OPEN = {  # to everybody; whatever is not named here is for operators
    *{
        ("GET", path)
        for path in (
            "/",
            "/operations",
            "/page/<name>",
            "/health/live",
            "/health/ready",
            "/metrics",
            "/model",
            "/openapi.json",
            "/docs",
            "/docs/<name>",
            "/problems/",
            "/problems/<name>",
            "/v2",
            "/v2/health/live",
            "/v2/health/ready",
            *(
                f"/v2/models/<name>{version}{part}"
                for version in ("", "/versions/<version>")
                for part in ("", "/ready")
            ),
        )
    },
    ("GET", "/static/<path:filename>"),
    ("POST", "/mcp"),  # each tool asks for its own key: `test_mcp.py`
    # Whoever has the id.
    *{(method, "/submissions/<uuid:id>/label") for method in ("PUT", "DELETE")},
}
# To everybody, unless PREDICT_KEY_REQUIRED.
PREDICTIONS = {("POST", path) for path in ("/predict", "/predict/number", "/predict/batch")}
# What became of them: for who sent them, and for operators (`test_batches.py`).
BATCHES = {(method, "/batches/<uuid:id>") for method in ("GET", "DELETE")}
BATCHES |= {("GET", "/batches/<uuid:id>/results")}
# The same, of another protocol: `test_inference.py` asks for them.
INFERENCES = {
    ("POST", f"/v2/models/<name>{version}/infer") for version in ("", "/versions/<version>")
}


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
    assert routes >= OPEN | PREDICTIONS | INFERENCES
    closed = {route for route in routes if route not in OPEN and ("GET", route[1]) not in OPEN}
    for expected in (403, 401):
        for method, rule in closed:
            response = client.open(in_full(rule), method=method)
            assert expected == response.status_code, (method, rule)
            if method != "HEAD":
                read_problem(response)
        if expected == 403:
            make_key(store_of(app), "ada")
    assert PREDICTIONS | BATCHES | {("GET", "/secret"), ("HEAD", "/secret")} <= closed
    store_of(app).close()


LABEL = {
    ("GET", "/submissions"),
    ("GET", "/labels"),
    ("POST", "/labels"),
    *{("GET", f"/submissions/<uuid:id>{part}") for part in ("", "/image", "/normalized")},
}


def test_every_view_declares_its_scope(tmp_path: Path) -> None:
    """A new route is covered by itself."""
    app = make_app(tmp_path)
    declared = {
        (method, rule.rule): getattr(app.view_functions[rule.endpoint], "scope", None)
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
    }
    for route, scope in declared.items():
        by_rule = (
            "sender or label"
            if route[1].endswith("/label")
            else "open"
            if route in OPEN
            else "predict"
            if route in PREDICTIONS | BATCHES | INFERENCES
            else "label"
            if route in LABEL
            else "operate"
        )
        assert by_rule == scope, route
    store_of(app).close()


def test_a_key_opens_the_routes_of_its_scopes_and_no_others(tmp_path: Path) -> None:
    """All routes, with keys of each scope and of two."""
    app = make_app(tmp_path, PREDICT_KEY_REQUIRED=True)
    client, store = app.test_client(), store_of(app)
    keys = {
        scopes: make_key(store, "-".join(scopes), scopes=scopes)
        for scopes in (("predict",), ("label",), ("predict", "label"), ("operate",))
    }
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue
        needed = app.view_functions[rule.endpoint].scope  # type: ignore[attr-defined]
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            for scopes, token in keys.items():
                answer = client.open(in_full(rule.rule), method=method, headers=bearing(token))
                is_open = needed in ("open", "sender or label", *scopes) or "operate" in scopes
                assert (answer.status_code == 403) != is_open, (method, rule.rule, scopes)
                if not is_open:
                    assert (403, "forbidden") == read_problem(answer)
                    assert f"needs the scope {needed}" in answer.get_json()["detail"]
    store.close()


@pytest.mark.parametrize(
    ("scope", "source"), [("predict", "sender"), ("label", "operator"), ("operate", "operator")]
)
def test_a_label_is_an_operators_by_a_key_that_may_label(
    tmp_path: Path, scope: str, source: str
) -> None:
    app = make_app(tmp_path)
    client, token = app.test_client(), make_key(store_of(app), "ada", scopes=[scope])
    id = client.post("/predict", data=PNG).get_json()["id"]
    answer = client.put(f"/submissions/{id}/label", json={"digit": 7}, headers=bearing(token))
    assert (200, source) == (answer.status_code, answer.get_json()["label_source"])
    store_of(app).close()


def test_a_key_that_has_expired_opens_nothing(app: Flask) -> None:
    client, now = app.test_client(), datetime.now(UTC)
    ends = {"past": now - timedelta(seconds=1), "future": now + timedelta(hours=1)}
    tokens = {name: make_key(store_of(app), name, expires_at=end) for name, end in ends.items()}
    assert 200 == client.get("/secret", headers=bearing(tokens["future"])).status_code
    refused = client.get("/secret", headers=bearing(tokens["past"]))
    assert (401, "unauthorized") == read_problem(refused)
    assert "expired" in refused.get_json()["detail"]


@pytest.mark.parametrize("is_required", [False, True])
def test_a_key_has_its_own_limit_instead_of_its_clients(tmp_path: Path, is_required: bool) -> None:
    """Whether or not predictions need one; a key without a limit is counted as its client."""
    app = make_app(tmp_path, PREDICT_KEY_REQUIRED=is_required, PREDICT_RATE_LIMIT="1 per hour")
    tokens = {
        name: make_key(store_of(app), name, scopes=["predict"], rate_limit=limit)
        for name, limit in (("ada", "3 per hour"), ("bob", "2 per hour"), ("eve", None))
    }

    def predict(name: str) -> Any:
        return app.test_client().post("/predict", data=PNG, headers=bearing(tokens[name]))

    assert [200, 200, 200, 429] == [predict("ada").status_code for _ in range(4)]
    assert [200, 200] == [predict("bob").status_code for _ in range(2)]
    refused = predict("bob")
    assert (429, "rate-limited") == read_problem(refused)
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert re.search("its limit, 2 per hour", refused.get_json()["detail"])
    assert [200, 429] == [predict("eve").status_code for _ in range(2)]
    store_of(app).close()


def test_a_bad_key_changes_nothing_where_none_is_needed(keeping: Flask) -> None:
    make_key(store_of(keeping), "ada")
    for headers in (bearing("flaskapi_x"), {"Authorization": "flaskapi_x"}, {}):
        answer = keeping.test_client().post("/predict", data=PNG, headers=headers)
        assert 200 == answer.status_code


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
        assert ".venv/bin/python -m flaskapi keys make NAME" in response.get_json()["detail"]


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
