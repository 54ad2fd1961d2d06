"""The versions over HTTP: looked at, promoted, rolled back, shown in the shadow. Who may,
`test_access.py` holds.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes import make_submission
from flask import Flask
from flask.testing import FlaskClient
from model_files import make_artifact, make_versions
from operators import bearing, make_app, store_of
from problems import read_problem

from flaskapi.submissions.keys import make_key
from flaskapi.submissions.shadows import keep_shadowed
from flaskapi.versions.pointer import MODEL_FILE
from flaskapi.versions.registry import Registry
from flaskapi.versions.smoke import check_answers


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance folder with three versions."""
    folder = tmp_path_factory.mktemp("three")
    make_versions(folder, 3)
    return folder


@pytest.fixture
def app(tmp_path: Path, three: Path) -> Any:
    shutil.copytree(three, tmp_path, dirs_exist_ok=True)
    app = make_app(tmp_path)
    yield app
    store_of(app).close()


@pytest.fixture
def registry(app: Flask) -> Registry:
    found: Registry = app.extensions["flaskapi"].registry
    return found


@pytest.fixture
def names(registry: Registry) -> list[str]:
    """The oldest first."""
    return [version.name for version in registry.versions()]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Of an operator called ada."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = bearing(make_key(store_of(app), "ada"))[
        "Authorization"
    ]
    return client


def test_each_version_is_listed_with_its_figures_the_newest_first(
    client: FlaskClient, names: list[str]
) -> None:
    """And before them the file of MODEL_PATH, which serves until something is promoted."""
    found = client.get("/models").get_json()
    assert [MODEL_FILE, *names[::-1]] == [one["name"] for one in found["models"]]
    assert (MODEL_FILE, 0, None, None) == tuple(found["serving"].values())
    assert (None, None, None) == (found["rollback"], found["shadow"], found["next"])
    file, newest = found["models"][:2]
    assert (True, False) == (file["serves"], newest["serves"])
    assert file["version"].endswith(file["version"][-8:])
    assert (names[-1], None) == (newest["version"], newest["unavailable"])
    assert newest["registered_at"].endswith("Z")
    assert 0.99 < newest["figures"]["accuracy"]["test"] < 1
    assert 10_000 == newest["figures"]["evaluation"]["mnist"]["digits"]
    assert "confusion" not in newest["figures"]


def test_a_page_of_versions_goes_on_where_the_last_one_ended(
    client: FlaskClient, names: list[str]
) -> None:
    first = client.get("/models?limit=2").get_json()
    second = client.get(first["next"]).get_json()
    listed = [one["name"] for page in (first, second) for one in page["models"]]
    assert [MODEL_FILE, *names[::-1]] == listed
    assert second["next"] is None
    assert (404, "not-found") == read_problem(client.get("/models?before=2020-01-01-00000000"))


def test_a_version_is_promoted_and_rolled_back_by_name(
    client: FlaskClient, registry: Registry, names: list[str]
) -> None:
    for place, generation in ((0, 1), (1, 2)):
        done = client.put("/models/serving", json={"version": names[place][-8:]})
        assert (200, names[place]) == (done.status_code, done.get_json()["serving"]["version"])
        assert generation == done.get_json()["serving"]["generation"]
    assert ("ada", names[0]) == (registry.read().by, done.get_json()["rollback"])
    back = client.post("/models/rollback", json={"generation": 2}).get_json()
    assert (names[0], 3, MODEL_FILE) == (
        back["serving"]["version"],
        back["serving"]["generation"],
        back["rollback"],
    )
    assert names[0] == registry.read().version


def test_of_two_who_roll_back_the_same_generation_one_does(
    client: FlaskClient, registry: Registry, names: list[str]
) -> None:
    for name in names[:2]:
        registry.promote(name, "ann")
    answers = [client.post("/models/rollback", json={"generation": 2}) for _ in range(2)]
    assert [200, 409] == [answer.status_code for answer in answers]
    assert (409, "conflict") == read_problem(answers[1])
    assert names[0] == registry.read().version


