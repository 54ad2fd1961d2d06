"""`POST /mcp`: the Model Context Protocol, by which assistants call tools. Stateless: each request
is answered by itself, with JSON.

The revision of 2026-07-28 is spoken, and those before it that begin with `initialize`.
https://modelcontextprotocol.io/specification/2026-07-28
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, current_app, json, request

from flaskapi.contract import bodies, documents
from flaskapi.contract.answers import add_id, as_number_answer
from flaskapi.contract.keeping import Kept
from flaskapi.contract.operations import JSON
from flaskapi.contract.problems import detail_of
from flaskapi.contract.release import find_release
from flaskapi.contract.tools import INSTRUCTIONS, TOOLS, check_arguments
from flaskapi.errors import (
    FlaskapiError,
    ForbiddenError,
    InvalidRequestError,
    MissingImageError,
    NotFoundError,
    RateLimitedError,
    UnauthorizedError,
)
from flaskapi.web.access import key_if_required, labeller_name, sender_or_label
from flaskapi.web.described import described
from flaskapi.web.encoded import decode_text
from flaskapi.web.errors import describe
from flaskapi.web.gate import gate, receive
from flaskapi.web.labels import read_label, say_label
from flaskapi.web.limits import limited_by
from flaskapi.web.payload import parse_document, read_query, tell_pages
from flaskapi.web.record import record
from flaskapi.web.scopes import open_to_all
from flaskapi.web.services import services

blueprint = Blueprint("mcp", __name__)

STATELESS = "2026-07-28"
WITH_HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
_META = "io.modelcontextprotocol/"
_LISTS_LAST_MS = 3_600_000
_SEVERAL = "There seem to be several digits; read_number reads a number."
# JSON-RPC's codes, and MCP's; the last stands for a problem that has a status of its own.
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602
_HEADER_MISMATCH, _NO_VERSION, _PROBLEM = -32020, -32022, -32010


class _MessageError(Exception):
    """A message that cannot be answered, as JSON-RPC tells it."""

    def __init__(self, code: int, text: str, **data: Any) -> None:
        super().__init__(text)
        self.code, self.data = code, data


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)
    for name, tool in _TOOLS.items():
        # No address leads there; `limits.py` limits it as it limits views.
        app.view_functions[f"mcp.{name}"] = tool


@blueprint.post("/mcp")
@described(
    documents.ToolAnswer,
    body=bodies.MESSAGE,
    errors=(ForbiddenError, UnauthorizedError, NotFoundError, RateLimitedError),
    problem={JSON: documents.ToolAnswer},
    without_body={202: "A notification, which nothing answers."},
)
@open_to_all
def answer() -> Response:
    """Answer one message. Each tool asks for the key that it needs."""
    identifier = None
    try:
        read_query(request)
        if request.origin is not None:
            # A page could make a browser of this network ask, by a name that leads here (DNS
            # rebinding). Programs send no origin.
            raise ForbiddenError(
                "This is for programs; a page of another address may not ask here."
            )
        receive(request)
        message = _read_message()
        identifier = message.get("id")
        if "method" not in message or "id" not in message:  # an answer, or a notification
            return Response(status=202)
        return _reply(identifier, {"result": _call(message["method"], message.get("params", {}))})
    except _MessageError as fault:
        status = 404 if fault.code == _NO_METHOD else 400
        data = {"data": fault.data} if fault.data else {}
        said = {"error": {"code": fault.code, "message": str(fault)} | data}
        return _reply(identifier, said, status)
    except Exception as error:
        # As elsewhere, with its headers, and raised again where it is a crash.
        response = current_app.make_response(current_app.handle_user_exception(error))
        problem = response.get_json()
        said = {"error": {"code": _PROBLEM, "message": problem["detail"], "data": problem}}
        response.set_data(_encode(identifier, said))
        response.content_type = "application/json"
        return response


def _reply(identifier: Any, said: dict[str, Any], status: int = 200) -> Response:
    return Response(_encode(identifier, said), status, content_type="application/json")


def _encode(identifier: Any, said: dict[str, Any]) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": identifier} | said)


def _read_message() -> dict[str, Any]:
    try:
        message = parse_document(request.get_data(cache=False))
    except InvalidRequestError as error:
        raise _MessageError(_PARSE_ERROR, str(error)) from None
    if (
        not isinstance(message, dict)
        or message.get("jsonrpc") != "2.0"
        or not isinstance(message.get("method", ""), str)
        or type(message.get("id", "")) not in (str, int)
    ):
        raise _MessageError(_INVALID_REQUEST, "The body is not one message of JSON-RPC 2.0.")
    return message


def _call(method: str, params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise _MessageError(_INVALID_PARAMS, "The params must be an object.")
    is_stateless = _check_envelope(method, params)
    if method not in _METHODS:
        raise _MessageError(_NO_METHOD, f"There is no method {method[:100]!r}.")
    result = _METHODS[method](params)
    if is_stateless:
        server = {"_meta": {f"{_META}serverInfo": _describe_server()}}
        return result | {"resultType": "complete"} | server
    return result


def _check_envelope(method: str, params: dict[str, Any]) -> bool:
    """Is the message of the stateless revision? Then its headers must say what it says.

    Raises:
        _MessageError: they do not, or the revision is unknown.
    """
    header = request.headers.get("MCP-Protocol-Version")
    meta = params.get("_meta")
    version = meta.get(f"{_META}protocolVersion", header) if isinstance(meta, dict) else header
    if header != version:
        raise _MessageError(
            _HEADER_MISMATCH, "The header MCP-Protocol-Version is not what the params say."
        )
    if version is None or version in WITH_HANDSHAKE:
        return False
    if version != STATELESS:
        supported = [*WITH_HANDSHAKE, STATELESS]
        raise _MessageError(
            _NO_VERSION, "Unknown protocol version", supported=supported, requested=version
        )
    needed = {f"{_META}{name}" for name in ("protocolVersion", "clientCapabilities")}
    if not isinstance(meta, dict) or not needed <= set(meta):
        raise _MessageError(
            _INVALID_PARAMS, f"The params need _meta with {' and '.join(sorted(needed))}."
        )
    if request.headers.get("Mcp-Method") != method:
        raise _MessageError(_HEADER_MISMATCH, "The header Mcp-Method is not the method.")
    if method == "tools/call" and request.headers.get("Mcp-Name") != params.get("name"):
        raise _MessageError(_HEADER_MISMATCH, "The header Mcp-Name is not the tool's name.")
    return True


def _describe_server() -> dict[str, str]:
    return {"name": "flaskapi", "title": "Handwritten digits", "version": find_release()}


def _discover(params: dict[str, Any]) -> dict[str, Any]:
    return {
        "supportedVersions": [STATELESS],
        "capabilities": {"tools": {}},
        "instructions": INSTRUCTIONS,
        "ttlMs": _LISTS_LAST_MS,
        "cacheScope": "public",
    }


def _initialize(params: dict[str, Any]) -> dict[str, Any]:
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in WITH_HANDSHAKE else WITH_HANDSHAKE[-1],
        "capabilities": {"tools": {}},
        "serverInfo": _describe_server(),
        "instructions": INSTRUCTIONS,
    }


def _list_tools(params: dict[str, Any]) -> dict[str, Any]:
    tools = [{"name": name} | about for name, about in TOOLS.items()]
    return {"tools": tools, "ttlMs": _LISTS_LAST_MS, "cacheScope": "public"}


def _call_tool(params: dict[str, Any]) -> dict[str, Any]:
    """Call a tool. What an assistant can mend is told to it as the tool's result."""
    name = params.get("name")
    if not isinstance(name, str) or name not in TOOLS:
        raise _MessageError(
            _INVALID_PARAMS, f"There is no such tool; there are {', '.join(TOOLS)}."
        )
    try:
        arguments = check_arguments(name, params.get("arguments") or {})
        found: dict[str, Any] = current_app.view_functions[f"mcp.{name}"](arguments)  # type: ignore[assignment]  # Flask's views answer more than this
        text = json.dumps(found)
    except (UnauthorizedError, ForbiddenError, RateLimitedError):
        raise
    except FlaskapiError as error:
        found, text = describe(error), detail_of(error)
        return _result(found, text) | {"isError": True}
    return _result(found, text)


