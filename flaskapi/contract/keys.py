"""What a key may be called, how long it may last and how often it may be used, as people write
it.
"""

import re
from datetime import UTC, datetime, timedelta

from flaskapi.config import rate
from flaskapi.errors import InvalidRequestError

_DAYS = re.compile(r"([1-9]\d{0,4})d", re.ASCII)
_NAME = re.compile(r"(?!\.\.?$)[\w.@-]{1,64}")  # addresses lose what is only dots


def check_name(name: str) -> str:
    """Give a key's name back.

    Raises:
        InvalidRequestError: it cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} cannot be a key's name: 1 to 64 letters, digits and signs of '_.@-', "
            "but '.' and '..'."
        )
    return name


def read_expiry(text: str) -> datetime:
    """When a key ends: a day or a moment that is still to come, of no zone in UTC, or a number of
    days from now.

    >>> read_expiry("2999-01-31T12:00").isoformat()
    '2999-01-31T12:00:00+00:00'

    Raises:
        InvalidRequestError: it is something else, or over.
    """
    now = datetime.now(UTC)
    try:
        if match := _DAYS.fullmatch(text):
            return now + timedelta(days=int(match[1]))
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError(f"{text!r} is too far away") from None
    except ValueError:
        raise InvalidRequestError(
            f"expected a date, as 2027-01-31, a moment, as 2027-01-31T15:00, or days, as 90d, "
            f"found {text!r}"
        ) from None
    if moment <= now:
        raise InvalidRequestError(f"{text!r} is over; the key would open nothing")
    return moment


def read_limit(text: str) -> str:
    """How often a key may be used.

    Raises:
        InvalidRequestError: it is no rate.
    """
    try:
        limit = rate(text)
    except ValueError:
        limit = "off"
    if limit == "off":
        raise InvalidRequestError(f"expected a rate as '60 per minute', found {text!r}")
    return limit
