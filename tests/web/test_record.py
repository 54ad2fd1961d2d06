import base64
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask import Flask
from problems import read_problem

from flaskapi import create_app
from flaskapi.digits.likeness import measure_likeness
from flaskapi.digits.normalize import normalize_digit
from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import NoStore, Submission

PNG = encode(draw_digit(7, side=28))


class FakeStore(NoStore):
    """Keeps submissions in a dictionary; raises `error` while there is one."""

    def __init__(self) -> None:
        self.kept: dict[UUID, Submission] = {}
        self.error: StoreUnavailableError | None = None

    def record(self, submissions: list[Submission]) -> list[UUID | None]:
        if self.error:
            raise self.error
        self.kept |= {one.id: one for one in submissions}
        return [one.id for one in submissions]

    def check(self) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"kind": "fake"}


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def make_app(tmp_path: Path, store: FakeStore, setting: str) -> Flask:
    config = {"INSTANCE_PATH": tmp_path, "STORE": setting, "UNCERTAIN_BELOW": 0.5}
    return create_app(config, classifier=FixedClassifier(), detector=FixedDetector(), store=store)


@pytest.fixture
def app(tmp_path: Path, store: FakeStore) -> Flask:
    return make_app(tmp_path, store, "on")


def test_the_id_in_an_answer_is_that_of_the_submission(app: Flask, store: FakeStore) -> None:
    answer = (
        app.test_client()
        .post("/predict?include=normalized", data=PNG, content_type="application/octet-stream")
        .get_json()
    )
    kept = store.kept[UUID(answer["id"])]
    assert (PNG, "image/png", "/predict", None) == (
        kept.image,
        kept.media_type,
        kept.route,
        kept.batch,
    )
    assert ("7", 0.9, False, answer["probabilities"], answer["model"]) == (
        kept.prediction,
        kept.confidence,
        kept.uncertain,
        kept.probabilities,
        kept.model,
    )
    assert 784 == len(kept.normalized)
    assert 255 >= max(kept.normalized) > 200
    assert (None, None) == (kept.lines, kept.digits)


def test_what_a_digit_was_like_is_kept_with_it_and_nothing_of_the_kind_with_a_number(
    app: Flask, store: FakeStore
) -> None:
    client = app.test_client()
    digit, number = (
        store.kept[UUID(client.post(path, data=PNG).get_json()["id"])]
        for path in ("/predict", "/predict/number")
    )
    assert measure_likeness(normalize_digit(draw_digit(7, side=28))) == (
        digit.ink_share,
        digit.stroke_px,
        digit.size_px,
        digit.contrast,
    )
    assert (None, None, None, None) == (
        number.ink_share,
        number.stroke_px,
        number.size_px,
        number.contrast,
    )


def test_a_number_is_kept_with_its_lines_its_digits_and_their_boxes(
    app: Flask, store: FakeStore
) -> None:
    answer = (
        app.test_client().post("/predict/number", data=PNG, content_type="image/png").get_json()
    )
    kept = store.kept[UUID(answer["id"])]
    assert (answer["number"], answer["lines"], answer["digits"]) == (
        kept.prediction,
        kept.lines,
        kept.digits,
    )
    assert ("/predict/number", None, None) == (kept.route, kept.probabilities, kept.normalized)


@pytest.mark.parametrize("route", ["digit", "number"])
def test_each_image_of_many_has_its_own_id_and_all_have_one_batch(
    app: Flask, store: FakeStore, route: str
) -> None:
    images = [
        base64.b64encode(encode(draw_digit(digit % 10, side=28))).decode() for digit in range(150)
    ]
    images[3] = "no image"
    results = (
        app.test_client()
        .post(f"/predict/batch?route={route}", json={"images": images})
        .get_json()["results"]
    )
    ids = [result["id"] for result in results if "error" not in result]
    assert (149, 149) == (len(ids), len(set(ids)))
    assert set(store.kept) == {UUID(identifier) for identifier in ids}
    assert "error" in results[3]
    assert "id" not in results[3]
    batches = {one.batch for one in store.kept.values()}
    assert len(batches) == 1
    assert None not in batches
    for place in (0, 2, 4, 149):
        assert base64.b64decode(images[place]) == store.kept[UUID(results[place]["id"])].image


