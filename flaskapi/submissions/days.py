"""The counts of a day that statistics keep."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from flaskapi.submissions.tables import days

# After a day's end, all that it brought has arrived, answers of a candidate included.
SETTLED = timedelta(hours=1)


def forget_day(connection: sa.Connection, received_at: datetime) -> None:
    """Remove the counts of the day (in UTC) on which something that changed was received. The day
    is then counted again.
    """
    connection.execute(sa.delete(days).where(days.c.day == received_at.astimezone(UTC).date()))


def forget_days(connection: sa.Connection, received_at: Iterable[datetime]) -> None:
    """The same for several moments: each of their days once, the earliest first."""
    for moment in sorted(
        {moment.astimezone(UTC).date(): moment for moment in received_at}.values()
    ):
        forget_day(connection, moment)
