"""KeepingLimits on how much is kept: the oldest go, no more than must, and none that an operator
has labelled.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fakes import make_submission

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase_beyond
from flaskapi.submissions.retention import TURN
from flaskapi.submissions.tables import chores, images, submissions


def keep(store: Database, count: int, **changes: Any) -> list[Submission]:
    """Keep submissions of 10 bytes each, from the oldest to the youngest."""
    kept = [make_submission(**{"image": b"%010d" % n} | changes) for n in range(count)]
    store.record(kept)
    return kept


def left(engine: sa.Engine) -> list[UUID]:
    with engine.connect() as connection:
        return list(
            connection.execute(sa.select(submissions.c.id).order_by(submissions.c.id)).scalars()
        )


@pytest.mark.parametrize(
    ("most_submissions", "most_bytes", "expected"),
    [
        (500, None, 500),
        (450, None, 450),
        (120, None, 120),
        (None, 4000, 400),
        (None, 3995, 399),
        (300, 1000, 100),
        (100, 3000, 100),
        (0, None, 0),
    ],
)
def test_the_oldest_go_until_both_limits_are_met_and_no_more(
    store: Database,
    engine: sa.Engine,
    most_submissions: int | None,
    most_bytes: int | None,
    expected: int,
) -> None:
    """More than go in one transaction."""
    kept = keep(store, 500)
    assert (500 - expected, None) == erase_beyond(store, most_submissions, most_bytes)
    assert [one.id for one in kept[500 - expected :]] == left(engine)
    assert (0, None) == erase_beyond(store, most_submissions, most_bytes)
    with engine.connect() as connection:
        assert (
            expected == connection.execute(sa.select(sa.func.count()).select_from(images)).scalar()
        )


def test_without_a_limit_nothing_goes(store: Database, engine: sa.Engine) -> None:
    kept = keep(store, 3)
    assert (0, None) == erase_beyond(store, None, None)
    assert [one.id for one in kept] == left(engine)


def test_an_image_counts_once_and_stays_while_a_younger_submission_has_it(
    store: Database, engine: sa.Engine
) -> None:
    """To erase the older of two submissions of one image frees nothing, so the next go as well."""
    shared = [keep(store, 1, image=b"shared 10b")[0]]
    others = keep(store, 3)
    shared += keep(store, 1, image=b"shared 10b")
    assert (0, None) == erase_beyond(store, None, 40)
    assert (2, None) == erase_beyond(store, None, 30)
    assert [one.id for one in (*others[1:], shared[1])] == left(engine)


def test_what_an_operator_has_labelled_goes_by_its_age_alone_and_a_senders_label_protects_nothing(
    store: Database, engine: sa.Engine
) -> None:
    by_operator = keep(store, 250, label="7", label_source="operator", image=b"labelled")
    by_sender = keep(store, 2, label="7", label_source="sender")
    assert (1, None) == erase_beyond(store, 251, None)
    assert [one.id for one in (*by_operator, by_sender[1])] == left(engine)
    erased, excess = erase_beyond(store, 200, 3)
    assert (1, 50, 5) == (erased, *excess)
    assert [one.id for one in by_operator] == left(engine)


def test_of_two_who_apply_a_limit_at_once_one_does(
    store: Database, engine: sa.Engine, url: str
) -> None:
    """Each has counted the same excess: both together would erase it twice."""
    keep(store, 600)
    other = Database(url, "process")
    with ThreadPoolExecutor(2) as both:
        done = [both.submit(erase_beyond, one, 300, None) for one in (store, other)]
    assert 300 == len(left(engine))
    assert all(
        one.exception() is None or isinstance(one.exception(), StoreUnavailableError)
        for one in done
    )
    assert (0, None) == erase_beyond(other, 300, None), "the turn was given back"
    other.close()


def test_the_turn_of_one_that_died_is_taken_after_a_while(
    store: Database, engine: sa.Engine
) -> None:
    keep(store, 10)
    long_ago = datetime.now(UTC) - timedelta(seconds=1)
    with engine.begin() as connection:
        connection.execute(sa.insert(chores), {"name": "erasing", "due_at": long_ago + TURN})
    with pytest.raises(StoreUnavailableError, match="Another process is applying"):
        erase_beyond(store, 5, None)
    with engine.begin() as connection:
        connection.execute(sa.update(chores).values(due_at=long_ago))
    assert (5, None) == erase_beyond(store, 5, None)
