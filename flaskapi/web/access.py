"""Who may do what: a caller bears a key, `Authorization: Bearer <token>`, which has scopes.

Every view says what it needs, by `open_to_all`, `key_if_required`, `sender_or_label`,
`needs_scope` or `operators_only`; `tests/web/test_access.py` holds every route against that.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from flask import Flask, current_app, g, request

from flaskapi.errors import FlaskapiError, ForbiddenError, StoreUnavailableError, UnauthorizedError
from flaskapi.submissions import TOKEN_PREFIX
from flaskapi.web.key_limits import count_use
from flaskapi.web.scopes import declares
from flaskapi.web.services import services

if TYPE_CHECKING:
    from flaskapi.submissions.keys import Key

P = ParamSpec("P")
R = TypeVar("R")
_SEND_IT = "Send it as the header 'Authorization: Bearer <key>'."


def init_app(app: Flask) -> None:
    # The keys that this process has seen to be good, by their tokens.
    app.extensions["flaskapi-access"] = dict[str, "Key"]()


def sender_or_label(view: Callable[P, R]) -> Callable[P, R]:
    """Say that a view is for a sender, who has an id, and for keys of the scope `label`.

    The view asks `labeller_name` which of them it is.
    """
    return declares("sender or label")(view)


def needs_scope(scope: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only keys of a scope into a view.

    Raises:
        ForbiddenError: the key is of another scope, or no key was ever made.
        UnauthorizedError: the request has no key, or none that is good.
        RateLimitedError: the key is used more often than its own limit allows.
    """

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @declares(scope)
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            _check(find_bearer(), scope, f"This needs a key of the scope {scope}. {_SEND_IT}")
            return view(*args, **kwargs)

        return guarded

    return guard


def operators_only(view: Callable[P, R]) -> Callable[P, R]:
    """Let only operators into a view, whose keys have the scope `operate`."""
    return needs_scope("operate")(view)


def key_if_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let only those with a key into a view where PREDICT_KEY_REQUIRED says so; the request's body
    is not read before.

    Where the store cannot be asked, a key that this process has seen to be good goes on to be so:
    predictions do not stop with the store.

    Raises:
        ForbiddenError: the key is of another scope, or no key was ever made.
        UnauthorizedError: the request has no key, or none that is good.
        RateLimitedError: the key is used more often than its own limit allows.
        StoreUnavailableError: nobody knows.
    """

    @declares("predict")
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if current_app.config["PREDICT_KEY_REQUIRED"]:
            try:
                key = find_bearer()
            except StoreUnavailableError:
                key = _seen()
                if key is None:
                    raise
                count_use(key)
            _check(key, "predict", "Predictions need a key here. " + _SEND_IT)
        else:
            _count_key_if_good()
        return view(*args, **kwargs)

    return guarded


def find_bearer() -> "Key | None":
    """The key that this request has; None where it has none. Its use is counted once.

    Raises:
        ForbiddenError: it has one where none was ever made.
        UnauthorizedError: it has one that is not good: somebody who thinks to be an operator is
            not taken for somebody else.
        RateLimitedError: it is used more often than its own limit allows.
    """
    if "key_error" in g:
        raise g.key_error
    if "key" not in g:
        try:
            token = _token()
            key = None if token is None else _find(token)
            if key is not None:
                count_use(key)
        except FlaskapiError as error:
            g.key_error = error
            raise
        g.key = key
    found: Key | None = g.key
    return found


def operator_name() -> str | None:
    """The name of the key of this request, where it has the scope `operate`."""
    key = find_bearer()
    return key.name if key is not None and key.opens("operate") else None


def labeller_name() -> str | None:
    """The name of the key of this request, where it has the scope `label`; else a sender asks."""
    key = find_bearer()
    return key.name if key is not None and key.opens("label") else None


def is_known_operator() -> bool:
    """Does an operator ask? Where the store cannot be asked, one that this process has seen counts.

    A caller with a bad key is a stranger here, not an error.
    """
    try:
        return operator_name() is not None
    except StoreUnavailableError:
        key = _seen()
        return key is not None and key.opens("operate")
    except FlaskapiError:
        return False


def _check(key: "Key | None", scope: str, what_is_needed: str) -> None:
    if key is None:
        raise _refuse(what_is_needed)
    if not key.opens(scope):
        scopes = " and ".join(key.scopes.split())
        raise ForbiddenError(
            f"The key {key.name} has the scope {scopes}; this needs the scope {scope}."
        )


def _count_key_if_good() -> None:
    """Count the use of a key where none is needed. A key that is bad changes nothing there.

    Raises:
        RateLimitedError: the key is used more often than its own limit allows.
    """
    if request.authorization is None or current_app.config["STORE"] == "off":
        return
    with contextlib.suppress(ForbiddenError, UnauthorizedError, StoreUnavailableError):
        find_bearer()


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


def _seen() -> "Key | None":
    """The key of this request, where this process has seen it to be good and it has not expired."""
    seen: dict[str, Key] = current_app.extensions["flaskapi-access"]
    key = seen.get(_token() or "")
    return None if key is None or key.is_over(datetime.now(UTC)) else key


def _find(token: str) -> "Key":
    # Not at the top: who keeps nothing has no need of a database's libraries.
    from flaskapi.submissions import keys

    _need_store()
    store, seen = services().store, current_app.extensions["flaskapi-access"]
    key = keys.find_key(store, token)
    if key is None:
        seen.pop(token, None)
        raise _refuse("This key is unknown, was revoked, or has expired.")
    seen[token] = key
    with contextlib.suppress(StoreUnavailableError):  # a full disk is no reason to answer nothing
        keys.note_use(store, key, datetime.now(UTC))
    return key


def _refuse(reason: str) -> UnauthorizedError | ForbiddenError:
    """What is said to who has no good key: where there is none at all, how to make one."""
    from flaskapi.submissions import keys

    _need_store()
    if keys.any_key(services().store):
        return UnauthorizedError(reason)
    return ForbiddenError(
        "This needs a key, and none was made yet. On the server: .venv/bin/python -m flaskapi keys "
        "make NAME"
    )


def _need_store() -> None:
    if current_app.config["STORE"] == "off":
        raise ForbiddenError(
            "This needs a key, and keys are kept in the store, which is off here (the setting "
            "STORE)."
        )
