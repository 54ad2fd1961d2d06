"""Another version serves from one request to the next: what answers, and what is named as having
answered, stays one.
"""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask
from model_files import MODELS, make_artifact
from operators import place_empty_store
from PIL import Image

from flaskapi import create_app
from flaskapi.errors import SettingError
from flaskapi.submissions.tables import shadows
from flaskapi.versions.registry import Registry
from flaskapi.web.services import Services

SEVEN = encode(draw_digit(7, side=28))


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions to promote."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flaskapi.versions.version.run_command", lambda *_: Failed)
        registry = Registry(folder / "versions", MODELS / "my_model.h5", folder / "cache")
        for mark in range(2):
            registry.add(make_artifact(folder / str(mark), mark))
    return folder / "versions"


@pytest.fixture
def promoting(tmp_path: Path, versions: Path) -> Iterator[Flask]:
    """The service with the shipped model, and versions to promote in
    `app.extensions["registry"]`.
    """
    place_empty_store(tmp_path)
    app = create_app({"INSTANCE_PATH": tmp_path, "STORE": "on"})
    registry = app.extensions["registry"] = Registry(
        *(app.config[name] for name in ("VERSIONS_PATH", "MODEL_PATH", "CACHE_PATH"))
    )
    shutil.copytree(versions, registry.path, dirs_exist_ok=True)
    yield app
    services_of(app).models.close()  # type: ignore[attr-defined]
    services_of(app).store.close()


class Failed:
    """A command that failed: the card is written without it, which takes no second."""

    returncode = 1


def services_of(app: Flask) -> Services:
    found: Services = app.extensions["flaskapi"]
    return found


def named(answer: Any) -> tuple[str, int]:
    return answer.get("model", answer.get("version")), answer["generation"]


def test_every_answer_names_the_version_and_its_generation(promoting: Flask) -> None:
    client, registry = promoting.test_client(), promoting.extensions["registry"]
    for place, version in enumerate(registry.versions(), 1):
        registry.promote(version.name, "ann")
        services_of(promoting).models.look()  # type: ignore[attr-defined]
        answers = [
            client.post(route, data=SEVEN).get_json() for route in ("/predict", "/predict/number")
        ]
        answers += client.post(
            "/predict/batch", data={"file": (io.BytesIO(SEVEN), "7.png")}
        ).get_json()["results"]
        ready = client.get("/health/ready").get_json()
        answers += [client.get("/model").get_json(), ready["checks"]["model"], *ready["processes"]]
        assert {(version.name, place)} == set(map(named, answers))


def test_a_request_that_is_under_way_is_answered_by_one_version_throughout(
    promoting: Flask,
) -> None:
    """Line by line, with another version promoted after the first line; the next request has
    that.
    """
    client, registry = promoting.test_client(), promoting.extensions["registry"]
    first, second = (version.name for version in registry.versions())
    registry.promote(first, "ann")
    images = {"file": [(io.BytesIO(SEVEN), f"{place}.png") for place in range(200)]}
    answer = client.post(
        "/predict/batch", data=images, headers={"Accept": "application/x-ndjson"}, buffered=False
    )
    lines = (line for chunk in answer.response for line in chunk.splitlines())
    results = [json.loads(next(lines))]
    registry.promote(second, "ann")
    services_of(promoting).models.look()  # type: ignore[attr-defined]
    results += map(json.loads, lines)
    assert 200 == len(results)
    assert {(first, 1)} == set(map(named, results))
    assert (second, 2) == named(client.post("/predict", data=SEVEN).get_json())


def test_a_process_that_was_asked_nothing_yet_answers_with_what_is_promoted(
    promoting: Flask,
) -> None:
    version = promoting.extensions["registry"].versions()[0]
    promoting.extensions["registry"].promote(version.name, "ann")
    assert (version.name, 1) == named(
        promoting.test_client().post("/predict", data=SEVEN).get_json()
    )


class Breaking(FixedClassifier):
    """Answers so many questions, then what is no number."""

    def __init__(self, times: int) -> None:
        super().__init__(3, 0.99)  # sure, so that it is asked once for each digit
        self.left = times

    def probabilities(self, batch: Any) -> Any:
        self.left -= 1
        return super().probabilities(batch) * (1 if self.left >= 0 else np.nan)


