"""Turns that processes take at what one of them is to do."""

from datetime import datetime

import sqlalchemy as sa

from flaskapi.submissions.tables import chores


def is_due(now: datetime, until: datetime) -> sa.ColumnElement[bool]:
    """Is nobody at it? One that is due later than it can have been put off was put off by a clock
    that was wrong.
    """
    return sa.or_(chores.c.due_at <= now, chores.c.due_at > until)


def take_chore(
    connection: sa.Connection,
    name: str,
    now: datetime,
    until: datetime,
    held: datetime | None = None,
) -> bool:
    """Put a chore off, if it is due, so that nobody else takes it until then. Tells whether it is
    this process's turn.

    Args:
        held: until when this process has put it off itself: then it is put off further, if nobody
            else has taken it.
    """
    own, row = chores.c.name == name, {"name": name, "due_at": until}
    mine = is_due(now, until) if held is None else chores.c.due_at == held
    if connection.execute(sa.update(chores).where(own, mine).values(row)).rowcount:
        return True
    if held is not None or connection.execute(sa.select(chores.c.name).where(own)).first():
        return False
    # Refused where another process was first, and then looked at again.
    connection.execute(sa.insert(chores), row)
    return True
