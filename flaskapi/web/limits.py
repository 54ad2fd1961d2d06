"""How often one client may ask. A view says by `limited_by` which setting limits it; all views of
one setting are counted together.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response

from flaskapi.errors import FlaskapiError, RateLimitedError, SettingError
from flaskapi.web.access import find_bearer, labeller_name
from flaskapi.web.client import client
from flaskapi.web.errors import problem
from flaskapi.web.key_limits import find_storage

V = TypeVar("V", bound=Callable[..., Any])


def limited_by(setting: str) -> Callable[[V], V]:
    """Let one client call the view as often as a setting says."""

    def mark(view: V) -> V:
        view.limited_by = setting  # type: ignore[attr-defined]  # a function takes it, and what wraps it takes it over
        return view

    return mark


def init_app(app: Flask) -> None:
    """Limit the views that there are by now; where no limit is on, no library is loaded for it.

    Raises:
        SettingError: the library that the storage of the settings needs is not installed.
    """
    named = {
        endpoint: getattr(view, "limited_by", None) for endpoint, view in app.view_functions.items()
    }
    limited = {
        endpoint: setting
        for endpoint, setting in named.items()
        if setting and app.config[setting] != "off"
    }
    if not limited:
        return
    from flask_limiter import Limiter, RateLimitExceeded
    from limits.errors import ConfigurationError

    storage, options = find_storage(app.config["RATE_LIMIT_STORAGE"])
    try:
        # While Redis is down each process counts for itself, and now and then looks whether it is
        # back. The limiter's hooks before and after every request, which these limits do not need,
        # took 0.2 ms of each (measured under load): they are given to an application that answers
        # none.
        limiter = Limiter(
            _key,
            app=Flask("limits"),
            storage_uri=storage,
            storage_options=options,
            in_memory_fallback_enabled=True,
        )
    except ConfigurationError as error:
        raise SettingError(
            f"RATE_LIMIT_STORAGE: Redis needs the extra 'redis': pip install '.[redis]' ({error})."
        ) from error
    limiter.logger.setLevel(logging.WARNING)
    for handler in app.logger.handlers:
        limiter.logger.addHandler(handler)
    for endpoint, setting in limited.items():
        limit: Callable[[Any], Any] = limiter.shared_limit(
            app.config[setting],
            scope=setting,
            error_message=f"{setting} = {app.config[setting]}",
            exempt_when=_may_label if setting == "LABEL_RATE_LIMIT" else _has_own_limit,
        )
        app.view_functions[endpoint] = limit(app.view_functions[endpoint])

    def refuse(error: RateLimitExceeded) -> Response:
        wait_s = (
            max(1, math.ceil(limiter.current_limit.reset_at - time.time()))
            if limiter.current_limit
            else 1
        )
        said = (
            "This client asks more often than the limit of this service: "
            f"{error.description}. Ask again in {wait_s} s."
        )
        response = problem("rate-limited", 429, said)
        response.headers["Retry-After"] = str(wait_s)
        return response

    app.register_error_handler(RateLimitExceeded, refuse)


def _key() -> str:
    """Whose requests are counted together; where they are counted nobody learns an address."""
    return client().hex()


def _may_label() -> bool:
    """Does the request have a good key that may label? If it is a bad one, or none can be looked
    up, the view says so.
    """
    try:
        return labeller_name() is not None
    except FlaskapiError:
        return False


def _has_own_limit() -> bool:
    """Is the request counted by its key? Then it is not counted by its client's address."""
    try:
        key = find_bearer()
    except RateLimitedError:
        return True  # the view says so
    except FlaskapiError:
        return False
    return key is not None and key.rate_limit is not None
