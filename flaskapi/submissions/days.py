"""What statistics remember of a day."""

from datetime import UTC, datetime

import sqlalchemy as sa

from flaskapi.submissions.tables import days


def forget_day(connection: sa.Connection, received_at: datetime) -> None:
    """Let the day on which something was received (in UTC) be counted anew, for something of it has changed."""
    connection.execute(sa.delete(days).where(days.c.day == received_at.astimezone(UTC).date()))
