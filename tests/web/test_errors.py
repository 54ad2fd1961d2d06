import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import FixedClassifier, FixedDetector, draw_digit, encode
from flask import Flask
from flask.logging import default_handler
from flask.testing import FlaskClient
from operators import in_full
from problems import read_problem

from flaskapi import create_app, errors
from flaskapi.contract.problems import PROBLEMS, STATUS, name_of

PNG = encode(draw_digit(7, side=28))
# These stop a start, a training or a command; no request meets them.
IN_NO_VIEW = {
    errors.ModelFileError,
    errors.DatasetError,
    errors.ServiceUnreachableError,
    errors.SettingError,
    errors.WorkerDiedError,
} | {errors.VersionError}


@pytest.fixture(autouse=True)
def _answers_are_as_described() -> None:
    """Not here: errors are raised where there is none of their kind."""


@pytest.fixture
def client(unchanged: tuple[FlaskClient, FixedClassifier]) -> FlaskClient:
    return unchanged[0]


class RaisingClassifier(FixedClassifier):
    """Raises `error` whatever it is asked."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    @property
    def card(self) -> dict[str, Any]:
        raise self.error

    def probabilities(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise self.error


def failing(tmp_path: Path, error: Exception) -> Flask:
    return create_app(
        {"INSTANCE_PATH": tmp_path}, classifier=RaisingClassifier(error), detector=FixedDetector()
    )


def test_every_endpoint_fails_in_the_one_shape(tmp_path: Path) -> None:
    """Whatever goes wrong at whatever address: see `read_problem` for the shape. A new route is
    covered by itself.
    """
    app = failing(tmp_path, RuntimeError("broken"))
    client, rules = app.test_client(), list(app.url_map.iter_rules())
    for rule in rules:
        path, allowed = (
            in_full(rule.rule),
            set[str]().union(*(one.methods or set() for one in rules if one.rule == rule.rule)),
        )
        refused = client.open(path, method="PATCH")
        assert (405, "method-not-allowed") == read_problem(refused), path
        assert allowed == set(refused.headers["Allow"].split(", ")), path
        nowhere = f"{path.rstrip('/')}/nothing/at/all"
        assert (404, "not-found") == read_problem(client.get(nowhere)), path
        scope = getattr(app.view_functions[rule.endpoint], "scope", "open")
        if "x" in path.split("/") and scope == "open":
            assert (404, "not-found") == read_problem(client.get(path)), path
    posted = (client.post(path, data=PNG) for path in ("/predict", "/predict/number"))
    for crashed in (*posted, client.get("/model"), client.get("/health/ready")):
        assert (500, "internal-error") == read_problem(crashed)
    assert {
        "/predict",
        "/predict/number",
        "/model",
        "/metrics",
        "/health/live",
        "/health/ready",
    } <= {rule.rule for rule in rules}


@pytest.mark.parametrize(("kind", "status"), STATUS.items(), ids=map(name_of, STATUS))
def test_each_domain_error_has_its_status_its_text_and_an_explanation(
    kind: type[errors.FlaskapiError], status: int, tmp_path: Path
) -> None:
    client = failing(tmp_path, kind("The moon is full.")).test_client()
    for path in ("/predict", "/predict/number"):
        response = client.post(path, data=PNG)
        assert (status, name_of(kind)) == read_problem(response)
        assert "The moon is full." == response.get_json()["detail"]
    assert PROBLEMS[name_of(kind)] == client.get(response.get_json()["type"]).text.strip()


def test_every_domain_error_that_may_reach_a_view_has_a_status() -> None:
    assert set(errors.FlaskapiError.__subclasses__()) - IN_NO_VIEW == set(STATUS)


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_problem_is_explained_in_plain_text(name: str, client: FlaskClient) -> None:
    response = client.get(f"/problems/{name}")
    assert (200, "text/plain; charset=utf-8") == (response.status_code, response.content_type)
    assert PROBLEMS[name] + "\n" == response.text


def test_all_problems_are_listed_in_plain_text(client: FlaskClient) -> None:
    response = client.get("/problems/")
    assert (200, "text/plain; charset=utf-8") == (response.status_code, response.content_type)
    assert [
        f"{name}: {meaning}" for name, meaning in PROBLEMS.items()
    ] == response.text.splitlines()


def test_an_address_that_is_not_there_leads_to_what_is(client: FlaskClient) -> None:
    assert "the page, GET /, or POST /predict" in client.get("/index.html").get_json()["detail"]


@pytest.mark.parametrize("path", ["/submissions/7", "/submissions/7/label", "/retrainings/7"])
def test_who_mistypes_an_id_is_told_how_ids_are_written(path: str, client: FlaskClient) -> None:
    response = client.get(path)
    assert (404, "not-found") == read_problem(response)
    assert "An id has the form" in response.get_json()["detail"]


def test_there_is_no_explanation_of_an_unknown_problem(client: FlaskClient) -> None:
    assert (404, "not-found") == read_problem(client.get("/problems/full-moon"))


def test_a_crash_tells_the_caller_nothing_and_the_log_everything_under_the_same_request_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, log = failing(tmp_path, RuntimeError("the secret /srv/path")), io.StringIO()
    # Flask adds it itself where pytest's own is not there.
    monkeypatch.setattr(app.logger, "handlers", [default_handler])
    response = app.test_client().post(
        "/predict", data=PNG, errors_stream=log, headers={"X-Request-ID": "tonight-1"}
    )
    assert (500, "internal-error") == read_problem(response)
    assert (
        "An error occurred in the service; its log has the details under this request_id."
        == response.get_json()["detail"]
    )
    assert not [
        word for word in ("secret", "srv", "RuntimeError", "Traceback") if word in response.text
    ]
    assert all(
        part in log.getvalue()
        for part in ("ERROR [tonight-1]", "Traceback", "RuntimeError: the secret /srv/path")
    )


def test_what_the_caller_did_wrong_is_no_error_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    for response in (
        client.post("/predict", data=b"words"),
        client.get("/nothing"),
        client.get("/predict"),
    ):
        assert 400 <= response.status_code < 500
    assert [] == [record for record in caplog.records if record.levelno > logging.INFO]


LIMITS = {
    "MAX_REQUEST_BYTES": 300_000,
    "MAX_FORM_FIELD_BYTES": 200_000,
    "MAX_FORM_PARTS": 3,
    "MAX_IMAGE_PIXELS": 1600,
}
SMALL = encode(draw_digit(7, side=40))
LARGER: dict[str, tuple[dict[str, Any], str]] = {
    "a body": (
        {"data": b"x" * 300_001, "content_type": "image/png"},
        "MAX_REQUEST_BYTES = 300,000",
    ),
    "a form": (
        {"data": {"file": (io.BytesIO(b"x" * 300_001), "7.png")}},
        "MAX_REQUEST_BYTES = 300,000",
    ),
    "JSON": ({"json": {"image": "A" * 300_000}}, "MAX_REQUEST_BYTES = 300,000"),
    "a body of unsaid length": (
        {
            "input_stream": io.BytesIO(b"x" * 300_001),
            "content_type": "image/png",
            "environ_overrides": {"wsgi.input_terminated": True},
        },
        "MAX_REQUEST_BYTES = 300,000",
    ),
    "a form field": (
        {"data": {"note": "x" * 200_001, "file": (io.BytesIO(SMALL), "7.png")}},
        "MAX_FORM_FIELD_BYTES = 200,000",
    ),
    "a form's parts": (
        {"data": {**dict.fromkeys("abc", ""), "file": (io.BytesIO(SMALL), "7.png")}},
        "MAX_FORM_PARTS = 3",
    ),
    "pixels": ({"data": encode(draw_digit(7, side=41))}, "1,600 pixels"),
}


@pytest.mark.parametrize(("sent", "said"), LARGER.values(), ids=LARGER)
def test_what_is_larger_than_a_limit_is_refused_and_the_limit_named(
    sent: dict[str, Any], said: str, tmp_path: Path
) -> None:
    client = create_app(
        LIMITS | {"INSTANCE_PATH": tmp_path}, classifier=FixedClassifier()
    ).test_client()
    response = client.post("/predict", **sent)
    assert (413, "too-large") == read_problem(response)
    assert said in response.get_json()["detail"]


def test_what_is_as_large_as_the_limits_is_read(tmp_path: Path) -> None:
    client = create_app(
        LIMITS | {"INSTANCE_PATH": tmp_path}, classifier=FixedClassifier()
    ).test_client()
    assert (
        200
        == client.post(
            "/predict", data={"a": "x" * 199_000, "b": "", "file": (io.BytesIO(SMALL), "7.png")}
        ).status_code
    )
    assert 200 == client.post("/predict", data=SMALL.ljust(300_000, b"\0")).status_code
