import base64
import csv
import gzip
import io
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import make_tar, make_tar_gz, make_zip
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from problems import MEMBERS, read_problem

from flaskapi import create_app
from flaskapi.errors import ModelUnavailableError

DIGITS = [encode(draw_digit(digit, side=28)) for digit in range(10)]
NAMES = [f"{digit}.png" for digit in range(10)]
ALL = list(zip(NAMES, DIGITS, strict=True))
NDJSON = {"Accept": "application/x-ndjson"}


class Weigher(FixedClassifier):
    """Answers each picture by itself, so that the order shows: the digit is that of its mean
    ink.
    """

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch)
        return np.eye(10, dtype=np.float32)[[int(picture.sum()) % 10 for picture in batch]]


@pytest.fixture
def weigher() -> Weigher:
    return Weigher()


@pytest.fixture
def weighing(tmp_path: Path, weigher: Weigher) -> FlaskClient:
    return create_app({"INSTANCE_PATH": tmp_path}, classifier=weigher).test_client()


def form(files: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    return {"data": {"file": [(io.BytesIO(content), name) for name, content in files]}}


def body(archive: bytes, kind: str = "application/octet-stream") -> dict[str, Any]:
    return {"data": archive, "content_type": kind}


def texts(files: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    return {
        "json": {
            "images": [
                {"name": name, "image": base64.b64encode(content).decode()}
                for name, content in files
            ]
        }
    }


WAYS = {
    "files": lambda files: form(files),
    "a ZIP": lambda files: body(make_zip(files), "application/zip"),
    "a tar": lambda files: body(make_tar(files), "application/x-tar"),
    "a tar.gz": lambda files: body(make_tar_gz(files), "application/gzip"),
    "a ZIP as a file": lambda files: form([("it.zip", make_zip(files))]),
    "a tar as a file": lambda files: form([("it.tar", make_tar(files))]),
    "JSON": lambda files: texts(files),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_sending_many_images_gives_the_answers_of_predict_in_order(
    way: str, weighing: FlaskClient
) -> None:
    expected = [
        {"name": name} | weighing.post("/predict", data=content).get_json() for name, content in ALL
    ]
    assert len({result["digit"] for result in expected}) > 3
    response = weighing.post("/predict/batch", **WAYS[way](ALL))
    assert (200, "application/json") == (response.status_code, response.content_type)
    assert {"results": expected, "succeeded": 10, "failed": 0} == response.get_json()
    assert ["results", "succeeded", "failed"] == list(response.get_json())
    lines = weighing.post("/predict/batch", headers=NDJSON, **WAYS[way](ALL))
    assert (200, "application/x-ndjson") == (lines.status_code, lines.content_type)
    assert expected == [json.loads(line) for line in lines.text.splitlines()]
    assert list(expected[0]) == list(json.loads(lines.text.splitlines()[0]))


@pytest.fixture(scope="module")
def any_client() -> FlaskClient:
    """For what is tried many times; it keeps nothing."""
    return create_app({"INSTANCE_PATH": "/nonexistent"}, classifier=Weigher()).test_client()


KINDS = [*DIGITS, b"words", DIGITS[3][:90]]


@pytest.fixture(scope="module")
def alone(any_client: FlaskClient) -> list[dict[str, Any]]:
    """The answer of `/predict` to each of the kinds."""
    return [any_client.post("/predict", data=kind).get_json() for kind in KINDS]


@given(st.lists(st.integers(0, 11), min_size=1, max_size=150), st.sampled_from(sorted(WAYS)))
@settings(deadline=None, max_examples=25)
def test_results_are_as_many_as_were_sent_and_in_their_order(
    any_client: FlaskClient, alone: list[dict[str, Any]], order: list[int], way: str
) -> None:
    files = [(f"{place}-{kind}", KINDS[kind]) for place, kind in enumerate(order)]
    document = any_client.post("/predict/batch", **WAYS[way](files)).get_json()
    assert [name for name, _ in files] == [result["name"] for result in document["results"]]
    for kind, result in zip(order, document["results"], strict=True):
        assert alone[kind].get("digit") == result.get("digit")
        assert alone[kind].get("detail") == result.get("error", {}).get("detail")
    assert sum(kind < 10 for kind in order) == document["succeeded"]
    assert len(order) - document["succeeded"] == document["failed"]


def test_a_bad_image_has_an_error_of_the_one_shape_and_fails_no_other(client: FlaskClient) -> None:
    sent = [
        ("7.png", DIGITS[7]),
        ("labels.csv", b"file,label"),
        ("half.png", DIGITS[7][:90]),
        ("none", b""),
        ("8.png", DIGITS[8]),
    ]
    response = client.post(
        "/predict/batch", headers={"X-Request-ID": "mine"}, **WAYS["a ZIP"](sent)
    )
    document = response.get_json()
    assert (200, 2, 3) == (response.status_code, document["succeeded"], document["failed"])
    errors = [result["error"] for result in document["results"] if "error" in result]
    assert [MEMBERS] * 3 == [list(error) for error in errors]
    assert [(415, "unsupported-image"), (422, "invalid-image"), (400, "missing-image")] == [
        (error["status"], error["type"].removeprefix("/problems/")) for error in errors
    ]
    assert {"mine"} == {error["request_id"] for error in errors}
    assert [["name", "error"]] * 3 == [
        list(result) for result in document["results"] if "error" in result
    ]


def test_what_clients_send_otherwise_is_read_as_many_images_too(client: FlaskClient) -> None:
    """Fields of any name where none is 'file', parts without a file's name, a lost boundary, packed
    bodies, pixels as numbers.
    """
    one, two = DIGITS[7], DIGITS[8]
    head = b"Content-Disposition: form-data; name="
    file = b"--XX\r\n" + head + b'"a"; filename="7.png"\r\n\r\n' + one + b"\r\n"
    picture = b"--XX\r\n" + head + b'"b"\r\nContent-Type: image/png\r\n\r\n' + two + b"\r\n"
    words = b"--XX\r\n" + head + b'"note"\r\n\r\nmine\r\n--XX--\r\n'
    whole, kind = file + picture + words, "multipart/form-data"
    packed = {"headers": {"Content-Encoding": "gzip"}}
    images = {"images": [base64.b64encode(one).decode(), {"name": "b", "image": [0, 255] * 392}]}
    ways: dict[str, tuple[dict[str, Any], list[str]]] = {
        "other names": (body(whole, f"{kind}; boundary=XX"), ["7.png", "the field 'b'"]),
        "no boundary": (body(whole, kind), ["7.png", "the field 'b'"]),
        "a packed form": (
            body(gzip.compress(whole), f"{kind}; boundary=XX") | packed,
            ["7.png", "the field 'b'"],
        ),
        "packed JSON": (
            body(gzip.compress(json.dumps(images).encode()), "application/json") | packed,
            ["images[0]", "b"],
        ),
        "an image of no type": (body(one), ["the body"]),
        "a packed tar": (
            body(make_tar_gz([("7.png", one), ("8.png", two)])) | packed,
            [
                "7.png",
                "8.png",
            ],
        ),
    }
    for way, (sent, names) in ways.items():
        response = client.post("/predict/batch", **sent)
        assert 200 == response.status_code, (way, response.text)
        results = response.get_json()["results"]
        assert names == [result["name"] for result in results], way
        assert all("digit" in result for result in results), way


def test_each_page_and_each_picture_in_a_file_of_pixels_is_an_image_of_many(
    client: FlaskClient,
) -> None:
    pages = [Image.open(io.BytesIO(DIGITS[digit])) for digit in (7, 8)]
    tiff, array = io.BytesIO(), io.BytesIO()
    pages[0].save(tiff, "TIFF", save_all=True, append_images=pages[1:])
    np.save(array, np.stack([draw_digit(digit, side=28) for digit in (7, 8)]))
    table = "".join(",".join(["5"] + ["0", "255"] * 392) + "\n" for _ in "12").encode()
    ways = [
        form([("a", tiff.getvalue())]),
        form([("a", array.getvalue())]),
        form([("a", table)]),
        {"json": {"images": [{"name": "a", "image": base64.b64encode(tiff.getvalue()).decode()}]}},
    ]
    for sent in ways:
        document = client.post("/predict/batch", **sent).get_json()
        assert (["a#1", "a#2"], 2) == (
            [result["name"] for result in document["results"]],
            document["succeeded"],
        )
    assert ["the body#1", "the body#2"] == [
        result["name"]
        for result in client.post("/predict/batch", **body(table, "text/csv")).get_json()["results"]
    ]


def test_pages_count_as_images(tmp_path: Path) -> None:
    settings = {"INSTANCE_PATH": tmp_path, "MAX_BATCH_IMAGES": 3}
    client = create_app(settings, classifier=FixedClassifier()).test_client()
    pages = [Image.open(io.BytesIO(DIGITS[7]))] * 5
    tiff = io.BytesIO()
    pages[0].save(tiff, "TIFF", save_all=True, append_images=pages[1:])
    results = client.post("/predict/batch", **form([("a", tiff.getvalue())])).get_json()["results"]
    assert [7, 7, 7, None] == [result.get("digit") for result in results]
    assert "MAX_BATCH_IMAGES" in results[-1]["error"]["detail"]


def test_lines_of_digits_and_rows_are_given_to_those_who_ask(client: FlaskClient) -> None:
    """A line for each image, in order; that of one without an answer is empty, and its row has
    the error.
    """
    sent = [("a,b.png", DIGITS[7]), ("words", b"words"), ("8.png", DIGITS[8])]
    texts = {}
    for accept in ("text/plain", "text/csv"):
        response = client.post("/predict/batch", headers={"Accept": accept}, **form(sent))
        assert (200, f"{accept}; charset=utf-8") == (response.status_code, response.content_type)
        texts[accept] = response.text
    assert "7\n\n7\n" == texts["text/plain"]
    head, first, second, third = csv.reader(io.StringIO(texts["text/csv"]))
    assert ["name", "digit", "confidence", "uncertain", "error", "id"] == head
    assert ["a,b.png", "7", "0.9", "false", "", ""] == first
    assert ["words", "", "", ""] == second[:4]
    assert "not an image" in second[4]
    assert "8.png" == third[0]


def test_what_is_wrong_with_the_whole_is_a_problem_of_the_whole(client: FlaskClient) -> None:
    for headers in ({}, NDJSON):
        for sent, status, name, said in bad_requests():
            response = client.post("/predict/batch", headers=headers, **sent)
            assert (status, name) == read_problem(response), sent
            assert said in response.get_json()["detail"]


def bad_requests() -> list[tuple[dict[str, Any], int, str, str]]:
    return [
        ({}, 400, "missing-image", "empty"),
        (body(b"words"), 415, "unsupported-image", "not a supported archive"),
        (body(b"words", "text/plain"), 415, "unsupported-image", "text/plain"),
        (body(b"words", "application/x-www-form-urlencoded"), 400, "missing-image", "curl"),
        (body(make_zip(ALL)[:-30], "application/zip"), 400, "invalid-request", "truncated"),
        (body(make_zip([])), 400, "missing-image", "no image"),
        (body(b"BZh91AY&SY"), 415, "unsupported-image", "bzip2"),
        (form([]), 400, "missing-image", "'file'"),
        ({"data": {"note": "7", "file": (io.BytesIO(b""), "")}}, 400, "missing-image", "'file'"),
        ({"data": {"file": (io.BytesIO(b""), "")}}, 400, "missing-image", "'file'"),
        (
            body(b"--XX\r\n", "multipart/form-data; boundary=XX"),
            400,
            "invalid-request",
            "truncated",
        ),
        (body(b"--XX\r\n", "multipart/form-data"), 400, "invalid-request", "boundary"),
        ({"json": {"images": []}}, 400, "missing-image", '"images"'),
        ({"json": {"image": ""}}, 400, "missing-image", '"images"'),
        ({"json": {"images": "x"}}, 400, "missing-image", '"images"'),
        (body(b"{", "application/json"), 400, "invalid-request", "JSON"),
    ]


def test_an_archive_that_breaks_off_leaves_what_was_read_and_says_so_last(
    client: FlaskClient,
) -> None:
    for sent in (body(make_tar(ALL)[:-12000]), body(make_tar_gz(ALL)[:-300])):
        *read, last = client.post("/predict/batch", **sent).get_json()["results"]
        assert NAMES[: len(read)] == [result["name"] for result in read]
        assert read
        assert ("the body", 400) == (last["name"], last["error"]["status"])
        assert "truncated" in last["error"]["detail"]


def test_a_form_that_breaks_off_leaves_what_was_read_and_says_so_last(client: FlaskClient) -> None:
    part = (
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n\r\n'
        + DIGITS[7]
        + b"\r\n"
    )
    sent = body(part + part[:-40], "multipart/form-data; boundary=XX")
    first, last = client.post("/predict/batch", **sent).get_json()["results"]
    assert ("7.png", 7) == (first["name"], first["digit"])
    assert ("the form", 400) == (last["name"], last["error"]["status"])


def test_entries_of_json_that_are_no_images_have_their_errors(client: FlaskClient) -> None:
    image = base64.b64encode(DIGITS[7]).decode()
    entries = [
        image,
        f"data:image/png;base64,{image}",
        7,
        None,
        {},
        {"image": 7, "name": "a"},
        {"name": 7, "image": image},
        "%%%",
    ]
    results = client.post("/predict/batch", json={"images": entries}).get_json()["results"]
    assert [f"images[{place}]" if place != 5 else "a" for place in range(8)] == [
        result["name"] for result in results
    ]
    assert [200, 200, 400, 400, 400, 400, 200, 400] == [
        result.get("error", {"status": 200})["status"] for result in results
    ]


def test_limits_are_said_by_name(tmp_path: Path) -> None:
    limits = {
        "MAX_REQUEST_BYTES": 3000,
        "MAX_BATCH_BYTES": 6000,
        "MAX_BATCH_IMAGES": 4,
        "INSTANCE_PATH": tmp_path,
    }
    client = create_app(limits, classifier=FixedClassifier()).test_client()
    small = [(name, content) for name, content in ALL if len(content) < 600][:6]
    for sent, said in [
        (body(bytes(6001)), "MAX_BATCH_BYTES = 6,000"),
        (form([("a", bytes(6001))]), "MAX_BATCH_BYTES = 6,000"),
        ({"json": {"images": ["A" * 3000]}}, "MAX_REQUEST_BYTES = 3,000"),
        ({"json": {"images": ["", "", "", "", ""]}}, "at most 4"),
    ]:
        response = client.post("/predict/batch", **sent)
        assert (413, "too-large") == read_problem(response)
        assert said in response.get_json()["detail"]
    for sent in (form(small), body(make_zip(small))):
        results = client.post("/predict/batch", **sent).get_json()["results"]
        assert [name for name, _ in small[:5]] == [result["name"] for result in results]
        assert "MAX_BATCH_IMAGES" in results[-1]["error"]["detail"]
    large = client.post("/predict/batch", **form([("a.png", bytes(3001)), small[0]])).get_json()
    assert (1, 413) == (large["succeeded"], large["results"][0]["error"]["status"])
    bomb = make_zip([(f"{n}.png", DIGITS[7].ljust(2500, b"\0")) for n in range(4)], 8)
    results = client.post("/predict/batch", **body(bomb)).get_json()["results"]
    assert [7, 7, None] == [result.get("digit") for result in results]
    assert "MAX_BATCH_BYTES" in results[-1]["error"]["detail"]


def test_parts_that_are_no_image_count_too(tmp_path: Path) -> None:
    limits = {"MAX_BATCH_IMAGES": 4, "MAX_FORM_PARTS": 3, "INSTANCE_PATH": tmp_path}
    client = create_app(limits, classifier=FixedClassifier()).test_client()
    empty = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    image = (
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n\r\n'
        + DIGITS[7]
        + b"\r\n"
    )

    def send(parts: bytes) -> Any:
        return client.post(
            "/predict/batch", **body(parts + b"--XX--\r\n", "multipart/form-data; boundary=XX")
        )

    assert 1 == send(empty * 6 + image).get_json()["succeeded"]
    assert (413, "too-large") == read_problem(send(empty * 8))
    assert "MAX_BATCH_IMAGES + MAX_FORM_PARTS" in send(empty * 7 + image).get_json()["detail"]
    first, last = send(image + empty * 7).get_json()["results"]
    assert ("7.png", 7) == (first["name"], first["digit"])
    assert ("the form", 413) == (last["name"], last["error"]["status"])


def test_the_first_line_is_there_before_the_second_image_is_read(
    weighing: FlaskClient, weigher: Weigher
) -> None:
    response = weighing.post("/predict/batch", headers=NDJSON, **body(make_tar(ALL * 20)))
    assert json.loads(next(iter(response.response)).splitlines()[0])["name"] == "0.png"
    assert [1] == [len(batch) for batch in weigher.batches]
    response.close()


def test_the_network_is_shown_many_at_once(weighing: FlaskClient, weigher: Weigher) -> None:
    weighing.post("/predict/batch", **body(make_tar(ALL * 20))).get_data()
    assert 200 == sum(len(batch) for batch in weigher.batches)
    assert len(weigher.batches) < 30


def test_answers_are_counted_and_the_time_of_a_stream_is_that_of_all_of_it(
    client: FlaskClient,
) -> None:
    with client.post(
        "/predict/batch", headers=NDJSON, **body(make_zip([*ALL, ("x", b"words")]))
    ) as response:
        assert 11 == len(response.text.splitlines())
    lines = client.get("/metrics").text.splitlines()
    assert 'flaskapi_predictions_total{digit="7",uncertain="false"} 10.0' in lines
    assert 'flaskapi_requests_total{route="/predict/batch",status="200"} 1.0' in lines


class Failing(Weigher):
    """Gives `answers` pictures an answer, then raises `error`."""

    def __init__(self, answers: int, error: Exception) -> None:
        super().__init__()
        self._left, self._error = answers, error

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        self._left -= len(batch)
        if self._left < 0:
            raise self._error
        return super().probabilities(batch)


def broken(tmp_path: Path, answers: int, error: Exception) -> Flask:
    return create_app({"INSTANCE_PATH": tmp_path}, classifier=Failing(answers, error))


@pytest.mark.parametrize(
    ("error", "name", "status"),
    [
        (RuntimeError("secret"), "internal-error", 500),
        (ModelUnavailableError("gone"), "model-unavailable", 503),
    ],
)
def test_a_fatal_error_is_a_status_before_and_a_last_line_after_the_first(
    error: Exception, name: str, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for headers in ({}, NDJSON):
        assert (status, name) == read_problem(
            broken(tmp_path, 0, error)
            .test_client()
            .post("/predict/batch", headers=headers, **body(make_zip(ALL)))
        )
    caplog.clear()
    response = (
        broken(tmp_path, 1, error)
        .test_client()
        .post("/predict/batch", headers=NDJSON, **body(make_zip(ALL)))
    )
    first, last = map(json.loads, response.text.splitlines())
    assert (200, "0.png") == (response.status_code, first["name"])
    assert (["error"], status, f"/problems/{name}") == (
        list(last),
        last["error"]["status"],
        last["error"]["type"],
    )
    assert "secret" not in response.text
    assert [logging.ERROR] == [record.levelno for record in caplog.records]
    response = (
        broken(tmp_path, 1, error).test_client().post("/predict/batch", **body(make_zip(ALL)))
    )
    assert (status, name) == read_problem(response)


def test_a_fault_of_ours_in_one_image_fails_no_other_and_is_logged(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from flaskapi.reading import digit as module

    normalize, bad = module.normalize_looks, draw_digit(3, side=41)

    def fail_once(image: np.ndarray) -> Any:
        if image.shape == bad.shape:
            raise RuntimeError("a secret fault")
        return normalize(image)

    monkeypatch.setattr(module, "normalize_looks", fail_once)
    response = client.post(
        "/predict/batch", **body(make_zip([ALL[0], ("bad.png", encode(bad)), ALL[1]]))
    )
    document = response.get_json()
    assert (2, 1) == (document["succeeded"], document["failed"])
    assert 500 == document["results"][1]["error"]["status"]
    assert "secret" not in response.text
    assert "a secret fault" in caplog.text


def test_by_the_route_number_each_is_answered_as_predict_number_does(client: FlaskClient) -> None:
    results = client.post("/predict/batch?route=number", **body(make_zip(ALL))).get_json()[
        "results"
    ]
    for (name, data), result in zip(ALL, results, strict=True):
        alone = client.post("/predict/number", data=data, content_type="image/png")
        expected = alone.get_json() if alone.status_code == 200 else {"error": alone.get_json()}
        for answer in (result, expected):
            answer.get("error", {}).pop("request_id", None)
        assert {"name": name} | expected == result


def test_no_other_route_is_known(client: FlaskClient) -> None:
    response = client.post("/predict/batch?route=word", **body(make_zip(ALL)))
    assert (400, "invalid-request") == read_problem(response)
    assert "'route'" in response.get_json()["detail"]


@given(
    st.binary(max_size=400),
    st.sampled_from(
        [b"", b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08\0\0\0\0\0", make_zip(ALL[:1]), make_tar(ALL[:1])]
    ),
)
@settings(deadline=None, max_examples=150)
def test_no_body_is_the_services_fault(any_client: FlaskClient, junk: bytes, start: bytes) -> None:
    for headers in ({}, NDJSON):
        with any_client.post("/predict/batch", headers=headers, **body(start + junk)) as response:
            assert response.status_code < 500
            assert response.get_data().endswith(b"\n")


def test_no_file_is_left_behind_or_written_under_a_members_name(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("flaskapi.web.items._IN_MEMORY_BYTES", 100)
    before = sorted(tmp_path.rglob("*"))
    hostile = [
        ("../evil.png", DIGITS[7]),
        (f"{tmp_path}/evil.png", DIGITS[7]),
        ("7.png", DIGITS[7]),
    ]
    for way in WAYS.values():
        client.post("/predict/batch", **way(hostile)).get_json()
    assert before == sorted(tmp_path.rglob("*"))