def test_the_request_in_which_a_version_breaks_is_answered_by_the_one_before_it(
    promoting: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    client, registry, models = (
        promoting.test_client(),
        promoting.extensions["registry"],
        services_of(promoting).models,
    )
    first, second = (version.name for version in registry.versions())
    for name in (first, second):
        registry.promote(name, "ann")
    client.get("/health/live")
    loaded = models._follower.now  # type: ignore[attr-defined]
    models._follower.now = loaded._replace(classifier=Breaking(0))  # type: ignore[attr-defined]
    answer = client.post("/predict", data=SEVEN)
    assert (200, 7, (first, 3)) == (
        answer.status_code,
        answer.get_json()["digit"],
        named(answer.get_json()),
    )
    ready = client.get("/health/ready")
    assert (200, [second]) == (
        ready.status_code,
        list(ready.get_json()["checks"]["model"]["broken"]),
    )
    assert "broke" in caplog.text


def test_a_number_that_is_looked_at_twice_is_answered_by_one_version_too(promoting: Flask) -> None:
    """It breaks at the second look, at the picture as it is stored where EXIF data say that it is
    turned.
    """
    client, registry, models = (
        promoting.test_client(),
        promoting.extensions["registry"],
        services_of(promoting).models,
    )
    first, second = (version.name for version in registry.versions())
    for name in (first, second):
        registry.promote(name, "ann")
    client.get("/health/live")
    picture, turned = Image.fromarray(draw_digit(7, side=100)), Image.Exif()
    turned[0x0112] = 6
    data = encode(picture, "JPEG", exif=turned)
    expected = client.post("/predict/number", data=data).get_json()
    breaking = Breaking(1)
    models._follower.now = models._follower.now._replace(classifier=breaking)  # type: ignore[attr-defined]
    answer = client.post("/predict/number", data=data).get_json()
    assert -1 == breaking.left, "it was asked twice, and broke"
    assert (first, 3) == named(answer)
    assert expected["digits"] == answer["digits"]


def test_what_a_candidate_answers_is_kept_and_shown_to_nobody(promoting: Flask) -> None:
    client, registry, models = (
        promoting.test_client(),
        promoting.extensions["registry"],
        services_of(promoting).models,
    )
    candidate = registry.versions()[0].name
    registry.set_shadow(candidate, 1.0)
    client.get("/health/live")
    answers = [client.post("/predict", data=SEVEN).get_json() for _ in range(3)]
    assert candidate not in {answer["model"] for answer in answers}
    models.shadow.answer()  # type: ignore[union-attr]
    store = services_of(promoting).store
    rows = store.run(
        lambda connection: connection.execute(sa.select(shadows)).mappings().all(), reads=True
    )
    kept = {(str(row["submission_id"]), row["model"], row["prediction"]) for row in rows}
    assert {(answer["id"], candidate, str(answer["digit"])) for answer in answers} == kept


def test_with_versions_in_the_database_services_in_other_folders_serve_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flaskapi.versions.version.run_command", lambda *_: Failed)
    place_empty_store(tmp_path)
    settings = {
        "STORE": "on",
        "VERSIONS_STORE": "database",
        "DATABASE_URL": f"sqlite:///{tmp_path}/submissions.db",
    }
    apps = [create_app(settings | {"INSTANCE_PATH": tmp_path / name}) for name in "ab"]
    registry = services_of(apps[0]).registry
    version = registry.add(make_artifact(tmp_path / "new"))
    registry.promote(version.name, "ann")
    for app in apps:
        services_of(app).models.look()  # type: ignore[attr-defined]
        assert (version.name, 1) == named(app.test_client().post("/predict", data=SEVEN).get_json())
    for app in apps:
        services_of(app).models.close()  # type: ignore[attr-defined]
        services_of(app).store.close()


def test_versions_in_the_database_need_a_database() -> None:
    with pytest.raises(SettingError, match="VERSIONS_STORE = database needs the store"):
        create_app({"STORE": "off", "VERSIONS_STORE": "database"})
