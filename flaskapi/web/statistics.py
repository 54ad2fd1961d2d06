"""`GET /statistics`: counts and accuracy of the answers, by day and model, and drift of the images
from the training data.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Blueprint, Flask, request

from flaskapi import drift
from flaskapi.contract import documents, queries
from flaskapi.errors import InvalidRequestError, ModelUnavailableError
from flaskapi.submissions.counts import Counts, describe, total
from flaskapi.web.access import operators_only
from flaskapi.web.described import described
from flaskapi.web.payload import read_query
from flaskapi.web.services import services

blueprint = Blueprint("statistics", __name__)
USUAL_DAYS, MOST_DAYS = 30, 400


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/statistics")
@described(documents.StatisticsAnswer, query=queries.STATISTICS)
@operators_only
def statistics() -> dict[str, Any]:
    """Counts, confidence, accuracy on labelled images, and drift, for the days from `since` up to,
    but not including, `until`.
    """
    # Not at the top: a service without a store does not need the database's libraries.
    from flaskapi.submissions.statistics import count_days

    query = read_query(request, queries.STATISTICS)
    since, until = _read_period(query)
    days = count_days(services().store, since, until)
    if "model" in query:
        only = query["model"]
        days = {day: {only: models[only]} for day, models in days.items() if only in models}
    versions = sorted({version for models in days.values() for version in models})
    by_model = {
        version: total(models[version] for models in days.values() if version in models)
        for version in versions
    }
    whole = total(by_model.values())
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "total": describe(whole),
        "models": _describe(by_model),
        "days": [
            {"day": day.isoformat(), "models": _describe(models)}
            for day, models in sorted(days.items())
        ],
        "drift": _compare(whole),
    }


def _describe(models: dict[str, Counts]) -> dict[str, Any]:
    return {version: describe(counts) for version, counts in sorted(models.items())}


def _compare(counts: Counts) -> dict[str, Any]:
    """Compare the received digits with the training data of the serving model."""
    try:
        card = services().classifier.card
    except ModelUnavailableError:
        card = {}
    source, reference = drift.find_reference(card)
    histograms = counts.get("histograms", {})
    measures = {
        name: drift.compare(name, histograms.get(name, [0] * len(expected)), expected)
        for name, expected in reference.items()
    }
    return {"reference": source, "measures": measures}


def _read_period(query: dict[str, str]) -> tuple[date, date]:
    """The first day, and the day after the last; by default the last 30 days including today.

    Raises:
        InvalidRequestError: no such day, no day, or too many days; the text names the field.
    """
    until = _read_day("until", query) or datetime.now(UTC).date() + timedelta(days=1)
    since = _read_day("since", query)
    if since is None:
        since = date.fromordinal(max(1, until.toordinal() - USUAL_DAYS))
    if since >= until:
        raise InvalidRequestError(
            f"The query's 'until' is {until}, and its 'since' is {since}; 'until' must be later: "
            f"it is the day after the last."
        )
    if (until - since).days > MOST_DAYS:
        raise InvalidRequestError(
            f"From 'since', {since}, to 'until', {until}, are {(until - since).days:,} days; ask "
            f"for at most {MOST_DAYS}."
        )
    return since, until


def _read_day(name: str, query: dict[str, str]) -> date | None:
    try:
        return date.fromisoformat(query[name]) if name in query else None
    except ValueError:
        raise InvalidRequestError(
            f"The query's {name!r} is {query[name]!r}; there is no such day."
        ) from None
