from typing import Any

import sqlalchemy as sa
from fakes import make_submission

from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.shadows import keep_shadowed
from flaskapi.submissions.tables import shadows


def test_what_a_candidate_answered_is_kept_with_its_submission_until_that_is_erased(
    store: Database,
) -> None:
    kept, erased = make_submission(), make_submission(image=b"another")
    store.record([kept, erased])
    erase(store, erased.id)
    rows: list[dict[str, Any]] = [
        {"submission_id": identifier, "model": "v2", "prediction": "3", "confidence": 0.8}
        for identifier in (kept.id, erased.id, new_id())
    ]
    keep_shadowed(store, rows)
    found = store.run(
        lambda connection: connection.execute(sa.select(shadows)).mappings().all(), reads=True
    )
    assert [rows[0]] == [dict(row) for row in found]
    keep_shadowed(store, rows[1:])
    assert erase(store, kept.id)
    assert [] == store.run(
        lambda connection: connection.execute(sa.select(shadows)).all(), reads=True
    )
