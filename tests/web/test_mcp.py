"""`POST /mcp`, as assistants ask it."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import numpy as np
import pytest
from fakes import FixedClassifier, draw_digit, encode
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from live import serving
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from operators import SOME_ID, bearing, make_app, operator, store_of
from PIL import Image
from problems import read_problem
from waiting import in_thread

from flaskapi import create_app
from flaskapi.contract.tools import TOOLS, check_arguments
from flaskapi.errors import InvalidRequestError
from flaskapi.submissions.keys import make_key
from flaskapi.submissions.listing import Filters, find_page, get_submission
from flaskapi.web.mcp import STATELESS, WITH_HANDSHAKE

PNG = encode(draw_digit(7, side=28))
IMAGE = base64.b64encode(PNG).decode()
MODES = (STATELESS, "auto", "legacy")
META = "io.modelcontextprotocol/"
ENVELOPE = {f"{META}protocolVersion": STATELESS, f"{META}clientCapabilities": {}}


@pytest.fixture(autouse=True)
def _answers_are_as_described() -> None:
    """Not here: an error of JSON-RPC has the status of what went wrong in a tool."""


def converse(app: Flask, mode: str, talk: Callable[[Client], Awaitable[None]], **key: str) -> None:
    """Let the official client talk to the service over HTTP."""

    async def connect(host: str) -> None:
        async with httpx2.AsyncClient(headers=key) as http:
            transport = streamable_http_client(f"http://{host}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                await talk(client)

    with serving(app) as host:
        in_thread(lambda: asyncio.run(connect(host)))


def send(
    client: FlaskClient, method: str, params: Any = None, *, headers: Any = None, **more: Any
) -> Any:
    message = {"jsonrpc": "2.0", "id": 1, "method": method} | more
    if params is not None:
        message["params"] = params
    return client.post("/mcp", json=message, headers=headers)


def call(client: FlaskClient, tool: str, headers: Any = None, **arguments: Any) -> Any:
    params = {"name": tool, "arguments": arguments}
    return send(client, "tools/call", params, headers=headers)


def result(response: Any) -> dict[str, Any]:
    assert 200 == response.status_code, response.text
    found: dict[str, Any] = response.get_json()["result"]
    assert json.loads(found["content"][0]["text"]) == found["structuredContent"]
    return found["structuredContent"]  # type: ignore[no-any-return]


def fault(response: Any) -> tuple[int, int]:
    """The status and the code of an answer that is an error of JSON-RPC."""
    assert "application/json" == response.content_type
    assert "2.0" == response.get_json()["jsonrpc"]
    return response.status_code, response.get_json()["error"]["code"]


@pytest.mark.parametrize("mode", MODES)
def test_the_official_client_reads_and_labels_in_each_of_its_modes(
    mode: str, keeping: Flask
) -> None:
    """The client holds each answer against the schema that it was told."""
    seen = {}

    async def talk(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(TOOLS) == list(tools)
        assert all(tool.output_schema and tool.description for tool in tools.values())
        digit = await client.call_tool("read_digit", {"image": IMAGE})
        assert not digit.is_error
        assert (7, 0.9, False) == tuple(
            digit.structured_content[name] for name in ("digit", "confidence", "uncertain")
        )
        number = await client.call_tool(
            "read_number", {"image": IMAGE, "pattern": "d", "length": 1, "alternatives": 2}
        )
        assert "7" == number.structured_content["number"]
        assert [] != number.structured_content["alternatives"]
        for read, field, label in ((digit, "digit", 9), (number, "number", "9")):
            seen[field] = read.structured_content["id"]
            said = await client.call_tool("label", {"id": seen[field], field: label})
            assert {"id": seen[field], "label": "9", "label_source": "sender"} == (
                said.structured_content
            )

    converse(keeping, mode, talk)
    rows = find_page(store_of(keeping), Filters(), 10, None).rows
    assert {(seen["digit"], "9", "/mcp"), (seen["number"], "9", "/mcp")} == {
        (str(row["id"]), row["label"], row["route"]) for row in rows
    }
    assert PNG == get_submission(store_of(keeping), rows[0]["id"]).image
    metrics = keeping.test_client().get("/metrics").text
    assert 'flaskapi_predictions_total{digit="7",uncertain="false"} 1.0' in metrics
    assert 'flaskapi_numbers_total{uncertain="false"} 1.0' in metrics
    assert 'flaskapi_submissions_total{kept="true"} 2.0' in metrics


@pytest.mark.parametrize("mode", MODES)
def test_the_official_client_is_told_what_is_wrong(mode: str, keeping: Flask) -> None:
    """What the assistant can mend is the tool's result; the rest is an error."""

    async def talk(client: Client) -> None:
        for tool, arguments, reason in (
            ("read_digit", {"image": "!"}, "is not valid base64"),
            ("read_digit", {"image": ""}, "'image' is empty"),
            ("read_digit", {}, "'image' is missing"),
            ("read_number", {"image": IMAGE, "check": "sum"}, "luhn, ean, iban, mod11"),
            ("read_number", {"image": IMAGE, "pattern": "dd", "length": 3}, "has 2 characters"),
            ("label", {"id": SOME_ID, "digit": 9}, "There is no submission"),
            ("label", {"id": "mine", "digit": 9}, "must be that of an answer"),
            ("label", {"id": SOME_ID}, "one of the fields 'digit' and 'number'"),
        ):
            said = await client.call_tool(tool, arguments)
            assert said.is_error
            assert reason in said.content[0].text  # type: ignore[union-attr]
            assert reason in said.structured_content["detail"]
        with pytest.raises(MCPError, match="There is no such tool; there are read_digit"):
            await client.call_tool("write_digit", {})

    converse(keeping, mode, talk)


