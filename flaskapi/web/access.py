"""Who may do what: operators bear a key, `Authorization: Bearer <token>`; the predictions are open
to all, unless a setting closes them.

A view that is for operators says so with `operators_only`, one that reads images with
`key_if_required`; `tests/web/test_access.py` holds every route against both.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, current_app, g, request

from flaskapi.errors import ForbiddenError, StoreUnavailableError, UnauthorizedError
from flaskapi.submissions import TOKEN_PREFIX
from flaskapi.web.services import services

P = ParamSpec("P")
R = TypeVar("R")
_SEND_IT = "Send it as the header 'Authorization: Bearer <key>'."


def init_app(app: Flask) -> None:
    app.extensions["flaskapi-access"] = set[
        str
    ]()  # the tokens that this process has seen to be good


def operators_only(view: Callable[P, R]) -> Callable[P, R]:
    """Let nobody but an operator into a view.

    Raises:
        ForbiddenError: no key was ever made, so that there are no operators.
        UnauthorizedError: the request bears no key, or none that is good.
    """

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if operator_name() is None:
            raise _refuse("This is for operators, who have a key. " + _SEND_IT)
        return view(*args, **kwargs)

    return guarded


def key_if_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let only those with a key into a view where PREDICT_KEY_REQUIRED says so; the request's body
    is not read before.

    Where the store cannot be asked, a key that this process has seen to be good goes on to be so:
    predictions do not stop with the store.

    Raises:
        ForbiddenError: no key was ever made.
        UnauthorizedError: the request bears no key, or none that is good.
        StoreUnavailableError: nobody knows.
    """

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if current_app.config["PREDICT_KEY_REQUIRED"]:
            try:
                if operator_name() is None:
                    raise _refuse("Predictions need a key here. " + _SEND_IT)
            except StoreUnavailableError:
                if _token() not in current_app.extensions["flaskapi-access"]:
                    raise
        return view(*args, **kwargs)

    return guarded


def operator_name() -> str | None:
    """The name of the key that this request bears; None where it bears none.

    Raises:
        ForbiddenError: it bears one where none was ever made.
        UnauthorizedError: it bears one that is not good: somebody who thinks to be an operator is
            not taken for somebody else.
    """
    if "operator" not in g:
        token = _token()
        g.operator = None if token is None else _find_name(token)
    name: str | None = g.operator
    return name


def _token() -> str | None:
    """What the request has as its key; who authenticates otherwise, as with a proxy's password, has
    none.

    Raises:
        UnauthorizedError: it has one that is not sent as one: whoever thinks to be an operator is
            not taken for a sender.
    """
    if request.headers.get("Authorization", "").startswith(TOKEN_PREFIX):
        raise _refuse(
            "The header 'Authorization' has a key without the word Bearer before it. " + _SEND_IT
        )
    found = request.authorization
    return (found.token or "") if found is not None and found.type == "bearer" else None


def _find_name(token: str) -> str:
    # Not at the top: who keeps nothing has no need of a database's libraries.
    from flaskapi.submissions import keys

    _need_store()
    store, seen = services().store, current_app.extensions["flaskapi-access"]
    key = keys.find_key(store, token)
    if key is None:
        seen.discard(token)
        raise _refuse("This key is unknown, or was revoked.")
    seen.add(token)
    with contextlib.suppress(StoreUnavailableError):  # a full disk is no reason to answer nothing
        keys.note_use(store, key, datetime.now(UTC))
    return key.name


def _refuse(reason: str) -> UnauthorizedError | ForbiddenError:
    """What is said to who has no good key: where there is none at all, how to make one."""
    from flaskapi.submissions import keys

    _need_store()
    if keys.any_key(services().store):
        return UnauthorizedError(reason)
    return ForbiddenError(
        "This needs a key, and none was made yet. On the server: python -m flaskapi keys make NAME."
    )


def _need_store() -> None:
    if current_app.config["STORE"] == "off":
        raise ForbiddenError(
            "This needs a key, and keys are kept in the store, which is off here (the setting "
            "STORE)."
        )
