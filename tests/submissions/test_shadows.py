from typing import Any

import pytest
import sqlalchemy as sa
from fakes import make_submission

from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.shadows import find_disagreements, keep_shadowed
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


def test_what_a_candidate_answered_otherwise_is_found_the_newest_first(store: Database) -> None:
    """Its own answers alone; what both answered alike is left out."""
    kept = [make_submission(prediction=digit) for digit in "0123456789"]
    store.record(kept)
    rows = [
        {"submission_id": one.id, "model": model, "prediction": said, "confidence": 0.5}
        for one in kept
        for model, said in (("v2", "4" if one.prediction in "147" else one.prediction), ("v3", "0"))
    ]
    keep_shadowed(store, rows)
    page = find_disagreements(store, "v2", 1)
    assert [("7", "4", 0.5)] == [
        (row["prediction"], row["shadow_digit"], row["shadow_confidence"]) for row in page.rows
    ]
    page = find_disagreements(store, "v2", 1, page.last)
    assert [kept[1].id] == [row["id"] for row in page.rows]
    assert page.last is None
    assert ([], None) == find_disagreements(store, "v\0", 1)


def test_where_both_agree_a_page_ends_after_so_many_and_tells_where_to_go_on(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flaskapi.submissions.shadows.LOOKED_AT", 4)
    kept = [make_submission(prediction="7") for _ in range(6)]
    store.record(kept)
    rows = [
        {"submission_id": one.id, "model": "v2", "prediction": said, "confidence": 0.5}
        for one, said in zip(kept, "177777", strict=True)
    ]
    keep_shadowed(store, rows)
    first = find_disagreements(store, "v2", 10)
    assert ([], kept[2].id) == first
    second = find_disagreements(store, "v2", 10, first.last)
    assert ([kept[0].id], None) == ([row["id"] for row in second.rows], second.last)