def _result(found: dict[str, Any], text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "structuredContent": found}


_METHODS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "server/discover": _discover,
    "initialize": _initialize,
    "ping": lambda params: {},
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}


@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def read_digit(arguments: dict[str, Any]) -> dict[str, Any]:
    """Read the one digit in an image, as `/predict` does."""
    with services().store.expect():
        with gate().computing(request.content_length or 0):
            image = _decode(arguments["image"])
            prediction, normalized = services().reader.digit(image)
            pages = tell_pages(image)
        services().metrics.count_prediction(prediction)
        kept = Kept(image, prediction, normalized)
        (identifier,) = record([kept], keep=arguments.get("keep", True))
    hint = prediction.uncertain and "several" in normalized.noticed
    return add_id(prediction._asdict(), identifier) | pages | ({"hint": _SEVERAL} if hint else {})


@limited_by("PREDICT_RATE_LIMIT")
@key_if_required
def read_number(arguments: dict[str, Any]) -> dict[str, Any]:
    """Read the number in an image, as `/predict/number` does."""
    alternatives = arguments.get("alternatives", 0)
    with gate().computing(request.content_length or 0):
        image = _decode(arguments["image"])
        prediction = services().reader.number(
            image,
            arguments.get("pattern"),
            arguments.get("length"),
            alternatives,
            arguments.get("check"),
        )
        pages = tell_pages(image)
    services().metrics.count_number(prediction)
    (identifier,) = record([Kept(image, prediction)], keep=arguments.get("keep", True))
    return add_id(as_number_answer(prediction, alternatives=alternatives > 0), identifier) | pages


@limited_by("LABEL_RATE_LIMIT")
@sender_or_label
def label(arguments: dict[str, Any]) -> dict[str, Any]:
    """Say what a submission really is, as `PUT /submissions/<id>/label` does."""
    operator = labeller_name()
    said = {name: value for name, value in arguments.items() if name != "id"}
    try:
        identifier = UUID(arguments["id"])
    except ValueError:
        raise InvalidRequestError("The argument 'id' must be that of an answer.") from None
    return say_label(identifier, operator, *read_label(said))


_TOOLS = {"read_digit": read_digit, "read_number": read_number, "label": label}


def _decode(text: str) -> bytes:
    image = decode_text(text, "The argument 'image'")
    if not image:
        raise MissingImageError("The argument 'image' is empty.")
    return image
