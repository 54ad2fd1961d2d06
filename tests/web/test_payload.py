import io
import json
from typing import Any

import pytest
from archives import make_zip
from fakes import FixedClassifier, draw_digit, encode
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from problems import read_problem

from flaskapi import create_app

PNG = encode(draw_digit(7, side=64))
ZIP = make_zip([("7.png", PNG)])
FILE = b'Content-Disposition: form-data; name="file"; filename="7.png"'
# A part that breaks off leaves Werkzeug's temporary file to the garbage collector, which tells.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning",
    "ignore:Exception ignored in. <function "
    "SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning",
)


def part(*headers: bytes, content: bytes = PNG) -> bytes:
    return b"\r\n".join([b"--XX", *headers, b"", content, b""])


def multipart(
    *parts: bytes, end: bytes = b"--XX--\r\n", kind: str = "multipart/form-data; boundary=XX"
) -> dict[str, Any]:
    return {"data": b"".join(parts) + end, "content_type": kind}


def text(document: str | bytes) -> dict[str, Any]:
    return {"data": document, "content_type": "application/json"}


BAD: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "nothing": ({}, 400, "missing-image", "empty"),
    "an empty body": ({"content_type": "image/png"}, 400, "missing-image", "empty"),
    "no field": (
        multipart(part(b'Content-Disposition: form-data; name="picture"; filename="a"')),
        400,
        "missing-image",
        "picture",
    ),
    "a field without a name": (
        multipart(part(b'Content-Disposition: form-data; filename="a"')),
        400,
        "missing-image",
        "no field 'file'",
    ),
    "a field without anything": (
        multipart(part(b"Content-Disposition: form-data")),
        400,
        "missing-image",
        "no field 'file'",
    ),
    "a text field": (
        multipart(part(b'Content-Disposition: form-data; name="file"')),
        400,
        "missing-image",
        "file=@7.png",
    ),
    "no file chosen": (
        multipart(part(FILE.replace(b"7.png", b""), content=b"")),
        400,
        "missing-image",
        "No file was chosen",
    ),
    "an empty file": (multipart(part(FILE, content=b"")), 400, "missing-image", "'7.png' is empty"),
    "two files": (multipart(part(FILE), part(FILE)), 400, "invalid-request", "2 times"),
    "two files for another address": (
        multipart(part(FILE), part(FILE)),
        400,
        "invalid-request",
        "POST /predict/batch",
    ),
    "an archive in the field": (
        multipart(part(FILE, content=ZIP)),
        415,
        "unsupported-image",
        "POST /predict/batch",
    ),
    "an archive as the body": (
        {"data": ZIP, "content_type": "application/octet-stream"},
        415,
        "unsupported-image",
        "POST /predict/batch",
    ),
    "an archive of its own type": (
        {"data": ZIP, "content_type": "application/zip"},
        415,
        "unsupported-image",
        "POST /predict/batch",
    ),
    "an empty multipart body": (multipart(end=b""), 400, "invalid-request", "cut off"),
    "a part cut off": (multipart(part(FILE), end=b""), 400, "invalid-request", "cut off"),
    "another boundary": (
        multipart(part(FILE), kind="multipart/form-data; boundary=YY"),
        400,
        "invalid-request",
        "boundary",
    ),
    "no boundary": (
        multipart(part(FILE), kind="multipart/form-data"),
        400,
        "invalid-request",
        "boundary",
    ),
    "a part without headers": (multipart(part()), 400, "invalid-request", "no readable part"),
    "bad JSON": (text('{"image": '), 400, "invalid-request", "not valid JSON"),
    "no JSON": (text(""), 400, "invalid-request", "not valid JSON"),
    "JSON in no UTF": (text(b'{"image": "\xff"}'), 400, "invalid-request", "not valid JSON"),
    "JSON too deep": (text("[" * 100_000), 400, "invalid-request", "not valid JSON"),
    "a JSON list": (text('["image"]'), 400, "missing-image", '"image"'),
    "a JSON text": (text('"image"'), 400, "missing-image", '"image"'),
    "JSON without an image": (text('{"file": ""}'), 400, "missing-image", '"image"'),
    "JSON with a number": (text('{"image": 7}'), 400, "invalid-request", "must be text"),
    "JSON with an empty text": (text('{"image": ""}'), 400, "missing-image", "empty"),
    "bad base64": (text('{"image": "%%%%"}'), 400, "missing-image", "base64"),
    "base64 with a letter of another alphabet": (
        text('{"image": "\u00e4\u00e4\u00e4\u00e4"}'),
        400,
        "missing-image",
        "base64",
    ),
    "half of base64": (text('{"image": "aGkga"}'), 400, "missing-image", "base64"),
    "a data: URL without data": (
        text('{"image": "data:image/png;base64"}'),
        400,
        "missing-image",
        "empty",
    ),
    "base64 of words": (text('{"image": "d29yZHM="}'), 415, "unsupported-image", "PNG, JPEG"),
    "a file of words": (
        multipart(part(FILE, content=b"words")),
        415,
        "unsupported-image",
        "PNG, JPEG",
    ),
    "what curl says unless told": (
        {"data": PNG, "content_type": "application/x-www-form-urlencoded"},
        400,
        "missing-image",
        "curl",
    ),
    "plain text": (
        {"data": PNG, "content_type": "text/plain"},
        415,
        "unsupported-image",
        "text/plain",
    ),
    "half an image": (multipart(part(FILE, content=PNG[:200])), 422, "invalid-image", "truncated"),
    "a blank image": ({"data": encode(draw_digit(1)[:9, :9])}, 422, "no-digit-found", "blank"),
}


