"""`/openapi.json` has every route, and says of each what the route itself goes by."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from described import Description
from flask import Flask
from flask.testing import FlaskClient
from operators import in_full, make_app, operator, store_of
from werkzeug.test import Client

from flaskapi.contract import bodies
from flaskapi.contract.problems import PROBLEMS
from flaskapi.web.openapi import routes_of
from flaskapi.web.scopes import open_to_all

SCOPES = {
    "open": [],
    "predict": [{}, {"key": ["predict"]}],
    "sender or label": [{}, {"key": ["label"]}],
}
SCOPES |= {scope: [{"key": [scope]}] for scope in ("label", "operate")}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> tuple[Flask, dict[str, Any]]:
    """An application, and what it says of itself."""
    app = make_app(tmp_path_factory.mktemp("instance"), STORE="off")
    answer = app.test_client().get("/openapi.json")
    assert (200, "application/json") == (answer.status_code, answer.content_type)
    return app, answer.get_json()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_described_with_its_scope_and_its_limit(
    described: tuple[Flask, dict[str, Any]],
) -> None:
    """A new route is covered by itself: one without a description fails here."""
    app, document = described
    found = operations(document)
    expected = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(expected) == set(found)
    assert "3.1.0" == document["openapi"]
    assert len(found) == len({one["operationId"] for one in found.values()})
    for route, view in expected.items():
        assert SCOPES[view.scope] == found[route]["security"], route  # type: ignore[attr-defined]
        limit = found[route].get("x-rate-limit", {}).get("setting")
        assert getattr(view, "limited_by", None) == limit, route
        assert found[route]["summary"], route


def test_a_route_without_a_description_is_noticed(tmp_path: Path) -> None:
    app = make_app(tmp_path, STORE="off")
    app.add_url_rule("/new", "new", open_to_all(lambda: "new"))
    with pytest.raises(AttributeError, match="operation"):
        routes_of(app)


def test_a_route_refuses_each_query_that_is_not_described(tmp_path: Path) -> None:
    """And the error names those that are."""
    app = make_app(tmp_path)
    client, headers = app.test_client(), operator(app)
    for route in routes_of(app):
        if route.operation.query is None:
            continue
        answer = client.open(
            f"{in_full(route.rule)}?bogus=1",
            method=route.method,
            headers=headers,
            json={"digit": 7},
        )
        if route.rule.startswith("/submissions/") and answer.status_code == 404:
            continue
        known = [f"{name!r}" for name in route.operation.query] or ["none"]
        said = answer.get_json()["detail"]
        assert 400 == answer.status_code, route.rule
        assert "'bogus' is unknown" in said, route.rule
        assert all(name in said for name in known), route.rule
    store_of(app).close()


def test_each_field_of_a_query_takes_what_its_schema_says() -> None:
    """A name, or a number from the least to the most; of the others Schemathesis asks."""
    from flaskapi.contract import queries

    tables = [table for table in vars(queries).values() if isinstance(table, dict)]
    fields = [field for table in tables for field in table.values() if hasattr(field, "schema")]
    assert len(fields) > 25
    for field in fields:
        schema = field.schema
        good = [
            *schema.get("enum", []),
            *({"boolean": ["true", "false"]}.get(schema.get("type"), [])),
        ]
        bad = ["", "x y"]
        if schema.get("type") == "integer":
            good += [str(schema["minimum"]), str(schema["maximum"])]
            bad += [str(schema["minimum"] - 1), str(schema["maximum"] + 1), "1.0", "01"]
        assert all(re.fullmatch(field.form, one) for one in good)
        assert not any(re.fullmatch(field.form, one) for one in bad if "pattern" not in schema)


def test_every_reference_leads_somewhere_and_every_problem_is_named(
    described: tuple[Flask, dict[str, Any]],
) -> None:
    _, document = described
    text = str(document)
    for reference in set(re.findall(r"#/components/(\w+)/([\w-]+)", text)):
        assert reference[1] in document["components"][reference[0]]
    elsewhere = {"method-not-allowed"}
    assert set(PROBLEMS) - elsewhere == set(re.findall(r"`([a-z-]+)`: ", text)) & set(PROBLEMS)


def test_the_limits_that_are_in_force_are_said(tmp_path: Path) -> None:
    settings = {"PREDICT_RATE_LIMIT": "7 per minute", "MAX_REQUEST_BYTES": 12_345}
    app = make_app(tmp_path, PREDICT_KEY_REQUIRED=True, **settings)
    predict = app.test_client().get("/openapi.json").get_json()["paths"]["/predict"]["post"]
    assert {"setting": "PREDICT_RATE_LIMIT", "limit": "7 per minute"} == predict["x-rate-limit"]
    assert "12,345" in predict["requestBody"]["description"]
    assert [{"key": ["predict"]}] == predict["security"]
    store_of(app).close()


def test_the_addresses_are_those_where_the_service_is_mounted(client: FlaskClient) -> None:
    for root, expected in (("", "/"), ("/digits", "/digits")):
        answer = client.get("/openapi.json", environ_overrides={"SCRIPT_NAME": root})
        assert [{"url": expected}] == answer.get_json()["servers"]


def test_who_has_it_is_told_so(client: FlaskClient) -> None:
    etag = client.get("/openapi.json").headers["ETag"]
    assert 304 == client.get("/openapi.json", headers={"If-None-Match": etag}).status_code


def test_what_is_sent_is_bounded_by_the_limits_that_refuse_it() -> None:
    text = str(bodies.LABELS.content)
    for limit in (
        f"'maxItems': {bodies.MOST_LABELS}",
        f"1,{bodies.MOST_SIGNS}",
        bodies.NUMBER_FORM,
    ):
        assert limit in text


@pytest.mark.process
def test_nothing_of_it_is_loaded_before_somebody_asks(tmp_path: Path) -> None:
    code = """
import sys
from fakes import FixedClassifier
from flaskapi import create_app
client = create_app({"STORE": "off"}, classifier=FixedClassifier()).test_client()
client.get("/health/live")
print("apispec" in sys.modules)
client.get("/openapi.json")
print("apispec" in sys.modules, "flask_swagger_ui" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ["False", "True", "False"] == done.stdout.split()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"status": "live"}, None),
        ({"status": "dead"}, '"dead" is not one of "live", at'),
        ({}, '"status" is a required property, at'),
        (("no JSON", 200), "the type text/html"),
        (({"status": "live"}, 418), "the status 418"),
    ],
)
def test_an_answer_that_is_not_described_is_noticed(
    tmp_path: Path, description: Description, answer: Any, fault: str | None
) -> None:
    """By what looks at every answer that the tests beside this one are given."""
    app = make_app(tmp_path, STORE="off")
    app.view_functions["operations.live"] = lambda: answer
    given = Client(app).get("/health/live")
    found = description.find_fault(app, "GET", "/health/live", given)
    assert (fault is None) == (found is None)
    assert (found or "").startswith(fault or "")