def test_the_official_client_needs_a_key_where_predictions_need_one(tmp_path: Path) -> None:
    app = make_app(tmp_path, PREDICT_KEY_REQUIRED=True)
    operator(app)
    key = make_key(store_of(app), "assistant", scopes=("predict",))

    async def refused(client: Client) -> None:
        await client.list_tools()
        with pytest.raises(MCPError, match="Predictions need a key here"):
            await client.call_tool("read_digit", {"image": IMAGE})

    async def answered(client: Client) -> None:
        said = await client.call_tool("read_digit", {"image": IMAGE})
        assert 7 == said.structured_content["digit"]

    converse(app, "auto", refused)
    converse(app, "auto", answered, Authorization=f"Bearer {key}")
    store_of(app).close()


def test_each_tool_asks_for_the_key_that_its_route_asks_for(tmp_path: Path) -> None:
    app = make_app(tmp_path, PREDICT_KEY_REQUIRED=True)
    client, store = app.test_client(), store_of(app)
    keys = {
        scope: bearing(make_key(store, scope, scopes=(scope,)))
        for scope in ("predict", "label", "operate")
    }
    nobody = call(client, "read_digit", image=IMAGE)
    assert "Bearer" == nobody.headers["WWW-Authenticate"]
    assert (401, "/problems/unauthorized") == problem(nobody)
    for tool in ("read_digit", "read_number"):
        assert (403, "/problems/forbidden") == problem(
            call(client, tool, keys["label"], image=IMAGE)
        )
        for scope in ("predict", "operate"):
            given_id = result(call(client, tool, keys[scope], image=IMAGE))["id"]
    for headers, source in (
        (None, "sender"),
        (keys["predict"], "sender"),
        (keys["label"], "operator"),
    ):
        said = result(call(client, "label", headers, id=given_id, number="9"))
        assert {"id": given_id, "label": "9", "label_source": source} == said
    bad = call(client, "label", bearing("flaskapi_x"), id=given_id, number="9")
    assert (401, "/problems/unauthorized") == problem(bad)
    store.close()


def problem(response: Any) -> tuple[int, str]:
    """The status of an answer, and the type of the problem in its error."""
    status, code = fault(response)
    error = response.get_json()["error"]
    assert (-32010, error["message"], status) == (
        code,
        error["data"]["detail"],
        error["data"]["status"],
    )
    return status, error["data"]["type"]


def test_the_limits_of_predictions_and_labels_hold_each_for_itself(tmp_path: Path) -> None:
    app = make_app(
        tmp_path,
        PREDICT_RATE_LIMIT="3 per minute",
        LABEL_RATE_LIMIT="2 per minute",
        MAX_REQUEST_BYTES=10_000,
    )
    client = app.test_client()
    too_large = call(client, "read_digit", image="A" * 10_000)
    assert (413, "/problems/too-large") == problem(too_large)
    assert "MAX_REQUEST_BYTES" in too_large.get_json()["error"]["message"]
    for _ in range(4):
        assert 200 == send(client, "tools/list").status_code
    given_id = result(call(client, "read_digit", image=IMAGE))["id"]
    assert "7" == result(call(client, "read_number", image=IMAGE))["number"]
    assert 200 == client.post("/predict", data=PNG).status_code, "all are counted together"
    for tool in ("read_digit", "read_number"):
        limited = call(client, tool, image=IMAGE)
        assert (429, "/problems/rate-limited") == problem(limited)
        assert int(limited.headers["Retry-After"]) > 0
    assert 429 == client.post("/predict", data=PNG).status_code
    for expected in (200, 200, 429):
        assert expected == call(client, "label", id=given_id, digit=9).status_code
    store_of(app).close()