@pytest.mark.parametrize(("sent", "status", "name", "said"), BAD.values(), ids=BAD)
def test_each_bad_way_of_sending_has_its_problem_and_says_what_is_wrong(
    sent: dict[str, Any],
    status: int,
    name: str,
    said: str,
    client: FlaskClient,
    classifier: FixedClassifier,
) -> None:
    response = client.post("/predict", **sent)
    assert (status, name) == read_problem(response)
    assert said in response.get_json()["detail"]
    assert [] == classifier.batches


@pytest.mark.parametrize(
    "name", ["7.png", "../../etc/passwd", "sieben \u00e4.png", "a" * 300, "%00", "x.txt"]
)
def test_the_files_name_does_not_matter(name: str, client: FlaskClient) -> None:
    assert 200 == client.post("/predict", data={"file": (io.BytesIO(PNG), name)}).status_code


def test_other_fields_beside_the_file_do_not_matter(client: FlaskClient) -> None:
    form = {
        "comment": "mine",
        "file": (io.BytesIO(PNG), "7.png"),
        "other": (io.BytesIO(b""), "8.png"),
    }
    assert 200 == client.post("/predict", data=form).status_code


@pytest.fixture(scope="module")
def any_client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    return create_app(
        {"INSTANCE_PATH": tmp_path_factory.mktemp("instance")}, classifier=FixedClassifier()
    ).test_client()


TOKENS = [
    b"--XX",
    b"--XX--",
    b"\r\n",
    b"\r\n\r\n",
    FILE,
    FILE[:30],
    b"; name",
    b"Content-Type: ",
    b"*=",
    PNG,
]


@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=20), max_size=12).map(b"".join))
@settings(deadline=None, max_examples=300)
def test_no_multipart_body_is_the_services_fault(any_client: FlaskClient, body: bytes) -> None:
    assert (
        any_client.post(
            "/predict", data=body, content_type="multipart/form-data; boundary=XX"
        ).status_code
        < 500
    )


LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.one_of(
        VALUES,
        VALUES.map(lambda value: {"image": value}),
        st.text().map(lambda url: {"image": f"data:{url}"}),
    ).map(json.dumps)
)
@example("1" * 10_000)
@settings(deadline=None, max_examples=100)
def test_no_json_is_the_services_fault(any_client: FlaskClient, body: str) -> None:
    assert any_client.post("/predict", data=body, content_type="application/json").status_code < 500


@given(
    st.binary(),
    st.sampled_from(
        [
            "application/json",
            "image/png",
            "application/problem+json; charset=x",
            "",
            ";",
            "\u00e9/\u00e9",
        ]
    ),
)
@settings(deadline=None, max_examples=100)
def test_no_bytes_of_no_type_are_the_services_fault(
    any_client: FlaskClient, body: bytes, kind: str
) -> None:
    assert any_client.post("/predict", data=body, content_type=kind).status_code < 500
