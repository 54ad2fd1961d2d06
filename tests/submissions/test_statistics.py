import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fakes import make_submission

from flaskapi.drift import EDGES
from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.days import forget_day
from flaskapi.submissions.erasing import erase, erase_before
from flaskapi.submissions.identifiers import first_id, new_id
from flaskapi.submissions.statistics import count_days, summarize_days
from flaskapi.submissions.tables import days, shadows, submissions

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=3)
A, B = "2026-01-01-00000000", "2026-02-02-11111111"
TRAITS = {"ink_share": 0.1, "stroke_px": 3.0, "size_px": 25.0, "contrast": 39.9}
NUMBER = {
    "route": "/predict/number",
    "prediction": "512",
    "lines": ["512"],
    "digits": [],
    "probabilities": None,
    "normalized": None,
}


def at(moment: datetime, **changes: Any) -> Submission:
    id = type(first_id(moment))(int=first_id(moment).int | new_id().int & (1 << 76) - 1)
    return make_submission(id=id, received_at=moment, **TRAITS | changes)


def count(store: Database, now: datetime = LATER) -> dict[date, Any]:
    return count_days(store, DAY - timedelta(days=5), DAY + timedelta(days=5), now)


def kept(engine: sa.Engine) -> set[date]:
    with engine.connect() as connection:
        return {
            day
            for day, summary in connection.execute(sa.select(days.c.day, days.c.summary))
            if "models" in summary
        }


def label(store: Database, one: Submission, value: str) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(
            sa.update(submissions)
            .where(submissions.c.id == one.id)
            .values(label=value, label_source="operator")
        )
        forget_day(connection, one.received_at)

    store.run(work)


def test_a_day_is_counted_by_model_and_route(store: Database) -> None:
    sent = [
        at(NOON, prediction="7", confidence=0.75, uncertain=True),
        at(
            NOON,
            prediction="1",
            confidence=0.5,
            route="/predict/batch",
            label="1",
            label_source="sender",
        ),
        at(NOON, model=B, confidence=1.0),
        make_submission(received_at=NOON, model=B, confidence=0.25, **NUMBER),
    ]
    store.record(sent)
    found = count(store)
    assert [DAY] == list(found)
    one, other = found[DAY][A], found[DAY][B]
    assert ({"/predict": 1, "/predict/batch": 1}, 1.25, 1) == (
        one["routes"],
        one["confidence"],
        one["uncertain"],
    )
    assert ({"/predict": 1, "/predict/number": 1}, 1.25, 0) == (
        other["routes"],
        other["confidence"],
        other["uncertain"],
    )
    assert [0, 1, 0, 0, 0, 0, 0, 1, 0, 0] == one["histograms"]["digit"]
    assert (1, 1) == (
        one["labelled"]["confusion"][1][1],
        sum(map(sum, one["labelled"]["confusion"])),
    )
    assert "labelled" not in other
    assert 1 == sum(other["histograms"]["digit"]), "a number is no digit"


@pytest.mark.parametrize("name", [name for name in EDGES if name != "digit"])
def test_a_value_on_an_edge_is_in_the_bin_above_it(store: Database, name: str) -> None:
    values = [*EDGES[name], EDGES[name][0] - 0.01, EDGES[name][-1] + 1000, None]
    store.record([at(NOON, **{name: value}) for value in values])
    histogram = count(store)[DAY][A]["histograms"][name]
    assert [1] * len(EDGES[name]) + [2] == histogram


def test_days_begin_and_end_at_midnight_in_utc(store: Database) -> None:
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    tiny = timedelta(microseconds=1)
    store.record(
        [
            at(midnight - tiny),
            at(midnight),
            at(midnight + timedelta(days=1) - tiny),
            at(midnight + timedelta(days=1)),
        ]
    )
    found = {day: models[A]["routes"]["/predict"] for day, models in count(store).items()}
    assert {DAY - timedelta(days=1): 1, DAY: 2, DAY + timedelta(days=1): 1} == found


def test_what_a_candidate_answered_is_counted(store: Database) -> None:
    sent = [at(NOON, prediction="7"), at(NOON, prediction="1")]
    store.record(sent)
    rows = [
        {"submission_id": one.id, "model": "candidate", "prediction": "7", "confidence": 0.9}
        for one in sent
    ]
    store.run(lambda connection: connection.execute(sa.insert(shadows), rows).rowcount)
    assert {"candidate": [2, 1]} == count(store)[DAY][A]["shadows"]