def test_a_key_with_a_limit_of_its_own_is_counted_once_a_call(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    key = bearing(make_key(store_of(app), "often", scopes=("predict",), rate_limit="2 per minute"))
    statuses = [call(app.test_client(), "read_digit", key, image=IMAGE).status_code for _ in "123"]
    assert [200, 200, 429] == statuses
    store_of(app).close()


def test_nothing_is_kept_that_is_not_to_be(keeping: Flask) -> None:
    client = keeping.test_client()
    for tool in ("read_digit", "read_number"):
        assert None is result(call(client, tool, image=IMAGE, keep=False))["id"]
    assert [] == find_page(store_of(keeping), Filters(), 10, None).rows


def test_where_nothing_is_kept_there_is_nothing_to_label(client: FlaskClient) -> None:
    said = call(client, "label", id=SOME_ID, digit=9).get_json()["result"]
    assert said["isError"]
    assert "the setting STORE is off" in said["content"][0]["text"]


def test_what_is_said_beside_an_answer_fits_its_schema(client: FlaskClient) -> None:
    """A file of several pages, and a picture of several digits."""
    pages = encode_pages()
    found = result(call(client, "read_digit", image=f"data:image/tiff;base64,{pages}"))
    assert (1, 2) == (found["page"], found["pages"])
    jsonschema.validate(found, TOOLS["read_digit"]["outputSchema"])
    found = result(call(client, "read_number", image=pages, check="luhn", alternatives=None))
    assert False is found["passes"]
    jsonschema.validate(found, TOOLS["read_number"]["outputSchema"])


def encode_pages() -> str:
    page = Image.fromarray(draw_digit(7, side=28))
    return base64.b64encode(encode(page, "TIFF", save_all=True, append_images=[page])).decode()


def test_several_digits_are_hinted_at(tmp_path: Path) -> None:
    app = make_app(tmp_path, UNCERTAIN_BELOW=1.0)
    two = np.hstack([draw_digit(1), draw_digit(7)])
    image = base64.b64encode(encode(two)).decode()
    assert "read_number" in result(call(app.test_client(), "read_digit", image=image))["hint"]
    store_of(app).close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"7", -32600),
        (b'{"method": "ping", "id": 1}', -32600),
        (b'{"jsonrpc": "1.0", "method": "ping", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "method": 7, "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": null}', -32600),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": true}', -32600),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": {}}', -32600),
        (b'[{"jsonrpc": "2.0", "method": "ping", "id": 1}]', -32600),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": 1, "params": []}', -32602),
        (b'{"jsonrpc": "2.0", "method": "tools/call", "id": 1, "params": {"name": []}}', -32602),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_body_that_is_no_message_is_an_error_of_json_rpc(
    body: bytes, code: int, client: FlaskClient
) -> None:
    assert (400, code) == fault(client.post("/mcp", data=body))


def test_a_method_that_is_unknown_is_not_found(client: FlaskClient) -> None:
    response = send(client, "resources/list")
    assert (404, -32601) == fault(response)
    assert 1 == response.get_json()["id"]


def test_notifications_and_answers_are_taken_and_not_answered(client: FlaskClient) -> None:
    for message in (
        {"method": "notifications/initialized"},
        {"id": 1, "result": {}},
        {"id": 1, "error": {"code": 1, "message": ""}},
    ):
        response = client.post("/mcp", json={"jsonrpc": "2.0"} | message)
        assert (202, b"") == (response.status_code, response.data)


@pytest.mark.parametrize("asked", [*WITH_HANDSHAKE, STATELESS, "2020-01-01", None, []])
def test_a_handshake_agrees_on_a_revision_that_has_one(asked: Any, client: FlaskClient) -> None:
    said = send(client, "initialize", {"protocolVersion": asked}).get_json()["result"]
    assert (asked if asked in WITH_HANDSHAKE else WITH_HANDSHAKE[-1]) == said["protocolVersion"]


RIGHT = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "tools/list"}


@pytest.mark.parametrize(
    ("meta", "headers", "code"),
    [
        (ENVELOPE, {}, -32020),
        (ENVELOPE, RIGHT | {"MCP-Protocol-Version": "2025-11-25"}, -32020),
        (ENVELOPE, {"MCP-Protocol-Version": STATELESS}, -32020),
        (ENVELOPE, RIGHT | {"Mcp-Method": "tools/call"}, -32020),
        ({f"{META}protocolVersion": "2025-11-25"}, RIGHT, -32020),
        ({f"{META}protocolVersion": STATELESS}, RIGHT, -32602),
        ({}, RIGHT, -32602),
        (None, RIGHT, -32602),
        (7, RIGHT, -32602),
        (None, {"MCP-Protocol-Version": "2099-01-01"}, -32022),
        (ENVELOPE | {f"{META}protocolVersion": []}, RIGHT, -32020),
    ],
)
def test_headers_must_say_what_the_message_says(
    meta: Any, headers: dict[str, str], code: int, client: FlaskClient
) -> None:
    right = send(client, "tools/list", {"_meta": ENVELOPE}, headers=RIGHT)
    assert "complete" == right.get_json()["result"]["resultType"]
    assert (400, code) == fault(send(client, "tools/list", {"_meta": meta}, headers=headers))


