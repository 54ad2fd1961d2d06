"""Chores that one of several processes does, by turns."""

from datetime import datetime

import sqlalchemy as sa

from flaskapi.submissions.tables import chores


def is_due(now: datetime, until: datetime) -> sa.ColumnElement[bool]:
    """Is the chore due? A date later than any that can be set comes from a wrong clock, so the
    chore is due.
    """
    return sa.or_(chores.c.due_at <= now, chores.c.due_at > until)


def take_chore(
    connection: sa.Connection,
    name: str,
    now: datetime,
    until: datetime,
    held: datetime | None = None,
) -> bool:
    """Postpone a chore if it is due, so that no other process takes it until then. Tells whether it
    is this process's turn.

    Args:
        held: until when this process has postponed it; it is then postponed further, if no other
            process has taken it.
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