def test_a_day_that_is_over_is_kept_and_the_next_one_counted_live(
    store: Database, engine: sa.Engine
) -> None:
    """It is over an hour after its end, when all that it brought is there."""
    store.record([at(NOON), at(NOON + timedelta(days=1))])
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    count(store, midnight + timedelta(minutes=59))
    assert set() == kept(engine)
    first = count(store, midnight + timedelta(minutes=61))
    assert {DAY} == kept(engine)
    with engine.begin() as connection:  # behind the back of all that would remove the day
        connection.execute(sa.delete(submissions).where(submissions.c.received_at < midnight))
    assert first == count(store)


def test_nobody_has_to_wait_for_days_that_were_counted_beforehand(
    store: Database, engine: sa.Engine
) -> None:
    store.record([at(NOON - timedelta(days=200)), at(NOON), at(LATER)])
    assert 2 == summarize_days(store, LATER)
    assert {DAY - timedelta(days=200), DAY} == kept(engine)
    assert 0 == summarize_days(store, LATER)


def test_a_label_an_erasure_and_a_late_submission_are_counted(store: Database) -> None:
    first, second = sent = [at(NOON), at(NOON + timedelta(days=1))]
    store.record(sent)
    count(store)
    label(store, first, "7")
    assert 1 == count(store)[DAY][A]["labelled"]["confusion"][7][7]
    store.record([at(NOON)])
    assert {"/predict": 2} == count(store)[DAY][A]["routes"]
    erase(store, second.id)
    assert [DAY] == list(count(store))
    erase_before(store, NOON + timedelta(days=1))
    assert {} == count(store)


def test_a_day_that_another_version_kept_is_counted_anew(
    store: Database, engine: sa.Engine
) -> None:
    store.record([at(NOON)])
    expected = count(store)
    with engine.begin() as connection:
        connection.execute(sa.update(days).values(summary={"form": 0, "models": {}}))
    assert expected == count(store)


class Interrupted:
    """A store with which something happens after so many transactions."""

    def __init__(self, store: Database, after: int, happens: Callable[[], None]) -> None:
        self._store, self._left, self._happens = store, after, happens

    def run(self, work: Any, *, reads: bool = False, long: bool = False) -> Any:
        result = self._store.run(work, reads=reads)
        self._left -= 1
        if self._left == 0:
            self._happens()
        return result


@pytest.mark.parametrize("after", range(1, 6))
def test_a_label_that_comes_while_its_day_is_counted_is_not_lost(
    store: Database, after: int
) -> None:
    """Whatever was done by then: what is kept read, the days found, one claimed, counted, kept."""
    one = at(NOON)
    store.record([one])
    count(Interrupted(store, after, lambda: label(store, one, "7")))  # type: ignore[arg-type]
    assert 1 == count(store)[DAY][A]["labelled"]["confusion"][7][7]


def test_a_label_that_is_not_yet_committed_when_counting_begins_is_not_lost(
    store: Database, url: str
) -> None:
    """The count waits for it or its writer for the count; either way the label is in the end
    counted.
    """
    one, other = at(NOON), Database(url, "process")
    store.record([one])
    given, go_on = threading.Event(), threading.Event()

    def give(connection: sa.Connection) -> None:
        connection.execute(
            sa.update(submissions).where(submissions.c.id == one.id).values(label="7")
        )
        forget_day(connection, one.received_at)
        given.set()
        go_on.wait(0.3)

    writer = threading.Thread(target=lambda: other.run(give))
    writer.start()
    assert given.wait(5)
    count(store)
    go_on.set()
    writer.join()
    assert 1 == count(store)[DAY][A]["labelled"]["confusion"][7][7]
    other.close()


def test_where_nothing_can_be_written_days_can_still_be_counted(
    store: Database, engine: sa.Engine
) -> None:
    store.record([at(NOON)])
    refusal = StoreUnavailableError("The disk is full.")

    class Full:
        def run(self, work: Any, *, reads: bool = False, long: bool = False) -> Any:
            if not reads:
                raise refusal
            return store.run(work, reads=True)

    assert {"/predict": 1} == count_days(Full(), DAY, DAY + timedelta(days=1), LATER)[DAY][A][
        "routes"
    ]  # type: ignore[arg-type]
    assert set() == kept(engine)
