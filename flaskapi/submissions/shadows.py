"""What a candidate answered beside the model that serves, kept with the submission that both
answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.tables import shadows, submissions


def keep_shadowed(store: Store, answers: Sequence[Mapping[str, Any]]) -> None:
    """Keep rows of the table `shadows`; those whose submission was erased meanwhile are left out.

    Raises:
        StoreUnavailableError: the database cannot be reached or written; the text says why.
    """

    def work(connection: sa.Connection) -> None:
        ids = [answer["submission_id"] for answer in answers]
        there = set(
            connection.execute(
                sa.select(submissions.c.id).where(submissions.c.id.in_(ids))
            ).scalars()
        )
        rows = [dict(answer) for answer in answers if answer["submission_id"] in there]
        if rows:
            connection.execute(sa.insert(shadows), rows)

    store.run(work)