def test_a_version_that_fails_the_commands_check_is_not_promoted(
    client: FlaskClient,
    registry: Registry,
    names: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is loaded and answers first, as by `models promote`; one that is damaged is neither."""
    asked = []

    def check(classifier: Any) -> None:
        asked.append(classifier.version)
        check_answers(classifier)

    monkeypatch.setattr("flaskapi.versions.registry.check_answers", check)
    client.put("/models/serving", json={"version": names[0]})
    assert [names[0]] == asked
    (tmp_path / "versions" / names[1] / "my_model.onnx").write_bytes(b"I am no model.")
    refused = client.put("/models/serving", json={"version": names[1]})
    assert (409, "conflict") == read_problem(refused)
    assert "cannot be loaded" in refused.get_json()["detail"]
    assert names[0] == registry.read().version
    listed = {one["name"]: one for one in client.get("/models").get_json()["models"]}
    assert "cannot be read" in listed[names[1]]["unavailable"]


def test_a_version_that_broke_is_said_to_have_and_stays_away(
    client: FlaskClient, registry: Registry, names: list[str]
) -> None:
    registry.promote(names[0], "ann")
    registry.leave(names[0], "It answered nothing.", registry.read().before[0], "process 1")
    listed = {one["name"]: one for one in client.get("/models").get_json()["models"]}
    assert "It answered nothing." == listed[names[0]]["broken"]
    refused = client.put("/models/serving", json={"version": names[0]})
    assert (409, "conflict") == read_problem(refused)
    assert "broke while it served" in refused.get_json()["detail"]


def test_what_would_have_to_be_compiled_is_left_to_the_command(
    client: FlaskClient, registry: Registry
) -> None:
    """No request compiles, not even to look."""
    refused = client.put("/models/serving", json={"version": MODEL_FILE})
    assert (409, "conflict") == read_problem(refused)
    assert "python -m flaskapi models promote MODEL_PATH" in refused.get_json()["detail"]
    assert MODEL_FILE == registry.read().version


def test_a_model_file_that_is_not_compiled_is_listed_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_artifact(tmp_path / "bare", 5)
    path.with_suffix(".onnx").unlink()
    monkeypatch.setattr("flaskapi.serving.compiled.build_compiled", None)  # would fail if called
    app = make_app(tmp_path, MODEL_PATH=str(path))
    bearer = bearing(make_key(store_of(app), "ada"))
    (listed,) = app.test_client().get("/models", headers=bearer).get_json()["models"]
    assert ("my_model.h5 is not compiled yet.", {}) == (listed["unavailable"], listed["figures"])
    store_of(app).close()


def test_a_candidate_answers_in_the_shadow_until_it_is_ended(
    client: FlaskClient, registry: Registry, names: list[str]
) -> None:
    begun = client.put("/models/shadow", json={"version": names[1], "share": 0.25})
    assert {"version": names[1], "share": 0.25} == begun.get_json()["shadow"]
    assert (names[1], 0.25) == registry.read().shadow
    assert client.delete("/models/shadow").get_json()["shadow"] is None
    assert registry.read().shadow is None


def test_what_the_shadow_answered_otherwise_is_listed_with_both_answers(
    client: FlaskClient, app: Flask, names: list[str]
) -> None:
    kept = [make_submission(prediction=str(digit)) for digit in (1, 2, 3)]
    store_of(app).record(kept)
    keep_shadowed(
        store_of(app),
        [
            {"submission_id": one.id, "model": names[0], "prediction": said, "confidence": 0.75}
            for one, said in zip(kept, ("7", "2", "8"), strict=True)
        ],
    )
    first = client.get(f"/models/{names[0]}/disagreements?limit=1").get_json()
    second = client.get(first["next"]).get_json()
    assert [(3, 8), (1, 7)] == [
        (page["submissions"][0]["digit"], page["submissions"][0]["shadow"]["digit"])
        for page in (first, second)
    ]
    assert f"/submissions/{kept[2].id}/image" == first["submissions"][0]["image"]
    assert (0.75, None) == (first["submissions"][0]["shadow"]["confidence"], second["next"])
    other = client.get(f"/models/{names[1]}/disagreements").get_json()
    assert {"submissions": [], "next": None} == other


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("PUT", "/models/serving", {}, "'version' must be the name of a version"),
        ("PUT", "/models/serving", [], "not an object"),
        ("PUT", "/models/serving", {"name": "x"}, "'name' is unknown"),
        ("POST", "/models/rollback", {"generation": "1"}, "must be a whole number"),
        ("PUT", "/models/shadow", {"version": MODEL_FILE, "share": 0}, "above 0"),
        ("PUT", "/models/shadow", {"version": MODEL_FILE, "share": True}, "above 0"),
        ("GET", "/models?limit=0", None, "1 to 50"),
        ("GET", "/models?page=2", None, "'page' is unknown"),
        ("GET", "/models/x/disagreements?cursor=x", None, "'cursor' is 'x'"),
    ],
)
def test_what_cannot_be_understood_is_named(
    client: FlaskClient, method: str, path: str, body: Any, said: str
) -> None:
    sent = {"data": json.dumps(body), "content_type": "application/json"}
    answer = client.open(path, method=method, **({} if body is None else sent))
    assert (400, "invalid-request") == read_problem(answer)
    assert said in answer.get_json()["detail"]


def test_what_is_not_there_and_what_cannot_be_is_said_as_such(
    client: FlaskClient, names: list[str]
) -> None:
    body = {"version": "2020-01-01-00000000"}
    for path in ("/models/serving", "/models/shadow"):
        assert (404, "not-found") == read_problem(client.put(path, json=body))
    nothing_before = client.post("/models/rollback")
    assert (409, "conflict") == read_problem(nothing_before)
    client.put("/models/serving", json={"version": names[0]})
    itself = client.put("/models/shadow", json={"version": names[0]})
    assert (409, "conflict") == read_problem(itself)


def test_where_this_process_may_not_write_the_answer_names_the_command(
    client: FlaskClient, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("flaskapi.versions.registry.write_pointer", refuse)
    refused = client.put("/models/serving", json={"version": names[0]})
    assert (409, "conflict") == read_problem(refused)
    assert f"python -m flaskapi models promote {names[0]}" in refused.get_json()["detail"]


def test_where_it_cannot_be_told_what_serves_the_answer_says_so(
    client: FlaskClient, tmp_path: Path
) -> None:
    (tmp_path / "versions" / "serving.json").write_text("{")
    assert (503, "model-unavailable") == read_problem(client.get("/models"))
