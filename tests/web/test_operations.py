import os
from pathlib import Path

import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask.testing import FlaskClient
from problems import read_problem

from flaskapi import create_app


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
    assert "gone.h5" in checks[part]["detail"]


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
