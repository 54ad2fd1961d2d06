"""What is beyond the limits on how much is kept, and which submissions go first: the oldest.

One that an operator has labelled goes by its age alone, for somebody has worked on it. A sender's
label protects nothing: whoever sends images could fill the disk with them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.chores import take_chore
from flaskapi.submissions.tables import IMAGE_BYTES, images, submissions

TURN = timedelta(minutes=1)  # after which another may take the turn of a process that died
_CHORE = "erasing"
_SIZE = IMAGE_BYTES


class Excess(NamedTuple):
    """What is beyond the limits; 0 or less is within them."""

    submissions: int
    bytes: int  # of images, each counted once

    def __bool__(self) -> bool:
        return self.submissions > 0 or self.bytes > 0


class Erasable(NamedTuple):
    """A submission that may go, and its image."""

    id: UUID
    sha256: bytes
    size_bytes: int


def find_excess(
    connection: sa.Connection, most_submissions: int | None, most_bytes: int | None
) -> Excess:
    """Count what is kept, as far as there is a limit on it; neither count reads the images
    themselves.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
    kept = size_bytes = 0
    if most_submissions is not None:
        kept = (
            connection.execute(sa.select(sa.func.count()).select_from(submissions)).scalar_one()
            - most_submissions
        )
    if most_bytes is not None:
        size_bytes = (
            int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(_SIZE), 0))).scalar_one())
            - most_bytes
        )
    return Excess(kept, size_bytes)


def find_oldest(
    connection: sa.Connection, after: UUID, excess: Excess, most: int
) -> list[Erasable]:
    """Find the oldest submissions that may go, as many as bring what is kept within the limits, and
    no more.

    Args:
        after: only those with a larger id, for the others have been looked at.
        most: how many at most.
    """
    may_go = sa.or_(submissions.c.label_source.is_(None), submissions.c.label_source != "operator")
    query = sa.select(submissions.c.id, submissions.c.sha256, _SIZE).join(images)
    rows = connection.execute(
        query.where(may_go, submissions.c.id > after).order_by(submissions.c.id).limit(most)
    )
    found, sizes = list[Erasable](), dict[bytes, int]()
    for row in rows:
        if len(found) >= excess.submissions and sum(sizes.values()) >= excess.bytes:
            break
        found.append(Erasable(*row))
        sizes[found[-1].sha256] = found[-1].size_bytes
    return found


def find_first_to_go(connection: sa.Connection, most: int) -> list[UUID]:
    """The oldest submissions that no operator has labelled; where there are none, the oldest."""
    is_labelled = submissions.c.label_source == "operator"
    oldest = sa.select(submissions.c.id).order_by(submissions.c.id).limit(most)
    unlabelled = oldest.where(sa.or_(submissions.c.label_source.is_(None), ~is_labelled))
    return list(
        connection.execute(unlabelled).scalars().all() or connection.execute(oldest).scalars().all()
    )


def find_size(connection: sa.Connection, found: Sequence[Erasable]) -> int:
    """How many bytes the images of these submissions have, as far as they are still there."""
    of_them = images.c.sha256.in_({one.sha256 for one in found})
    return int(
        connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(_SIZE), 0)).where(of_them)
        ).scalar_one()
    )


def hold_turn(connection: sa.Connection, held: datetime | None) -> datetime:
    """Take the turn to erase what is too much, or keep it: two who counted the same excess would
    each erase it.

    Args:
        held: until when it is held already; None: not yet.

    Returns:
        Until when it is held then.

    Raises:
        StoreUnavailableError: another has it.
    """
    now = datetime.now(UTC)
    if not take_chore(connection, _CHORE, now, now + TURN, held):
        raise StoreUnavailableError("Another process is applying the limits at the moment.")
    return now + TURN


def end_turn(connection: sa.Connection, held: datetime) -> None:
    """Let another have the turn."""
    now = datetime.now(UTC)
    take_chore(connection, _CHORE, now, now, held)
