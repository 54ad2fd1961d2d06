"""`/v2`, as the clients of the Open Inference Protocol ask it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from live import serving
from operators import bearing, make_app, operator, store_of
from problems import read_problem
from tritonclient.utils import InferenceServerException

from flaskapi.submissions.keys import make_key
from flaskapi.submissions.listing import Filters, find_page
from flaskapi.web.tensors import JSON_LENGTH, MOST_IMAGES

INFER = "/v2/models/digits/infer"
VERSION = FixedClassifier.version
PIXELS = draw_digit(7, side=28)
PNG = encode(PIXELS)
KSERVE = json.loads((Path(__file__).parents[1] / "data" / "kserve-0.21.0.json").read_text())
BLANK = encode(np.full((28, 28), 255, np.uint8))


def ask(client: FlaskClient, tensor: dict[str, Any], raw: bytes = b"", **more: Any) -> Any:
    """Send a tensor, with raw bytes behind the JSON if there are some."""
    head = json.dumps({"inputs": [{"name": "images"} | tensor]} | more).encode()
    headers = {JSON_LENGTH: str(len(head))} if raw else {}
    return client.post(INFER, data=head + raw, headers=headers)


def pixels(**changes: Any) -> dict[str, Any]:
    return {"datatype": "UINT8", "shape": [1, 784], "data": PIXELS.ravel().tolist()} | changes


def outputs(answer: Any) -> dict[str, Any]:
    assert 200 == answer.status_code, answer.text
    return {one["name"]: one["data"] for one in answer.get_json()["outputs"]}


def lengths(*files: bytes) -> bytes:
    return b"".join(len(file).to_bytes(4, "little") + file for file in files)


@pytest.fixture
def host(keeping: Flask) -> Iterator[str]:
    with serving(keeping) as host:
        yield host


@pytest.fixture
def asking(host: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(host) as client:
        yield client


def tensor(shape: list[int], datatype: str, *, raw: bool = True) -> triton.InferInput:
    values = PIXELS / 255 if datatype == "FP32" else PIXELS
    dtype = np.float32 if datatype == "FP32" else np.uint8
    made = triton.InferInput("images", shape, datatype)
    made.set_data_from_numpy(values.astype(dtype).reshape(shape), binary_data=raw)
    return made


def files(*contents: bytes) -> triton.InferInput:
    made = triton.InferInput("images", [len(contents)], "BYTES")
    made.set_data_from_numpy(np.array(contents, dtype=np.object_))
    return made


def test_tritons_client_finds_the_server_and_its_model(
    asking: triton.InferenceServerClient,
) -> None:
    assert asking.is_server_live()
    assert asking.is_server_ready()
    assert asking.is_model_ready("digits")
    assert asking.is_model_ready("digits", VERSION)
    assert not asking.is_model_ready("digits", "2020-01-01-00000000")
    assert not asking.is_model_ready("letters")
    assert "flaskapi" == asking.get_server_metadata()["name"]
    model = asking.get_model_metadata("digits", VERSION)
    assert [VERSION] == model["versions"]
    assert [{"name": "images", "datatype": "FP32", "shape": [-1, 28, 28, 1]}] == model["inputs"]


def test_tritons_client_reads_digits_in_every_form(
    keeping: Flask, asking: triton.InferenceServerClient
) -> None:
    """Each is kept, and counted, as what is sent to `/predict`."""
    forms = [
        tensor([1, 28, 28, 1], "FP32"),
        tensor([1, 1, 28, 28], "FP32", raw=False),
        tensor([1, 784], "FP32"),
        tensor([1, 28, 28, 1], "UINT8", raw=False),
        files(PNG),
    ]
    kept = []
    for form in forms:
        answer = asking.infer("digits", [form], request_id="a request")
        said = answer.get_response()
        assert ("digits", VERSION, "a request") == tuple(
            said[name] for name in ("model_name", "model_version", "id")
        )
        assert [7] == answer.as_numpy("digit").tolist()
        assert [0.9] == pytest.approx(answer.as_numpy("confidence"))
        assert (1, 10) == answer.as_numpy("probabilities").shape
        assert [False] == answer.as_numpy("uncertain").tolist()
        kept.append(answer.as_numpy("id")[0].decode())
    page = find_page(store_of(keeping), Filters(), 10, None)
    assert sorted(kept) == sorted(str(row["id"]) for row in page.rows)
    assert {INFER} == {row["route"] for row in page.rows}
    metrics = keeping.test_client().get("/metrics").text
    assert f'flaskapi_predictions_total{{digit="7",uncertain="false"}} {len(forms)}.0' in metrics
    assert 'flaskapi_requests_total{route="/v2/models/<name>/infer",status="200"} 5.0' in metrics


def test_tritons_client_chooses_outputs_and_packs_its_body(
    asking: triton.InferenceServerClient,
) -> None:
    wanted = [
        triton.InferRequestedOutput("probabilities", binary_data=False),
        triton.InferRequestedOutput("id", binary_data=True),
    ]
    for packing in ("gzip", "deflate"):
        answer = asking.infer(
            "digits",
            [files(PNG, encode(draw_digit(7)))],
            VERSION,
            outputs=wanted,
            query_params={"keep": "false"},
            request_compression_algorithm=packing,
        )
        assert pytest.approx(0.9) == answer.as_numpy("probabilities")[1, 7]
        assert [b"", b""] == answer.as_numpy("id").tolist(), "nothing was to be kept"
        assert answer.as_numpy("digit") is None


@pytest.mark.parametrize(
    ("model", "version", "image", "reason"),
    [
        ("letters", "", PNG, "There is no model 'letters'; there is 'digits'."),
        ("digits", "1", PNG, f"The version '1' does not serve; '{VERSION}' does."),
        ("digits", "", b"hello", "This is not an image that this service reads"),
        ("digits", "", PNG[:60], ""),
    ],
)
def test_tritons_client_reads_every_error(
    asking: triton.InferenceServerClient, model: str, version: str, image: bytes, reason: str
) -> None:
    with pytest.raises(InferenceServerException) as raised:
        asking.infer(model, [files(image)], version)
    assert raised.value.status() in ("404", "415", "422")
    assert reason in raised.value.message()
    assert "exception occurred" not in raised.value.message()


def test_a_form_of_the_protocol_that_is_unknown_is_an_error_that_clients_read(
    asking: triton.InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException, match="There is nothing at /v2/models/digits/"):
        asking.get_model_config("digits")
    with pytest.raises(InferenceServerException, match="There is no output 'logits'"):
        asking.infer("digits", [files(PNG)], outputs=[triton.InferRequestedOutput("logits")])


@pytest.mark.parametrize("sent", KSERVE, ids=[sent["name"] for sent in KSERVE])
def test_what_kserves_client_sends_is_understood(sent: dict[str, Any], client: FlaskClient) -> None:
    """Recorded from kserve 0.21.0."""
    answer = client.open(
        sent["path"],
        method=sent["method"],
        headers=sent["headers"],
        data=base64.b64decode(sent["body"]),
    )
    assert 200 == answer.status_code
    if sent["method"] == "GET":
        asked = "live" if sent["path"].endswith("live") else "ready"
        assert answer.get_json()[asked] is True
        return
    length = int(answer.headers.get(JSON_LENGTH, len(answer.data)))
    said = json.loads(answer.data[:length])
    assert 7 == said["outputs"][0]["data"][0]
    assert said.get("id") == (None if sent["name"] == "a dict" else "request-1")
    raw = sum(one["parameters"]["binary_data_size"] for one in said["outputs"] if "data" not in one)
    assert len(answer.data) == length + raw


def test_all_forms_of_the_same_pixels_are_the_same_image(
    client: FlaskClient, classifier: FixedClassifier
) -> None:
    grey = PIXELS.ravel()
    share = (grey / 255).tolist()
    forms = [
        (pixels(), b""),
        (pixels(datatype="FP32", shape=[1, 784], data=share), b""),
        (pixels(datatype="FP64", data=PIXELS.reshape(1, 784).tolist()), b""),
        (pixels(shape=[1, 1, 28, 28], data=PIXELS.reshape(1, 1, 28, 28).tolist()), b""),
        (raw_of("UINT8", [1, 28, 28], 784), grey.tobytes()),
        (raw_of("INT64", [1, 28, 28, 1], 8 * 784), grey.astype("<i8").tobytes()),
        (raw_of("FP32", [1, 28, 28, 1], 4 * 784), (grey / 255).astype("<f4").tobytes()),
        (raw_of("BYTES", [1, 1], 4 + len(PNG)), lengths(PNG)),
    ]
    for form, raw in forms:
        assert [7] == outputs(ask(client, form, raw))["digit"]
    shown = classifier.batches[::9]
    assert len(forms) == len(shown)
    assert all((batch == shown[0]).all() for batch in shown)


def raw_of(datatype: str, shape: list[int], size: int) -> dict[str, Any]:
    return {"datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def test_image_files_in_json_are_base64_and_said_to_be(client: FlaskClient) -> None:
    text = base64.b64encode(PNG).decode()
    said = {"datatype": "BYTES", "shape": [2, 1], "data": [[text], [text]]}
    refused = ask(client, said)
    assert (400, "invalid-request") == read_problem(refused)
    assert '"content_type": "base64"' in refused.get_json()["error"]
    for one, whole in (("base64", None), (None, "base64"), ("base64", "str")):
        parameters = {"parameters": {"content_type": one}} if one else {}
        more = {"parameters": {"content_type": whole}} if whole else {}
        assert [7, 7] == outputs(ask(client, said | parameters, **more))["digit"]


def test_several_images_are_kept_together_or_not_at_all(keeping: Flask) -> None:
    client, store = keeping.test_client(), store_of(keeping)
    broken = ask(client, raw_of("BYTES", [3], 8 + 4 + 2 * len(PNG)), lengths(PNG, b"", PNG))
    assert (400, "missing-image") == read_problem(broken)
    assert "Image 1 (the first is 0): " in broken.get_json()["error"]
    blank = ask(client, raw_of("BYTES", [2], 8 + len(PNG + BLANK)), lengths(PNG, BLANK))
    assert (422, "no-digit-found") == read_problem(blank)
    assert [] == find_page(store, Filters(), 10, None).rows
    count = 70  # more than go into one transaction
    answer = ask(client, raw_of("UINT8", [count, 784], count * 784), PIXELS.tobytes() * count)
    assert count == len(set(outputs(answer)["id"]))
    rows = find_page(store, Filters(), 100, None).rows
    assert sorted(outputs(answer)["id"]) == sorted(str(row["id"]) for row in rows)
    assert 1 == len({row["batch"] for row in rows})


WRONG: dict[str, dict[str, Any]] = {
    "no data": pixels(data=None),
    "no numbers": pixels(data=["7"] * 784),
    "too few numbers": pixels(data=[0] * 783),
    "too many numbers": pixels(data=[0] * 785),
    "numbers too large": pixels(data=[256] * 784),
    "no number at all": pixels(data=[float("nan")] * 784),
    "too deep": pixels(data=[[[[[0] * 784]]]]),
    "an unknown datatype": pixels(datatype="BOOL"),
    "another shape": pixels(shape=[28, 28]),
    "no shape": pixels(shape=[]),
    "a shape of texts": pixels(shape=["1", "784"]),
    "a shape of truths": pixels(shape=[True, 784]),
    "a negative shape": pixels(shape=[-1, 784]),
    "no pictures": pixels(shape=[0, 784], data=[]),
    "a name that is none": pixels(name=7),
    "parameters that are none": pixels(parameters=7),
    "bytes that are not there": pixels(parameters={"binary_data_size": 784}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_tensor_that_holds_no_pictures_is_refused(
    wrong: dict[str, Any], client: FlaskClient
) -> None:
    assert (400, "invalid-request") == read_problem(ask(client, wrong))


def test_raw_numbers_that_are_none_are_refused(client: FlaskClient) -> None:
    """Infinite ones, and NaN of both kinds; one of them signals when it is calculated with."""
    for bits in ("0000807f", "0000c07f", "0100807f"):
        raw = bytes(4 * 783) + bytes.fromhex(bits)
        refused = ask(client, raw_of("FP32", [1, 784], 4 * 784), raw)
        assert (400, "invalid-request") == read_problem(refused)
        assert "images'[0]: The numbers are from" in refused.get_json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"7",
        b"[]",
        b"{}",
        b'{"inputs": []}',
        b'{"inputs": [7]}',
        b'{"inputs": [{}, {}]}',
        b'{"inputs": [{}], "id": 7}',
        b'{"inputs": [{}], "parameters": []}',
        b'{"inputs": [{}], "outputs": {}}',
        b'{"inputs": [{}], "outputs": [{}]}',
        b'{"inputs": [{}], "outputs": [{"name": "digit", "parameters": {"classification": 1}}]}',
        json.dumps({"inputs": [{}], "id": "i" * 257}).encode(),
        b"[" * 100_000,
    ],
    ids=lambda body: body[:60].decode(),
)
def test_a_body_that_is_no_request_is_refused(body: bytes, client: FlaskClient) -> None:
    assert (400, "invalid-request") == read_problem(client.post(INFER, data=body))


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "٣", "99999", "9" * 5000, "2.0", ""])
def test_the_length_of_the_json_lies_within_the_body(length: str, client: FlaskClient) -> None:
    answer = client.post(INFER, data=b'{"inputs": []}', headers={JSON_LENGTH: length})
    assert (400, "invalid-request") == read_problem(answer)


def test_more_images_than_go_together_are_refused_before_they_are_read(client: FlaskClient) -> None:
    answer = ask(client, pixels(shape=[MOST_IMAGES + 1, 784]))
    assert (413, "too-large") == read_problem(answer)
    assert "/predict/batch takes more" in answer.get_json()["error"]


def test_the_limits_of_predictions_hold(tmp_path: Path) -> None:
    app = make_app(tmp_path, PREDICT_RATE_LIMIT="2 per minute", MAX_REQUEST_BYTES=10_000)
    client = app.test_client()
    assert 200 == ask(client, pixels()).status_code
    assert (413, "too-large") == read_problem(client.post(INFER, data=bytes(10_001)))
    limited = ask(client, pixels())
    assert (429, "rate-limited") == read_problem(limited)
    assert limited.get_json()["error"] == limited.get_json()["detail"]
    assert 429 == client.post("/predict", data=PNG).status_code, "all are counted together"
    assert 200 == client.get("/v2/models/digits").status_code
    store_of(app).close()


def test_a_key_is_needed_where_predictions_need_one(tmp_path: Path) -> None:
    app = make_app(tmp_path, PREDICT_KEY_REQUIRED=True)
    operator(app)
    key = bearing(make_key(store_of(app), "a client", scopes=("predict",)))
    with serving(app) as host, triton.InferenceServerClient(host) as client:
        with pytest.raises(InferenceServerException, match="Predictions need a key") as raised:
            client.infer("digits", [files(PNG)])
        assert "401" == raised.value.status()
        assert [7] == client.infer("digits", [files(PNG)], headers=key).as_numpy("digit").tolist()
    store_of(app).close()


def test_a_query_that_is_unknown_is_refused(client: FlaskClient) -> None:
    assert (400, "invalid-request") == read_problem(client.post(f"{INFER}?kep=false", data=b"{}"))


@given(raw=st.binary(max_size=40), count=st.integers(1, 5))
def test_whatever_stands_behind_the_json_is_images_or_an_error(raw: bytes, count: int) -> None:
    """Of raw files each byte belongs to one file, or the request is refused."""
    from flaskapi.errors import InvalidRequestError
    from flaskapi.sources.tensors import Tensor, read_raw

    try:
        found = list(read_raw(Tensor("images", "BYTES", (count,)), raw))
    except InvalidRequestError:
        return
    assert raw == lengths(*found)
    assert count == len(found)
