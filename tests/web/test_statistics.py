from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask
from flask.testing import FlaskClient
from operators import make_app, operator, store_of
from problems import read_problem

PNG = encode(draw_digit(7, side=28))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = make_app(tmp_path)
    yield app
    store_of(app).close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Of an operator."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = operator(app)["Authorization"]
    return client


def ask(client: FlaskClient, **query: str) -> Any:
    response = client.get("/statistics", query_string=query)
    assert 200 == response.status_code, response.text
    return response.get_json()


def test_what_was_answered_is_counted_at_once(client: FlaskClient) -> None:
    """By the fixed classifier, which says 7 with 0.9 to everything."""
    for _ in range(3):
        client.post("/predict", data=PNG)
    found, today = ask(client), datetime.now(UTC).date()
    assert (str(today - timedelta(days=29)), str(today + timedelta(days=1))) == (
        found["since"],
        found["until"],
    )
    expected = {
        "answers": 3,
        "routes": {"/predict": 3},
        "confidence": 0.9,
        "uncertain": 0.0,
        "labelled": None,
        "shadows": {},
    }
    version = FixedClassifier.version
    assert (expected, {version: expected}) == (found["total"], found["models"])
    assert [{"day": str(today), "models": {version: expected}}] == found["days"]
    assert [0, 0, 0, 0, 0, 0, 0, 1, 0, 0] == found["drift"]["measures"]["digit"]["shares"]
    assert "MNIST" == found["drift"]["reference"]


def test_only_sevens_are_a_drift_of_what_digits_there_are(client: FlaskClient) -> None:
    images = [(PNG, f"{number}.png") for number in range(200)]
    files = [(BytesIO(png), name) for png, name in images]
    client.post("/predict/batch", data={"file": files}).get_data()
    measure = ask(client)["drift"]["measures"]["digit"]
    assert measure["index"] > 0.25
    assert "other than what the network learned from" == measure["meaning"]
    assert measure["advice"].startswith("Is this mix expected")


def test_of_another_model_and_of_other_days_there_is_nothing(client: FlaskClient) -> None:
    client.post("/predict", data=PNG)
    for query in (
        {"model": "2020-01-01-00000000"},
        {"since": "2020-01-01", "until": "2020-01-03"},
        {"until": "2020-01-03"},
    ):
        found = ask(client, **query)
        assert (0, {}, []) == (found["total"]["answers"], found["models"], found["days"])
    assert ("2019-12-04", "2020-01-03") == (found["since"], found["until"])
    assert 1 == ask(client, model=FixedClassifier.version)["total"]["answers"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"since": "yesterday"}, "'since' is 'yesterday'"),
        ({"since": "2026-02-30"}, "there is no such day"),
        ({"since": "2026-02-03", "until": "2026-02-03"}, "'until' is 2026-02-03"),
        ({"since": "2020-01-01", "until": "2026-01-01"}, "are 2,192 days; ask for at most 400"),
        ({"day": "2026-02-03"}, "'day' is unknown"),
    ],
)
def test_a_period_that_is_none_is_refused_by_name(
    client: FlaskClient, query: dict[str, str], named: str
) -> None:
    response = client.get("/statistics", query_string=query)
    assert (400, "invalid-request") == read_problem(response)
    assert named in response.get_json()["detail"]


def test_the_first_days_that_there_are_can_be_asked_for(client: FlaskClient) -> None:
    assert [] == ask(client, until="0001-01-05")["days"]


def test_the_readme_explains_every_member(client: FlaskClient) -> None:
    def names(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(names, value))
        return set(value).union(*map(names, value.values())) if isinstance(value, dict) else set()

    client.put(
        f"/submissions/{client.post('/predict', data=PNG).get_json()['id']}/label",
        json={"digit": 7},
    )
    text = (Path(__file__).parents[2] / "docs" / "submissions.md").read_text()
    whole, measures = (
        text.split("## Statistics\n")[1].split("\n## ")[0],
        {"ink_share", "stroke_px", "size_px", "contrast"},
    )
    found = names(ask(client)) - {FixedClassifier.version, "/predict"}
    assert found >= {"drift", "confusion", "calibration", *measures}
    assert set() == {
        name
        for name in found - measures - {"digit"}
        if f"`{name}`" not in whole and f'"{name}":' not in whole
    }
    assert measures <= set(text.split())
