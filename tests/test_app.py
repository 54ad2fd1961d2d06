import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FixedClassifier, draw_digit, encode
from problems import read_problem

import flaskapi
from flaskapi import create_app
from flaskapi.errors import SettingError

PNG = encode(draw_digit(7, side=28))
ROOT = Path(flaskapi.__file__).parents[1]


def test_without_a_model_the_service_lives_and_says_that_it_is_not_ready(tmp_path: Path) -> None:
    client = create_app(
        {"INSTANCE_PATH": tmp_path, "MODEL_PATH": tmp_path / "my_model.h5"}
    ).test_client()
    assert 200 == client.get("/health/live").status_code
    for path in ("/health/ready", "/model"):
        assert (503, "model-unavailable") == read_problem(client.get(path))
    answer = client.post("/predict", data=PNG, content_type="image/png")
    assert (503, "model-unavailable") == read_problem(answer)
    assert "my_model.h5" in answer.get_json()["detail"]


def test_a_bad_setting_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="MAX_REQUEST_BYTES"):
        create_app(
            {"INSTANCE_PATH": tmp_path, "MAX_REQUEST_BYTES": 0}, classifier=FixedClassifier()
        )


def test_two_applications_share_nothing(tmp_path: Path) -> None:
    sevens, threes = (
        create_app({"INSTANCE_PATH": tmp_path}, classifier=FixedClassifier(digit)).test_client()
        for digit in (7, 3)
    )
    for client, digit in ((sevens, 7), (threes, 3)):
        assert digit == client.post("/predict", data=PNG).get_json()["digit"]
        assert [
            f'digit="{digit}"' in line
            for line in client.get("/metrics").text.splitlines()
            if "predictions_total{" in line
        ] == [True]


def test_the_shipped_model_reads_drawn_digits_of_either_polarity(tmp_path: Path) -> None:
    client = create_app({"INSTANCE_PATH": tmp_path}).test_client()
    assert 200 == client.get("/health/ready").status_code
    for dark_on_light in (True, False):
        drawn = [encode(draw_digit(digit, dark_on_light=dark_on_light)) for digit in range(10)]
        assert list(range(10)) == [
            client.post("/predict", data=data).get_json()["digit"] for data in drawn
        ]


@pytest.mark.process
def test_flask_finds_the_application_by_the_packages_name(tmp_path: Path) -> None:
    environment = os.environ | {
        "FLASKAPI_INSTANCE_PATH": str(tmp_path),
        "FLASKAPI_MODEL_PATH": str(tmp_path / "none.h5"),
    }
    command = [sys.executable, "-m", "flask", "--app", "flaskapi", "routes"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    listed = {line.split()[2] for line in done.stdout.splitlines()[2:] if line.strip()}
    assert {"/predict", "/model", "/metrics", "/health/live", "/health/ready"} <= listed


@pytest.mark.process
def test_making_the_application_loads_neither_keras_nor_the_training_room(tmp_path: Path) -> None:
    program = (
        "import sys, flaskapi; "
        "flaskapi.create_app(dict(INSTANCE_PATH=sys.argv[1])); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert set() == {"keras", "tensorflow", "h5py", "flaskapi.training"} & set(done.stdout.split())
