"""`/keys`: list, make and revoke keys; for operators. Only the answer that makes a key contains
its token.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, jsonify, request, url_for

from flaskapi.contract import bodies, documents, queries
from flaskapi.contract.answers import write_moment
from flaskapi.contract.keys import check_name, read_expiry, read_limit
from flaskapi.errors import ConflictError, InvalidRequestError, NotFoundError
from flaskapi.submissions import SCOPES
from flaskapi.web.access import operator_name, operators_only
from flaskapi.web.described import described
from flaskapi.web.payload import read_document, read_query
from flaskapi.web.services import services

if TYPE_CHECKING:
    from flaskapi.submissions.keys import Key

blueprint = Blueprint("keys", __name__)
USUAL = 100  # on one page
_WAY = (
    'Send JSON such as {"name": "shop", "scopes": ["predict"], "expires": "90d", '
    '"limit": "600 per minute"}; the last two may be left out.'
)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/keys")
@described(documents.KeyList, query=queries.KEYS)
@operators_only
def list_keys() -> dict[str, Any]:
    """A page of keys by their names, including revoked ones."""
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions import keys

    query = read_query(request, queries.KEYS)
    limit = int(query.get("limit", USUAL))
    found = keys.list_keys(services().store, limit=limit + 1, after=query.get("after", ""))
    following = None
    if len(found) > limit:
        following_query = urlencode(query | {"after": found[limit - 1].name})
        following = f"{url_for('.list_keys')}?{following_query}"
    return {
        "keys": [_describe(one) for one in found[:limit]],
        "used": operator_name(),
        "next": following,
    }


@blueprint.post("/keys")
@described(documents.NewKey, status=201, body=bodies.KEY, errors=(ConflictError,))
@operators_only
def make_key() -> Response:
    """Make a key; only this answer contains its token."""
    from flaskapi.submissions import keys

    read_query(request)
    name, options = _read_wish()
    token = keys.make_key(services().store, name, **options)
    response = jsonify({"name": name, "token": token})
    response.status_code = 201
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.delete("/keys/<name>")
@described(None, status=204)
@operators_only
def revoke_key(name: str) -> Response:
    """Revoke a key."""
    from flaskapi.submissions import keys

    read_query(request)
    if not keys.revoke_key(services().store, name):
        raise NotFoundError(f"There is no key named {name!r}, or it is already revoked.")
    return Response(status=204)


def _read_wish() -> tuple[str, dict[str, Any]]:
    """The requested key: its name, and the other arguments of `keys.make_key`.

    Raises:
        InvalidRequestError: a field is not valid; the text names it.
    """
    body = read_document(request)
    if not isinstance(body, dict):
        raise InvalidRequestError(f"The JSON is not an object. {_WAY}")
    if unknown := set(body) - {"name", "scopes", "expires", "limit"}:
        raise InvalidRequestError(f"The field {min(unknown)!r} is unknown. {_WAY}")
    scopes = body.get("scopes")
    if not isinstance(scopes, list) or not scopes or not all(one in SCOPES for one in scopes):
        raise InvalidRequestError(
            f"The field 'scopes' must be a list of one or more of {', '.join(SCOPES)}. {_WAY}"
        )
    texts = {name: body.get(name) for name in ("name", "expires", "limit")}
    for field, text in texts.items():
        if not isinstance(text, str) and (text is not None or field == "name"):
            raise InvalidRequestError(f"The field {field!r} must be text. {_WAY}")
    name, expires, limit = texts.values()
    try:
        return check_name(name or ""), {
            "scopes": scopes,
            "expires_at": read_expiry(expires) if expires is not None else None,
            "rate_limit": read_limit(limit) if limit is not None else None,
        }
    except InvalidRequestError as error:
        raise InvalidRequestError(f"The key cannot be made: {error}") from error


def _describe(key: "Key") -> dict[str, Any]:
    moments = {
        name: getattr(key, name) for name in ("created_at", "used_at", "expires_at", "revoked_at")
    }
    return {
        "name": key.name,
        "scopes": key.scopes.split(),
        **{name: write_moment(moment) if moment else None for name, moment in moments.items()},
        "limit": key.rate_limit,
    }
