import os
from pathlib import Path
from typing import Any

import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask.testing import FlaskClient
from operators import SOME_ID, bearing, make_app, store_of
from problems import read_problem

from flaskapi import create_app
from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.keys import make_key


def test_live_looks_at_nothing_but_the_process(
    client: FlaskClient, classifier: FixedClassifier
) -> None:
    assert {"status": "live"} == client.get("/health/live").get_json()
    assert [] == classifier.batches


def test_ready_names_each_part_that_an_answer_needs(client: FlaskClient) -> None:
    parts = {"model": FixedClassifier.version, "detector": FixedDetector().card["version"]}
    expected = {
        "status": "ready",
        "checks": {name: {"status": "ok", "version": version} for name, version in parts.items()},
    }
    expected["checks"]["model"]["generation"] = 0  # type: ignore[index]
    expected["checks"]["store"] = {"status": "off"}  # type: ignore[index]
    expected["processes"] = [
        {"pid": os.getpid(), "version": FixedClassifier.version, "generation": 0}
    ]  # type: ignore[assignment]
    assert expected == client.get("/health/ready").get_json()


@pytest.mark.parametrize(
    ("setting", "part"), [("MODEL_PATH", "model"), ("DETECTOR_PATH", "detector")]
)
def test_not_ready_says_which_part_is_missing_and_why(
    tmp_path: Path, setting: str, part: str
) -> None:
    client = create_app({"INSTANCE_PATH": tmp_path, setting: tmp_path / "gone.h5"}).test_client()
    response = client.get("/health/ready")
    assert (503, "model-unavailable") == read_problem(response)
    checks = response.get_json()["checks"]
    assert [part] == [name for name, check in checks.items() if check["status"] == "unavailable"]
    assert {"status": "unavailable"}.items() <= checks[part].items()


def test_why_a_part_is_missing_is_for_operators_and_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Hosts, users and paths are nobody else's, whatever key a stranger sends."""
    app = make_app(tmp_path, DATABASE_URL="postgresql://eve:secret@127.0.0.1:1/hidden")
    client = app.test_client()
    for headers in ({}, bearing("flaskapi_x")):
        answer = client.get("/health/ready", headers=headers)
        assert {"status": "unavailable"} == answer.get_json()["checks"]["store"]
        for word in ("127.0.0.1", "port", "eve", "hidden", "refused"):
            assert word not in answer.text
    assert any("127.0.0.1" in line for line in caplog.messages)
    required = make_app(tmp_path, DATABASE_URL="postgresql://eve@127.0.0.1:1/x", STORE="required")
    for answer in (
        required.test_client().get("/health/ready"),
        required.test_client().post("/predict", data=encode(draw_digit(7))),
        client.put(f"/submissions/{SOME_ID}/label", json={"digit": 7}),
    ):
        assert (503, "store-unavailable") == read_problem(answer)
        assert "127.0.0.1" not in answer.text


def test_an_operator_reads_why_also_while_the_store_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path)
    client, store = app.test_client(), store_of(app)
    keys = {scope: make_key(store, scope, scopes=[scope]) for scope in ("operate", "predict")}
    for token in keys.values():
        assert "ok" == ask(client, token)["status"]

    def down(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("The host db1 is gone.")

    for name in ("run", "check"):
        monkeypatch.setattr(store, name, down)
    assert "The host db1 is gone." == ask(client, keys["operate"])["detail"]
    assert {"status": "unavailable"} == ask(client, keys["predict"])
    store.close()


def ask(client: FlaskClient, token: str) -> dict[str, Any]:
    answer = client.get("/health/ready", headers=bearing(token))
    found: dict[str, Any] = answer.get_json()["checks"]["store"]
    return found


def test_model_gives_the_cards_of_what_is_serving(
    client: FlaskClient, classifier: FixedClassifier
) -> None:
    assert (
        classifier.card | {"generation": 0, "detector": FixedDetector().card}
        == client.get("/model").get_json()
    )


def test_without_a_detector_digits_are_read_and_numbers_are_not(tmp_path: Path) -> None:
    client = create_app({"INSTANCE_PATH": tmp_path}, classifier=FixedClassifier()).test_client()
    image = {"data": encode(draw_digit(7)), "content_type": "image/png"}
    assert 200 == client.post("/predict", **image).status_code
    assert (503, "model-unavailable") == read_problem(client.post("/predict/number", **image))
    assert client.get("/model").get_json()["detector"] is None