def test_the_header_of_a_tool_must_name_it(client: FlaskClient) -> None:
    params = {"_meta": ENVELOPE, "name": "read_digit", "arguments": {"image": IMAGE}}
    headers = RIGHT | {"Mcp-Method": "tools/call", "Mcp-Name": "read_digit"}
    assert 7 == result(send(client, "tools/call", params, headers=headers))["digit"]
    for wrong in ({}, {"Mcp-Name": "label"}):
        headers = RIGHT | {"Mcp-Method": "tools/call"} | wrong
        assert (400, -32020) == fault(send(client, "tools/call", params, headers=headers))


def test_a_revision_that_is_unknown_is_answered_with_those_that_are_known(
    client: FlaskClient,
) -> None:
    answer = send(client, "tools/list", headers={"MCP-Protocol-Version": "2099-01-01"})
    data = answer.get_json()["error"]["data"]
    assert [*WITH_HANDSHAKE, STATELESS] == data["supported"]
    assert "2099-01-01" == data["requested"]


def test_a_page_of_another_address_may_not_ask(client: FlaskClient) -> None:
    """Nor one of this: a name that leads here makes any page one of this address."""
    for origin in ("https://evil.example", "http://localhost", "null"):
        refused = send(client, "tools/list", headers={"Origin": origin})
        assert (403, "/problems/forbidden") == (
            refused.status_code,
            refused.get_json()["error"]["data"]["type"],
        )


def test_there_is_no_stream_and_no_session(client: FlaskClient) -> None:
    for method in ("GET", "DELETE"):
        assert (405, "method-not-allowed") == read_problem(client.open("/mcp", method=method))
    assert "Mcp-Session-Id" not in send(client, "initialize", {}).headers


class BrokenClassifier(FixedClassifier):
    """Fails whatever it is asked."""

    def probabilities(self, batch: Any) -> Any:
        raise RuntimeError("broken")


def test_a_crash_is_a_problem_as_elsewhere(tmp_path: Path) -> None:
    app = create_app({"INSTANCE_PATH": tmp_path}, classifier=BrokenClassifier())
    crashed = call(app.test_client(), "read_digit", image=IMAGE)
    assert (500, "internal-error") == read_problem(crashed)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.floats(allow_nan=False).filter(lambda value: not value.is_integer()),
    st.text(max_size=3).filter(lambda text: "\n" not in text),  # which Python's `$` lets pass
    st.sampled_from([IMAGE, "05dd", "d" * 65, "luhn", SOME_ID, "0x", "7" * 257]),
    st.lists(st.integers(), max_size=1),
)


@given(data=st.data())
@pytest.mark.parametrize("tool", TOOLS)
def test_arguments_are_checked_as_their_schema_says(tool: str, data: st.DataObject) -> None:
    """Held against a validator of JSON Schema; null is taken for what is left out."""
    schema = TOOLS[tool]["inputSchema"]
    names = st.sampled_from([*schema["properties"], "colour"])
    arguments = data.draw(st.dictionaries(names, VALUES, max_size=4))
    plain = {
        name: value
        for name, value in arguments.items()
        if value is not None or "null" in schema["properties"].get(name, {"type": "null"})["type"]
    }
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(plain)
    try:
        assert plain == check_arguments(tool, arguments)
    except InvalidRequestError:
        assert not is_valid
    else:
        assert is_valid


def test_a_pattern_is_of_the_whole_text() -> None:
    with pytest.raises(InvalidRequestError, match="'pattern' is not as it must be"):
        check_arguments("read_number", {"image": IMAGE, "pattern": "dd\n"})


def test_what_is_described_is_json_schema() -> None:
    for tool in TOOLS.values():
        for name in ("inputSchema", "outputSchema"):
            jsonschema.Draft202012Validator.check_schema(tool[name])


def test_the_classifier_is_asked_as_by_predict(
    client: FlaskClient, classifier: FixedClassifier
) -> None:
    result(call(client, "read_digit", image=IMAGE))
    client.post("/predict", data=PNG)
    first, second = classifier.batches[::9]
    assert (first == second).all()
