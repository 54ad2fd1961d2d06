"""Submissions of a digit of which somebody said what it is: all that a model may learn from."""

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

    label: str | None  # a digit or `none`; None withdraws
    source: str  # `sender` or `operator`
    client: bytes | None  # tells two senders apart


class Labelled(NamedTuple):
    """A submission of a digit with all that was said of it, the oldest first."""

    id: UUID
    sha256: bytes  # of the image as it was sent
    normalized: bytes  # what the network saw, `uint8 (28, 28)` row by row, 255 the ink
    statements: list[Statement]


def read_labelled(store: Store, since: datetime | None = None) -> list[Labelled]:
    """Read all submissions of a digit that bear a label, or bore one, the oldest first.

    Args:
        since: only those that were received from then on.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    of = submissions.c
    query = sa.select(
        of.id, of.sha256, of.normalized, labels.c.label, labels.c.source, labels.c.client
    ).join(labels)
    query = query.where(of.normalized.is_not(None)).order_by(of.id, labels.c.id)
    if since is not None:
        query = query.where(of.id >= first_id(since))
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    groups = itertools.groupby(rows, key=lambda row: (row.id, row.sha256, row.normalized))
    return [
        Labelled(*which, [Statement(row.label, row.source, row.client) for row in group])
        for which, group in groups
    ]
