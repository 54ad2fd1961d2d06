"""What `/metrics` says of the present: which version serves where, what is kept, how well the
labelled answers agree, and whether somebody retrains.

The database is asked at most once a minute, beside the request: a scrape waits a second for it.
"""

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from flaskapi import drift
from flaskapi.errors import ModelUnavailableError, StoreUnavailableError
from flaskapi.submissions.counts import describe, total
from flaskapi.web.services import Services, services

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

EVERY_S, WAIT_S = 60.0, 1.0
DAYS = 7  # with today, over which answers are counted
Values = dict[tuple[str, ...], float]


class Gauges:
    """The values of one process, which any of them can tell for all."""

    def __init__(self, *, every_s: float = EVERY_S, wait_s: float = WAIT_S) -> None:
        self._every_s, self._wait_s = every_s, wait_s
        self._lock = threading.Lock()
        self._kept: list[GaugeMetricFamily] = []
        self._asked_s = -every_s
        self._asking: threading.Thread | None = None

    def render(self, app: Flask) -> bytes:
        """All values in Prometheus's text form."""
        from prometheus_client import CollectorRegistry, generate_latest

        found = [*_of_models(services()), *_of_disk(app.instance_path)]
        if app.config["STORE"] != "off":
            found += self._of_store(app)

        class Found:
            def collect(self) -> Iterator["GaugeMetricFamily"]:
                yield from found

        registry = CollectorRegistry()
        registry.register(Found())
        text: bytes = generate_latest(registry)
        return text

    def _of_store(self, app: Flask) -> list["GaugeMetricFamily"]:
        """What the database said last; asked again where that is old."""
        with self._lock:
            is_old = time.monotonic() - self._asked_s >= self._every_s
            if is_old and (self._asking is None or not self._asking.is_alive()):
                self._asked_s = time.monotonic()
                self._asking = threading.Thread(
                    target=self._ask, args=(app,), name="gauges", daemon=True
                )
                self._asking.start()
            asking = self._asking
        if asking is not None:
            asking.join(self._wait_s)
            if asking.is_alive():
                return [_gauge("flaskapi_store_up", _UP, {(): 0.0})]
        return self._kept

    def _ask(self, app: Flask) -> None:
        with app.app_context():
            try:
                found = [*_of_kept(services()), _gauge("flaskapi_store_up", _UP, {(): 1.0})]
            except Exception as error:
                if not isinstance(error, StoreUnavailableError):
                    app.logger.error("metrics: a fault", exc_info=error)
                found = [_gauge("flaskapi_store_up", _UP, {(): 0.0})]
                self._asked_s = -self._every_s  # it may be back at the next scrape
            self._kept = found


_UP = "1: the database could be read; 0: it could not, or not within a second."


def _gauge(
    name: str, help: str, values: Values, labels: tuple[str, ...] = ()
) -> "GaugeMetricFamily":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, help, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def _of_models(found: Services) -> Iterator["GaugeMetricFamily"]:
    serving: Values = {}
    processes = found.models.processes()
    for one in processes:
        of = (str(one["version"]), str(one["generation"]))
        serving[of] = serving.get(of, 0.0) + 1
    labels = ("version", "generation")
    yield _gauge("flaskapi_model_processes", "Processes that serve a version.", serving, labels)
    refused = float(sum("refused" in one for one in processes))
    help = "Processes in which what was promoted does not serve."
    yield _gauge("flaskapi_model_refused_processes", help, {(): refused})


def _of_disk(folder: str) -> Iterator["GaugeMetricFamily"]:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return
    sizes = {"free": disk.f_bavail, "size": disk.f_blocks}
    for name, blocks in sizes.items():
        help = f"The disk of the instance folder: bytes, {name}."
        yield _gauge(f"flaskapi_disk_{name}_bytes", help, {(): float(blocks * disk.f_frsize)})


def _of_kept(found: Services) -> Iterator["GaugeMetricFamily"]:
    """What only the database knows.

    Raises:
        StoreUnavailableError: it cannot be read.
    """
    # Not at the top: who keeps nothing has no need of a database's libraries.
    from flaskapi.submissions import batches, retrainings
    from flaskapi.submissions.statistics import count_days
    from flaskapi.submissions.usage import measure

    usage = measure(found.store, current_app.config["KEEP_FREE_BYTES"])
    yield _gauge("flaskapi_kept_submissions", "Submissions kept.", {(): usage.submissions})
    yield _gauge("flaskapi_kept_bytes", "Bytes of the database in use.", {(): usage.used_bytes})
    if usage.disk:
        help = "Bytes that are to stay free: with less, nothing more is kept."
        yield _gauge("flaskapi_disk_reserve_bytes", help, {(): usage.disk.reserve})

    now = datetime.now(UTC)
    until = now.date() + timedelta(days=1)
    days = count_days(found.store, until - timedelta(days=DAYS), until)
    models = {
        model: total(counts[model] for counts in days.values() if model in counts)
        for model in {model for counts in days.values() for model in counts}
    }
    yield from _of_labelled({model: describe(counts) for model, counts in models.items()})
    yield _of_drift(found, total(models.values()))

    work = retrainings.look(found.store, now)
    help = "Retrainings that nobody has taken yet."
    yield _gauge("flaskapi_retrainings_waiting", help, {(): work.waiting})
    if work.worker_is_alive is not None:
        help = "1: a worker of retrainings was heard of in the last three minutes."
        up = float(work.worker_is_alive)
        yield _gauge("flaskapi_retraining_worker_up", help, {(): up})
    work = batches.look(found.store, now)
    help = "Asynchronous batches that nobody has taken yet."
    yield _gauge("flaskapi_batches_waiting", help, {(): work.waiting})
    if work.worker_is_alive is not None:
        help = "1: a worker of batches was heard of in the last minute."
        yield _gauge("flaskapi_batch_worker_up", help, {(): float(work.worker_is_alive)})


def _of_labelled(models: dict[str, dict[str, Any]]) -> Iterator["GaugeMetricFamily"]:
    labelled = {model: one["labelled"] for model, one in models.items() if one["labelled"]}
    last = f"of the last {DAYS} days"
    many: Values = {(model,): float(one["digits"]) for model, one in labelled.items()}
    yield _gauge("flaskapi_labelled_answers", f"Labelled answers {last}.", many, ("model",))
    right: Values = {(model,): float(one["right"]) for model, one in labelled.items()}
    help = f"Labelled answers {last} that are right."
    yield _gauge("flaskapi_labelled_right_answers", help, right, ("model",))


def _of_drift(found: Services, counts: dict[str, Any]) -> "GaugeMetricFamily":
    try:
        card = found.classifier.card
    except ModelUnavailableError:
        card = {}
    _, reference = drift.find_reference(card)
    histograms = counts.get("histograms", {})
    indexes: Values = {}
    for name, expected in reference.items():
        compared = drift.compare(name, histograms.get(name, [0] * len(expected)), expected)
        if compared["index"] is not None:
            indexes[(name,)] = compared["index"]
    help = f"How far what was sent in {DAYS} days is from what the network learned from."
    return _gauge("flaskapi_drift_index", help, indexes, ("measure",))
