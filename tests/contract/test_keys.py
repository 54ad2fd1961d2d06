"""What a key may be called, how long it may last, and how often it may be used."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from flaskapi.contract.keys import check_name, read_expiry, read_limit
from flaskapi.errors import InvalidRequestError


def test_an_end_is_a_day_a_moment_or_a_number_of_days() -> None:
    assert datetime(2999, 1, 31, tzinfo=UTC) == read_expiry("2999-01-31")
    assert datetime(2999, 1, 31, 11, tzinfo=UTC) == read_expiry("2999-01-31T12:00+01:00")
    assert timedelta(days=89) < read_expiry("90d") - datetime.now(UTC) <= timedelta(days=90)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (check_name, ""),
        (check_name, "a b"),
        (check_name, "a/b"),
        (check_name, "x" * 65),
        (check_name, "."),  # no address can end so: browsers take it away
        (check_name, ".."),
        (read_expiry, "soon"),
        (read_expiry, "0d"),
        (read_expiry, "1\u0663d"),
        (read_expiry, "2020-01-01"),
        (read_expiry, "9999-12-31T23:59-12:00"),
        (read_limit, "off"),
        (read_limit, "often"),
        (read_limit, "1\u0663 per minute"),  # digits that the library of limits does not know
    ],
)
def test_what_cannot_be_is_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(InvalidRequestError):
        read(text)
