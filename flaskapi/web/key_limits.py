"""The rate limit of a key that has its own. As for clients, the setting RATE_LIMIT_STORAGE says
where requests are counted.
"""

import math
import time
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from flaskapi.contract.keys import read_limit
from flaskapi.errors import ForbiddenError, InvalidRequestError, RateLimitedError

if TYPE_CHECKING:
    from limits.strategies import FixedWindowRateLimiter

    from flaskapi.submissions.keys import Key

_REDIS_TIMEOUT_S = 0.25


def count_use(key: "Key") -> None:
    """Count one request of a key that has a limit.

    Raises:
        RateLimitedError: there were more than the limit allows.
        ForbiddenError: the limit, stored by an earlier release, is not one that can be counted.
    """
    if key.rate_limit is None:
        return
    # Not at the top: where no key has a limit, no library is loaded for it.
    from limits import parse
    from limits.errors import StorageError

    try:
        limit, counted_by = parse(read_limit(key.rate_limit)), ("key", key.name)
    except InvalidRequestError as error:
        raise ForbiddenError(
            f"The limit of the key {key.name!r} cannot be counted: {error}. "
            "An operator must revoke this key and make another."
        ) from error
    limiter = _limiter(current_app._get_current_object())  # type: ignore[attr-defined]  # Werkzeug's proxy has it
    try:
        if limiter.hit(limit, *counted_by):
            return
        reset_at_s = limiter.get_window_stats(limit, *counted_by).reset_time
    except StorageError:
        return  # Redis is down; a key is not refused for that
    wait_s = max(1, math.ceil(reset_at_s - time.time()))
    raise RateLimitedError(
        f"This key exceeds its limit, {key.rate_limit}. Ask again in {wait_s} s.",
        wait_s,
    )


def find_storage(setting: str) -> tuple[str, dict[str, Any]]:
    """Where `limits` counts, by the setting RATE_LIMIT_STORAGE, and its options."""
    if setting == "memory":
        return "memory://", {}
    return setting, dict.fromkeys(("socket_timeout", "socket_connect_timeout"), _REDIS_TIMEOUT_S)


def _limiter(app: Flask) -> "FixedWindowRateLimiter":
    """The limiter of the application, made at the first key with a limit."""
    from limits.storage import storage_from_string
    from limits.strategies import FixedWindowRateLimiter

    found: FixedWindowRateLimiter | None = app.extensions.get("flaskapi-key-limits")
    if found is None:
        storage, options = find_storage(app.config["RATE_LIMIT_STORAGE"])
        found = FixedWindowRateLimiter(
            storage_from_string(storage, wrap_exceptions=True, **options)
        )
        found = app.extensions.setdefault("flaskapi-key-limits", found)
    return found
