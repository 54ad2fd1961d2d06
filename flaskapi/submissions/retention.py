"""What is beyond the limits of the store, and which submissions are erased first: the oldest.

A submission that an operator has labelled is erased by its age alone, since a person has worked on
it. A sender's label protects nothing: a sender of images could otherwise fill the disk.
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
    """How much is beyond the limits; 0 or less is within them."""

    submissions: int
    bytes: int  # of images, each counted once

    def __bool__(self) -> bool:
        return self.submissions > 0 or self.bytes > 0


class Erasable(NamedTuple):
    """A submission that may be erased, and its image."""

    id: UUID
    sha256: bytes
    size_bytes: int


def find_excess(
    connection: sa.Connection, most_submissions: int | None, most_bytes: int | None
) -> Excess:
    """Count what is kept, as far as it is limited. Neither count reads the images themselves."""
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
    """Find the oldest submissions that may be erased, just as many as bring the store within the
    limits.

    Args:
        after: only those with a larger id, since the others have been looked at.
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
    """The oldest submissions that no operator has labelled; if there are none, the oldest."""
    is_labelled = submissions.c.label_source == "operator"
    oldest = sa.select(submissions.c.id).order_by(submissions.c.id).limit(most)
    unlabelled = oldest.where(sa.or_(submissions.c.label_source.is_(None), ~is_labelled))
    return list(
        connection.execute(unlabelled).scalars().all() or connection.execute(oldest).scalars().all()
    )


def find_size(connection: sa.Connection, found: Sequence[Erasable]) -> int:
    """The bytes of these submissions' images, as far as they still exist."""
    of_them = images.c.sha256.in_({one.sha256 for one in found})
    return int(
        connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(_SIZE), 0)).where(of_them)
        ).scalar_one()
    )


def hold_turn(connection: sa.Connection, held: datetime | None) -> datetime:
    """Take the turn to erase the excess, or keep it: two processes that counted the same excess
    would each erase it.

    Args:
        held: until when it is already held; None: not yet.

    Returns:
        Until when it is held then.

    Raises:
        StoreUnavailableError: another process has it.
    """
    now = datetime.now(UTC)
    if not take_chore(connection, _CHORE, now, now + TURN, held):
        raise StoreUnavailableError("Another process is applying the limits at the moment.")
    return now + TURN


def end_turn(connection: sa.Connection, held: datetime) -> None:
    """End the turn, so that another process can take it."""
    now = datetime.now(UTC)
    take_chore(connection, _CHORE, now, now, held)
