"""Count submissions by day and model. A past day is counted once and kept in the table `days`,
until something of it changes.

A change of a day (a label, an erasure, a submission that arrives late) removes its row in the same
transaction: `forget_day`. No row may be written without such a change, so counting has three steps:
claim the day with a mark; count; keep the counts if the mark is still there. A change between the
first and the last step removes the mark. A change that began before the first step and is not yet
committed is invisible to the count. So PostgreSQL locks the table for a moment to claim, which
waits until such changes are committed.
"""

import contextlib
import json
from collections import defaultdict
from collections.abc import Container, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from flaskapi.drift import EDGES
from flaskapi.errors import StoreUnavailableError
from flaskapi.labels import DIGITS
from flaskapi.submissions import Store
from flaskapi.submissions.counts import Counts, count_labelled, merge
from flaskapi.submissions.days import SETTLED
from flaskapi.submissions.identifiers import first_id, new_id
from flaskapi.submissions.tables import days, shadows, submissions

# Of what is kept of a day; where another is found, as after an update, the day is counted anew.
FORM = 1
DAY = timedelta(days=1)
_ROW = submissions.c
# Digits that were kept before this was measured are counted without histograms, as numbers are.
_DIGIT = _ROW.ink_share.is_not(None)
_BINNED = [name for name in EDGES if name != "digit"]


