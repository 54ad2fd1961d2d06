"""Read the name, the expiry and the rate limit of a key, as people write them."""

import re
from datetime import UTC, datetime, timedelta

from flaskapi.config import rate
from flaskapi.errors import InvalidRequestError

_DAYS = re.compile(r"([1-9]\d{0,4})d", re.ASCII)
_NAME = re.compile(r"(?!\.\.?$)[\w.@-]{1,64}")  # URLs drop a segment `.` or `..`


def check_name(name: str) -> str:
    """Return a valid name of a key.

    Raises:
        InvalidRequestError: the name is not valid.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} cannot be a key's name. Use 1 to 64 letters, digits and characters of "
            "'_.@-', but not '.' or '..' alone."
        )
    return name


def read_expiry(text: str) -> datetime:
    """When a key expires: at a future day or time, in UTC if it has no zone, or after a number of
    days.

    >>> read_expiry("2999-01-31T12:00").isoformat()
    '2999-01-31T12:00:00+00:00'

    Raises:
        InvalidRequestError: the text is something else, or the time is past.
    """
    now = datetime.now(UTC)
    try:
        if match := _DAYS.fullmatch(text):
            return now + timedelta(days=int(match[1]))
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError(f"{text!r} is too far in the future") from None
    except ValueError:
        raise InvalidRequestError(
            f"expected a date such as 2027-01-31, a time such as 2027-01-31T15:00, or days such "
            f"as 90d, found {text!r}"
        ) from None
    if moment <= now:
        raise InvalidRequestError(f"{text!r} is past; such a key could not be used")
    return moment


def read_limit(text: str) -> str:
    """Return a valid rate limit of a key.

    Raises:
        InvalidRequestError: the text is not a rate.
    """
    try:
        limit = rate(text)
    except ValueError:
        limit = "off"
    if limit == "off":
        raise InvalidRequestError(f"expected a rate such as '60 per minute', found {text!r}")
    return limit
