from pathlib import Path

from fakes import FixedClassifier
from flask.testing import FlaskClient
from problems import read_problem

from flaskapi import create_app


def test_live_looks_at_nothing_but_the_process(client: FlaskClient, classifier: FixedClassifier) -> None:
    assert {"status": "live"} == client.get("/health/live").get_json()
    assert [] == classifier.batches


def test_ready_names_each_part_that_an_answer_needs(client: FlaskClient) -> None:
    expected = {"status": "ready", "checks": {"model": {"status": "ok", "version": FixedClassifier.version}}}
    assert expected == client.get("/health/ready").get_json()


def test_not_ready_says_which_part_is_missing_and_why(tmp_path: Path) -> None:
    client = create_app({"INSTANCE_PATH": tmp_path, "MODEL_PATH": tmp_path / "gone.h5"}).test_client()
    response = client.get("/health/ready")
    assert (503, "model-unavailable") == read_problem(response)
    (name, check), *others = response.get_json()["checks"].items()
    assert ("model", "unavailable", []) == (name, check["status"], others)
    assert "gone.h5" in check["detail"]


def test_model_gives_the_card_of_what_is_serving(client: FlaskClient, classifier: FixedClassifier) -> None:
    assert classifier.card == client.get("/model").get_json()