def count_days(
    store: Store, since: date, until: date, now: datetime | None = None
) -> dict[date, dict[str, Counts]]:
    """Count, by model, each day on which anything was received.

    Args:
        since: the first day, in UTC.
        until: the day after the last.
        now: the present, for tests.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    kept = _read_kept(store, since, until)
    counted = {
        day: _count(store, day, now or datetime.now(UTC))
        for day in _find_others(store, since, until, kept)
    }
    return kept | counted


def summarize_days(store: Store, now: datetime | None = None) -> int:
    """Count every past day that is not kept, so that no request has to wait for it. Returns how
    many there were.

    Raises:
        StoreUnavailableError: the database cannot be read or written; days that were counted before
            are kept.
    """
    now = now or datetime.now(UTC)
    missing = _find_others(
        store, date.min, (now - SETTLED).date(), _read_kept(store, date.min, date.max)
    )
    for day in missing:
        _count(store, day, now)
    return len(missing)


def _read_kept(store: Store, since: date, until: date) -> dict[date, dict[str, Counts]]:
    query = sa.select(days.c.day, days.c.summary).where(days.c.day >= since, days.c.day < until)
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    return {day: summary["models"] for day, summary in rows if summary.get("form") == FORM}


def _find_others(store: Store, since: date, until: date, kept: Container[date]) -> list[date]:
    """The other days on which anything was received; days between them are skipped."""

    def work(connection: sa.Connection) -> list[date]:
        found, day = [], since
        while day < until:
            if day not in kept:
                first = _first_after(connection, _midnight(day))
                if first is None or first >= until:
                    break
                day = first
                if day not in kept:
                    found.append(day)
            day += DAY
        return found

    return store.run(work, reads=True)


def _first_after(connection: sa.Connection, moment: datetime) -> date | None:
    """The day of the first submission after a moment. Digits and numbers have an index each."""
    first = sa.func.min(_ROW.received_at)
    queries = [
        sa.select(first).where(kind, _ROW.received_at >= moment) for kind in (_DIGIT, ~_DIGIT)
    ]
    found = [
        value for query in queries if (value := connection.execute(query).scalar()) is not None
    ]
    return min(found).astimezone(UTC).date() if found else None


def _count(store: Store, day: date, now: datetime) -> dict[str, Counts]:
    """Count a day, and keep the counts if it is past."""
    if now < _midnight(day + DAY) + SETTLED:
        return store.run(lambda connection: count_day(connection, day), reads=True, long=True)
    mark = {"mark": str(new_id())}
    with contextlib.suppress(
        StoreUnavailableError
    ):  # where nothing can be written, it can still be read
        store.run(lambda connection: _claim(connection, day, mark))
    models = store.run(lambda connection: count_day(connection, day), reads=True, long=True)
    with contextlib.suppress(StoreUnavailableError):
        store.run(lambda connection: _keep(connection, day, mark, {"form": FORM, "models": models}))
    return models


def _claim(connection: sa.Connection, day: date, mark: dict[str, str]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE days IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(sa.delete(days).where(days.c.day == day))
    connection.execute(sa.insert(days), {"day": day, "summary": mark})


def _keep(
    connection: sa.Connection, day: date, mark: dict[str, str], summary: dict[str, Any]
) -> None:
    still_there = sa.cast(days.c.summary, sa.Text) == json.dumps(mark)
    connection.execute(
        sa.update(days).where(days.c.day == day, still_there).values(summary=summary)
    )


def count_day(connection: sa.Connection, day: date) -> dict[str, Counts]:
    """Count the submissions of a day, by model."""
    begin, end = _midnight(day), _midnight(day + DAY)
    within = (_ROW.received_at >= begin, _ROW.received_at < end)
    models: dict[str, Counts] = {}
    for model, counts in (
        *_count_answers(connection, within),
        *_count_labelled(connection, within),
        *_count_shadows(connection, day),
    ):
        models[model] = merge(models[model], counts) if model in models else counts
    return models


Within = tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]


def _count_answers(connection: sa.Connection, within: Within) -> Iterator[tuple[str, Counts]]:
    """All submissions, by model and route: digits in one scan of `ix_submissions_digits`, numbers
    of `ix_submissions_others`.
    """
    many = sa.func.count()
    common = (
        _ROW.model,
        _ROW.route,
        many,
        sa.func.sum(_ROW.confidence),
        many.filter(_ROW.uncertain == sa.true()),
    )
    # How many are below each edge rather than in each bin: one comparison each.
    below = [many.filter(_ROW[name] < edge) for name in _BINNED for edge in EDGES[name]]
    known = [sa.func.count(_ROW[name]) for name in _BINNED]
    said = [many.filter(_ROW.prediction == str(digit)) for digit in range(DIGITS)]
    digits = (
        sa.select(*common, *below, *known, *said)
        .where(_DIGIT, *within)
        .group_by(_ROW.model, _ROW.route)
    )
    numbers = sa.select(*common).where(~_DIGIT, *within).group_by(_ROW.model, _ROW.route)
    for query in (digits, numbers):
        for model, route, answers, confidence, uncertain, *rest in connection.execute(query):
            counts = {"routes": {route: answers}, "confidence": confidence, "uncertain": uncertain}
            yield model, counts | ({"histograms": _to_histograms(rest)} if rest else {})


def _to_histograms(values: list[int]) -> dict[str, list[int]]:
    """Turn the counts below each edge, for each measure and each digit, into counts in each bin."""
    rest = iter(values)
    below = {name: [next(rest) for _ in EDGES[name]] for name in _BINNED}
    known = {name: next(rest) for name in _BINNED}
    bins = {
        name: [
            one - before
            for before, one in zip([0, *below[name]], [*below[name], known[name]], strict=True)
        ]
        for name in _BINNED
    }
    return bins | {"digit": list(rest)}


def _count_labelled(connection: sa.Connection, within: Within) -> Iterator[tuple[str, Counts]]:
    query = sa.select(
        _ROW.model, _ROW.label, _ROW.prediction, _ROW.uncertain, _ROW.confidence
    ).where(_ROW.label.is_not(None), *within)
    by_model = defaultdict[str, list[Any]](list)
    for model, *row in connection.execute(query):
        by_model[model].append(row)
    for model, rows in by_model.items():
        yield model, {"labelled": count_labelled(rows)}


def _count_shadows(connection: sa.Connection, day: date) -> Iterator[tuple[str, Counts]]:
    """The answers of candidates, by the time in the ids."""
    begin, end = first_id(_midnight(day)), first_id(_midnight(day + DAY))
    same = sa.func.count().filter(shadows.c.prediction == _ROW.prediction)
    query = sa.select(_ROW.model, shadows.c.model, sa.func.count(), same).select_from(
        shadows.join(submissions)
    )
    query = query.where(shadows.c.submission_id >= begin, shadows.c.submission_id < end).group_by(
        _ROW.model, shadows.c.model
    )
    for model, candidate, answers, agreements in connection.execute(query):
        yield model, {"shadows": {candidate: [answers, agreements]}}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
