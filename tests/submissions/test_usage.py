"""How much is kept, in either database."""

from datetime import UTC, datetime, timedelta

from fakes import make_submission

from flaskapi.submissions.database import Database
from flaskapi.submissions.housekeeping import EVERY, take_turn
from flaskapi.submissions.usage import measure


def test_an_empty_store_has_no_oldest_and_nothing_that_is_due(store: Database) -> None:
    usage = measure(store, None)
    assert (0, None, None) == (usage.submissions, usage.oldest_at, usage.housekeeping_at)
    assert usage.used_bytes > 0


def test_what_is_kept_is_counted_and_the_disk_is_sqlites_alone(store: Database) -> None:
    now = datetime.now(UTC)
    store.record([make_submission(received_at=now - timedelta(hours=age)) for age in (5, 3, 1)])
    assert take_turn(store, now)
    usage = measure(store, 1000)
    assert 3 == usage.submissions
    assert (usage.oldest_at, usage.housekeeping_at) == (now - timedelta(hours=5), now + EVERY)
    if store.kind == "sqlite":
        assert usage.disk is not None
        assert 1000 == usage.disk.reserve
        assert usage.reusable_bytes is not None
    else:
        assert (None, None) == (usage.disk, usage.reusable_bytes)
