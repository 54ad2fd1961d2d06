"""The answers of a candidate in the shadow, kept with the submission that the serving version
answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.submissions import Store
from flaskapi.submissions.listing import LISTED
from flaskapi.submissions.tables import shadows, submissions

LOOKED_AT = 10_000  # answers at most for one page: where both models agree, most are passed over


def keep_shadowed(store: Store, answers: Sequence[Mapping[str, Any]]) -> None:
    """Keep rows of the table `shadows`. Rows whose submission was erased meanwhile are left out.

    Raises:
        StoreUnavailableError: the database cannot be reached or written; the text gives the reason.
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


class DisagreementPage(NamedTuple):
    """Submissions that a candidate answered otherwise, the newest first, each with `shadow_digit`
    and `shadow_confidence`; and the id with which the next page begins, if there is one.
    """

    rows: list[dict[str, Any]]
    last: UUID | None


def find_disagreements(
    store: Store, model: str, limit: int, before: UUID | None = None
) -> DisagreementPage:
    """Find submissions that a candidate answered otherwise than the serving version.

    A page covers at most LOOKED_AT of its answers, so it may be empty although others follow.

    Args:
        model: the candidate's version.
        limit: how many submissions at most.
        before: only those with a smaller id, which are older.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    if "\0" in model:  # which PostgreSQL does not take in a text
        return DisagreementPage([], None)
    answered = sa.select(
        shadows.c.submission_id,
        shadows.c.prediction.label("shadow_digit"),
        shadows.c.confidence.label("shadow_confidence"),
    ).where(shadows.c.model == model)
    if before is not None:
        answered = answered.where(shadows.c.submission_id < before)
    answered = answered.order_by(shadows.c.submission_id.desc())
    window = answered.limit(LOOKED_AT).subquery()
    found = (
        sa.select(*LISTED, window.c.shadow_digit, window.c.shadow_confidence)
        .join(window, window.c.submission_id == submissions.c.id)
        .where(window.c.shadow_digit != submissions.c.prediction)
        .order_by(submissions.c.id.desc())
        .limit(limit + 1)
    )

    def work(connection: sa.Connection) -> DisagreementPage:
        rows = [dict(row) for row in connection.execute(found).mappings()]
        if len(rows) > limit:
            return DisagreementPage(rows[:limit], rows[limit - 1]["id"])
        ends = connection.execute(answered.offset(LOOKED_AT - 1).limit(1)).first()
        return DisagreementPage(rows, ends.submission_id if ends else None)

    return store.run(work, reads=True)
