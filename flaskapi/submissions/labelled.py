"""Submissions of which somebody said what they are: all that a model may learn from."""

import itertools
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.identifiers import first_id
from flaskapi.submissions.tables import labels, submissions


class Statement(NamedTuple):
    """One row of a submission's labels."""

    label: str | None  # a digit, a number or `none`; None withdraws
    source: str  # `sender` or `operator`
    client: bytes | None  # tells two senders apart


class Labelled(NamedTuple):
    """A submission with all that was said of it, the oldest first."""

    id: UUID
    sha256: bytes  # of the image as it was sent
    # What the network saw, `uint8 (28, 28)` row by row, 255 the ink; empty for a number.
    normalized: bytes
    statements: list[Statement]


def read_labelled(
    store: Store, since: datetime | None = None, *, numbers: bool = False
) -> list[Labelled]:
    """Read all submissions of a digit that have a label, or had one, the oldest first.

    Args:
        store: has them.
        since: only those that were received from then on.
        numbers: those of a number instead.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    of = submissions.c
    query = sa.select(
        of.id, of.sha256, of.normalized, labels.c.label, labels.c.source, labels.c.client
    ).join(labels)
    kind = of.normalized.is_(None) if numbers else of.normalized.is_not(None)
    query = query.where(kind).order_by(of.id, labels.c.id)
    if since is not None:
        query = query.where(of.id >= first_id(since))
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    groups = itertools.groupby(rows, key=lambda row: (row.id, row.sha256, row.normalized))
    return [
        Labelled(
            id,
            sha256,
            normalized or b"",
            [Statement(row.label, row.source, row.client) for row in group],
        )
        for (id, sha256, normalized), group in groups
    ]
