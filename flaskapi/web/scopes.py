"""The scope that each view needs of a key. A view without a declaration fails a test."""

from collections.abc import Callable
from typing import Any, TypeVar

V = TypeVar("V", bound=Callable[..., Any])


def declares(scope: str) -> Callable[[V], V]:
    """Declare the scope that a view needs; `access.py` checks it."""

    def mark(view: V) -> V:
        view.scope = scope  # type: ignore[attr-defined]  # a function takes it, and what wraps it takes it over
        return view

    return mark


def open_to_all(view: V) -> V:
    """Declare that a view needs no key."""
    return declares("open")(view)