def test_where_nothing_can_be_kept_predictions_are_answered_without_a_receipt(
    app: Flask, store: FakeStore
) -> None:
    client, store.error = app.test_client(), StoreUnavailableError("The disk is full.")
    for path in ("/predict", "/predict/number"):
        answer = client.post(path, data=PNG, content_type="image/png")
        assert (200, None) == (answer.status_code, answer.get_json()["id"])
    many = client.post(
        "/predict/batch",
        data={"file": [(Path(__file__).parents[2] / "examples" / "7.png").open("rb")]},
    ).get_json()
    assert [None] == [result["id"] for result in many["results"]]
    ready = client.get("/health/ready")
    assert (200, {"status": "unavailable"}) == (
        ready.status_code,
        ready.get_json()["checks"]["store"],
    )
    store.error = None
    assert client.post("/predict", data=PNG).get_json()["id"]
    lines = client.get("/metrics").text.splitlines()
    assert 'flaskapi_submissions_total{kept="false"} 3.0' in lines
    assert 'flaskapi_submissions_total{kept="true"} 1.0' in lines


def test_where_the_store_is_required_nothing_is_answered_without_a_receipt(
    tmp_path: Path, store: FakeStore
) -> None:
    client, store.error = (
        make_app(tmp_path, store, "required").test_client(),
        StoreUnavailableError("The disk is full."),
    )
    for answer in (
        client.post("/predict", data=PNG),
        client.post("/predict/batch", json={"images": [base64.b64encode(PNG).decode()]}),
    ):
        assert (503, "store-unavailable") == read_problem(answer)
        assert "The disk is full." == answer.get_json()["detail"]
    ready = client.get("/health/ready")
    assert (503, "store-unavailable") == read_problem(ready)
    assert ["store"] == [
        name for name, check in ready.get_json()["checks"].items() if check["status"] != "ok"
    ]


def test_where_it_is_off_nothing_is_kept(tmp_path: Path, store: FakeStore) -> None:
    client = make_app(tmp_path, store, "off").test_client()
    assert client.post("/predict", data=PNG).get_json()["id"] is None
    assert {"status": "off"} == client.get("/health/ready").get_json()["checks"]["store"]
    assert {} == store.kept
    client = create_app(
        {"INSTANCE_PATH": tmp_path / "own", "STORE": "off"}, classifier=FixedClassifier()
    ).test_client()
    assert client.post("/predict", data=PNG).get_json()["id"] is None
    assert not (tmp_path / "own").exists()


def test_an_image_that_could_not_be_read_is_not_kept(app: Flask, store: FakeStore) -> None:
    assert 415 == app.test_client().post("/predict", data=b"words").status_code
    assert {} == store.kept


@pytest.mark.parametrize("setting", ["on", "required"])
@pytest.mark.parametrize("path", ["/predict", "/predict/number", "/predict/batch"])
def test_a_caller_may_ask_that_nothing_is_kept_unless_all_must_be(
    tmp_path: Path, store: FakeStore, path: str, setting: str
) -> None:
    """With `?keep=false` the answer is the same and its id is null; `required` keeps it all the
    same, and the id says so.
    """
    client = make_app(tmp_path, store, setting).test_client()
    for query, kept in (("?keep=false", setting == "required"), ("?keep=true", True)):
        before = len(store.kept)
        answer = client.post(path + query, data=PNG, content_type="image/png").get_json()
        (result,) = answer.get("results", [answer])
        assert kept == (result["id"] is not None) == (len(store.kept) > before)
    wrong = client.post(path + "?keep=no", data=PNG, content_type="image/png")
    assert (400, "invalid-request") == read_problem(wrong)
