import base64
import gzip
import io
import json
import urllib.parse
from typing import Any

import numpy as np
import pytest
from archives import make_zip
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from problems import read_problem

from flaskapi.web.encoded import decode_text

PNG = encode(draw_digit(7, side=64))
ZIP = make_zip([("7.png", PNG)])
FILE = b'Content-Disposition: form-data; name="file"; filename="7.png"'
# A part that breaks off leaves Werkzeug's temporary file to the garbage collector, which tells.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning",
    "ignore:Exception ignored in. <function "
    "SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture
def client(unchanged: tuple[FlaskClient, FixedClassifier]) -> FlaskClient:
    return unchanged[0]


@pytest.fixture
def classifier(unchanged: tuple[FlaskClient, FixedClassifier]) -> FixedClassifier:
    unchanged[1].batches.clear()
    return unchanged[1]


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
        multipart(
            part(b'Content-Disposition: form-data; name="picture"; filename="a"'),
            part(b'Content-Disposition: form-data; name="mask"; filename="b"'),
        ),
        400,
        "missing-image",
        "the form has 'picture', 'mask'",
    ),
    "a field without anything": (
        multipart(part(b"Content-Disposition: form-data", content=b"words")),
        400,
        "missing-image",
        "no field 'file'",
    ),
    "a text field": (
        multipart(part(b'Content-Disposition: form-data; name="file"', content=b"7.png")),
        400,
        "missing-image",
        "file=@7.png",
    ),
    "a data: URL that is none, in a text field": (
        multipart(part(b'Content-Disposition: form-data; name="a"', content=b"data:,a%20b")),
        400,
        "missing-image",
        "lacks ';base64'",
    ),
    "base64 of words in a text field": (
        multipart(part(b'Content-Disposition: form-data; name="file"', content=b"d29yZHM=")),
        400,
        "missing-image",
        "sent as text",
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
    "an empty multipart body": (multipart(end=b""), 400, "invalid-request", "truncated"),
    "a part cut off": (multipart(part(FILE), end=b""), 400, "invalid-request", "truncated"),
    "another boundary": (
        multipart(part(FILE), kind="multipart/form-data; boundary=YY"),
        400,
        "invalid-request",
        "boundary",
    ),
    "no boundary": (
        multipart(b"words", end=b"", kind="multipart/form-data"),
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
    "base64 of two alphabets": (
        text('{"image": "a-b/"}'),
        400,
        "missing-image",
        "the character '-' at 1",
    ),
    "base64 with a letter of another alphabet": (
        text('{"image": "\u00e4\u00e4\u00e4\u00e4"}'),
        400,
        "missing-image",
        "base64",
    ),
    "half of base64": (text('{"image": "aGkga"}'), 400, "missing-image", "base64"),
    "an object without an image": (
        text('{"picture": "", "note": 7}'),
        400,
        "missing-image",
        "no \"image\", but 'picture', 'note'",
    ),
    "too few pixels": (text('{"image": [0, 1]}'), 400, "invalid-request", "2 numbers"),
    "too many pixels": (
        text(json.dumps({"image": [0] * 785})),
        400,
        "invalid-request",
        "more than 784",
    ),
    "pixels below 0": (
        text(json.dumps({"image": [-0.5] * 784})),
        400,
        "invalid-request",
        "from -0.5 to -0.5",
    ),
    "pixels above 255": (
        text(json.dumps({"image": [10**400] * 784})),
        400,
        "invalid-request",
        "0 to 255",
    ),
    "pixels that are no numbers": (
        text('{"image": [true, "a"]}'),
        400,
        "invalid-request",
        "it contains True",
    ),
    "pixels that are not a number": (text('{"image": [NaN]}'), 400, "invalid-request", "nan"),
    "pixels too deep": (
        text('{"image": [[[[[0]]]]]}'),
        400,
        "invalid-request",
        "it contains nested lists",
    ),
    "a body packed otherwise": (
        {"data": b"\x0b\x02\x80words\x03", "headers": {"Content-Encoding": "br"}},
        415,
        "unsupported-image",
        "'br'",
    ),
    "a packed body that breaks off": (
        {"data": gzip.compress(PNG)[:-20], "headers": {"Content-Encoding": "gzip"}},
        400,
        "invalid-request",
        "truncated",
    ),
    "a damaged packed body": (
        {"data": b"\x1f\x8b\x08words" * 9, "headers": {"Content-Encoding": "gzip"}},
        400,
        "invalid-request",
        "damaged",
    ),
    "a body that unpacks to too much": (
        {"data": gzip.compress(bytes(20_000_000)), "headers": {"Content-Encoding": "gzip"}},
        413,
        "too-large",
        "MAX_REQUEST_BYTES",
    ),
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


TEXT = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{TEXT}"
FIELD = b'Content-Disposition: form-data; name="%s"'
IMAGE = b"Content-Type: image/png"
PIXELS = np.asarray(Image.open(io.BytesIO(encode(draw_digit(7, side=28, dark_on_light=False)))))
PAIRS = "application/x-www-form-urlencoded"
GZIPPED = {"Content-Encoding": "gzip"}


def pairs(body: str) -> dict[str, Any]:
    return {"data": body, "content_type": PAIRS}


ODD: dict[str, dict[str, Any]] = {
    "a part without a file's name": multipart(part(FIELD % b"file", IMAGE)),
    "a part without a name or a type": multipart(part(b"Content-Disposition: form-data")),
    "the only file, under another name": multipart(
        part(FIELD % b"photo" + b'; filename="7.png"'), part(FIELD % b"note", content=b"mine")
    ),
    "a file without a name of its field": multipart(
        part(b'Content-Disposition: form-data; filename="a"')
    ),
    "a data: URL in a field": multipart(part(FIELD % b"picture", content=URL.encode())),
    "base64 in the field 'image'": multipart(part(FIELD % b"image", content=TEXT.encode())),
    "a form without its boundary": multipart(part(FILE), kind="multipart/form-data"),
    "a form without its type": multipart(part(FILE), kind=""),
    "a data: URL in pairs": pairs(urllib.parse.urlencode({"a": "b", "image": URL})),
    "a data: URL in pairs, its + not escaped": pairs(f"image={URL}"),
    "a data: URL as the body": {"data": URL, "content_type": "text/plain;charset=UTF-8"},
    "base64 as the body": {"data": TEXT, "content_type": "text/plain"},
    "base64 in the URL alphabet": {"json": {"image": base64.urlsafe_b64encode(PNG).decode()}},
    "base64 without its padding": {"json": {"image": TEXT.rstrip("=")}},
    "base64 as Python prints bytes": {"json": {"image": str(TEXT.encode())}},
    "lines of base64 as Python prints bytes": {"json": {"image": str(base64.encodebytes(PNG))}},
    "base64 whose + became spaces": {"json": {"image": TEXT.replace("+", " ")}},
    "base64 with percent signs": {"json": {"image": urllib.parse.quote(TEXT, safe="")}},
    "lines of base64 joined by spaces": {
        "json": {"image": base64.encodebytes(PNG).decode().replace("\n", " ")}
    },
    "JSON without its type": {"data": json.dumps({"image": TEXT})},
    "JSON called a form": pairs(json.dumps({"image": TEXT})),
    "JSON called a text": {"data": json.dumps({"image": TEXT}), "content_type": "text/plain"},
    "a packed image": {"data": gzip.compress(PNG), "headers": GZIPPED},
    "a packed form": multipart()
    | {"data": gzip.compress(part(FILE) + b"--XX--"), "headers": GZIPPED},
    "packed JSON": text(gzip.compress(json.dumps({"image": TEXT}).encode())) | {"headers": GZIPPED},
    "an image that only says that it is packed": {"data": PNG, "headers": GZIPPED},
    "an image of an unknown packing": {"data": PNG, "headers": {"Content-Encoding": "utf-8"}},
}
AS_NUMBERS: dict[str, Any] = {
    "0 to 255": PIXELS.ravel().tolist(),
    "0 to 1": (PIXELS / 255).ravel().tolist(),
    "rows": PIXELS.tolist(),
    "a batch of one with a channel": PIXELS.reshape(1, 28, 28, 1).tolist(),
}


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD)
def test_what_clients_send_otherwise_is_read_as_the_same_image(
    sent: dict[str, Any], client: FlaskClient, classifier: FixedClassifier
) -> None:
    for way in ({"data": PNG}, sent):
        response = client.post("/predict", **way)
        assert 200 == response.status_code, response.text
    first, odd = classifier.batches[::9]
    np.testing.assert_array_equal(first, odd)


def test_base64_whose_lost_signs_leave_whole_bytes_is_told_by_the_picture(
    client: FlaskClient,
) -> None:
    """Four of them make three bytes less: only a picture that is whole tells what it was."""
    found = 0
    for side in range(100, 180):
        sent = base64.b64encode(encode(draw_digit(7, side=side))).decode()
        if sent.count("+") and sent.count("+") % 4 == 0:
            found += 1
            response = client.post("/predict", json={"image": sent.replace("+", " ")})
            assert 200 == response.status_code, response.text
    assert found


def test_a_glance_decodes_no_more_pixels_than_the_setting_allows(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To see whether a picture is whole, before it is read."""
    looked = list[int]()

    def decode(data: bytes, *, max_pixels: int, max_side_px: int) -> None:
        looked.append(max_pixels)

    monkeypatch.setattr("flaskapi.web.encoded.decode_image", decode)
    for most, expected in ((1000, 1000), (10**9, 25_000_000)):
        monkeypatch.setitem(app.config, "MAX_IMAGE_PIXELS", most)
        with app.test_request_context():
            decode_text("AAA AA AAA AAAA AAAA", "The text")
        assert expected == looked.pop()


@pytest.mark.parametrize("numbers", AS_NUMBERS.values(), ids=AS_NUMBERS)
@pytest.mark.parametrize("wrapped", [True, False])
def test_pixels_are_taken_as_numbers(
    numbers: Any, wrapped: bool, client: FlaskClient, classifier: FixedClassifier
) -> None:
    for sent in (
        {"data": encode(PIXELS)},
        {"json": {"image": numbers} if wrapped else numbers},
    ):
        assert 200 == client.post("/predict", **sent).status_code
    first, second = classifier.batches[::9]
    np.testing.assert_allclose(first, second, atol=1 / 255)


def test_a_picture_without_a_files_name_may_be_longer_than_a_text(
    client: FlaskClient,
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1100, 1100), np.uint8)
    large, limit = encode(noise), client.application.config["MAX_FORM_FIELD_BYTES"]
    assert limit < len(large)
    url = f"data:image/png;base64,{base64.b64encode(large).decode()}".encode()
    for content, headers in ((large, (IMAGE,)), (large, ()), (url, ())):
        sent = multipart(part(FIELD % b"file", *headers, content=content))
        assert client.post("/predict", **sent).status_code in (200, 422)
    sent = multipart(part(FIELD % b"file", content=b"x" * (limit + 1)))
    assert (413, "too-large") == read_problem(client.post("/predict", **sent))


AGENTS = {
    "curl/8.5.0": "curl -F file=@7.png",
    "python-requests/2.34.2": "requests.post(url, files=",
    "python-httpx/0.28.1": "httpx.post(url, files=",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "new FormData()",
    "axios/1.7.2": "new FormData()",
    "RestSharp/112.0.0.0": "MultipartFormDataContent",
}


@pytest.mark.parametrize(("agent", "said"), AGENTS.items(), ids=AGENTS)
def test_a_message_says_what_to_change_in_the_client_that_sent_it(
    agent: str, said: str, client: FlaskClient
) -> None:
    headers = {"User-Agent": agent}
    response = client.post("/predict", data={"note": "7"}, headers=headers)
    assert said in response.get_json()["detail"]
    assert "'note'" in response.get_json()["detail"]


def test_dotnets_client_is_known_by_its_boundary(client: FlaskClient) -> None:
    boundary = "6c2ee7b8-3c4d-4f5e-9b0a-1d2e3f405162"
    kind = f'multipart/form-data; boundary="{boundary}"'
    body = part(FIELD % b"file", content=b"words").replace(b"XX", boundary.encode())
    body += f"--{boundary}--".encode()
    sent = {"data": body, "content_type": kind, "headers": {"User-Agent": ""}}
    response = client.post("/predict", **sent)
    assert "MultipartFormDataContent" in response.get_json()["detail"]


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
def any_client(unchanged: tuple[FlaskClient, FixedClassifier]) -> FlaskClient:
    """For what is tried many times in one test."""
    return unchanged[0]


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
@settings(deadline=None, max_examples=200)
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


BEGINNINGS = [
    b"",
    b"--XX\r\n" + FILE + b"\r\n\r\n",
    b"--XX\r\n" + (FIELD % b"file") + b"\r\n\r\n",
    b'{"image": "',
    b'{"image": [',
    b"[",
    b"image=data:image/png;base64,",
    b"data:image/png;base64,",
    gzip.compress(PNG)[:40],
    gzip.compress(PNG),
    PNG[:60],
    PNG,
]
ENDS = [b"", b'"}', b"]}", b"\r\n--XX--\r\n", TEXT.encode(), TEXT.replace("+", " ").encode()]
KINDS = [
    "application/json",
    "image/png",
    "application/problem+json; charset=x",
    "",
    ";",
    "\u00e9/\u00e9",
    "text/plain; charset=utf-16",
    PAIRS,
    "multipart/form-data",
    "multipart/form-data; boundary=XX",
    'multipart/form-data; boundary=""',
    "multipart/form-data; boundary=\u00e9",
]


@given(
    st.tuples(
        st.sampled_from(BEGINNINGS),
        st.binary(max_size=40) | st.text(max_size=20).map(str.encode),
        st.sampled_from(ENDS),
    ).map(b"".join),
    st.sampled_from(KINDS),
    st.sampled_from(["", "gzip", "deflate", "br", "identity", "\u00e9"]),
    st.sampled_from(["", "curl/8", "python-requests/2", "Mozilla/5.0", "dotnet", "{}"]),
    st.sampled_from(["/predict", "/predict/batch"]),
)
@settings(deadline=None, max_examples=300)
def test_whatever_is_sent_is_answered_or_told_in_the_one_shape(
    any_client: FlaskClient, body: bytes, kind: str, encoding: str, agent: str, route: str
) -> None:
    headers = {"Content-Encoding": encoding, "User-Agent": agent}
    response = any_client.post(route, data=body, content_type=kind, headers=headers)
    if response.status_code != 200:
        status, _ = read_problem(response)
        assert 400 <= status < 500
