"""`GET /metrics`: what happens, for Prometheus, of all processes together where they share a
folder.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from flaskapi.reading.predictions import NumberPrediction, Prediction
from flaskapi.steps import STEPS, Spent, measure
from flaskapi.web.access import is_known_operator
from flaskapi.web.described import described
from flaskapi.web.gauges import Gauges
from flaskapi.web.metrics_files import KINDS, merge_ended, reading
from flaskapi.web.scopes import open_to_all

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# Of the values that one process shares: of each kind a file, and a fifth of this is what they take
# with every route and many statuses.
_FILE_BYTES = 1 << 18


def create_metrics(shared_path: Path | None) -> Metrics:
    """Make the metrics of one application.

    Args:
        shared_path: the folder through which several processes share their values, or None. Where
            it has no room, each process counts for itself, and says so.
    """
    if shared_path is not None:
        try:
            shared_path = _folder_of_this_server(shared_path)
            for kind in KINDS:
                _take_room(shared_path / f"{kind}_{os.getpid()}.db")
        except OSError as error:
            logging.getLogger("flaskapi").error(
                "metrics: /metrics tells of the one process that is asked, for nothing can be "
                "written to %s: %s",
                shared_path,
                error,
            )
            shared_path = None
    if shared_path is not None:
        # Read when prometheus_client is first imported, which is why no module here imports it at
        # its top.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared_path)
        with contextlib.suppress(OSError):  # a full disk: they stay as they are
            merge_ended(shared_path)
    return Metrics(shared_path)


def _take_room(file: Path) -> None:
    """Take the room of a file beforehand: prometheus_client writes to it through memory, and where
    the disk is full by then, the kernel ends the process.

    Raises:
        OSError: there is none.
    """
    with file.open("ab") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, _FILE_BYTES)
        except OSError:
            file.unlink()
            raise


def _folder_of_this_server(shared_path: Path) -> Path:
    """One folder for the processes of one server, named by the parent they share; those of dead
    servers are removed.
    """
    folder = shared_path / str(os.getppid())
    folder.mkdir(parents=True, exist_ok=True)
    for other in shared_path.iterdir():
        if other != folder and other.name.isdigit() and not Path("/proc", other.name).exists():
            shutil.rmtree(other, ignore_errors=True)
    return folder


class Metrics:
    """The counters and histograms of one application, in a registry of its own."""

    def __init__(self, shared_path: Path | None) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._shared_path = shared_path
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "flaskapi_requests", "Requests answered.", ["route", "status"], registry=self._registry
        )
        self.duration = Histogram(
            "flaskapi_request_duration_seconds",
            "Time in the application.",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self.queued = Histogram(
            "flaskapi_request_queue_seconds",
            "Time a request waited for Apache to hand it on.",
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self.numbers = Counter(
            "flaskapi_numbers", "Numbers answered.", ["uncertain"], registry=self._registry
        )
        self.submissions = Counter(
            "flaskapi_submissions",
            "Answers that were to be kept, and whether they are.",
            ["kept"],
            registry=self._registry,
        )
        self.received = Counter(
            "flaskapi_received_bytes",
            "Bytes of the bodies of requests, by what their headers say.",
            registry=self._registry,
        )
        self.refused = Counter(
            "flaskapi_refused_images",
            "Images of requests with many that could not be read.",
            registry=self._registry,
        )
        step = Histogram(
            "flaskapi_step_duration_seconds",
            "Time of each step of a request, of those that took it.",
            ["step"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        # Finding the series by their labels costs as much as counting.
        self._of_request = functools.cache(
            lambda route, status: (
                self.requests.labels(route, status).inc,
                self.duration.labels(route).observe,
            )
        )
        self._observe = {name: step.labels(name).observe for name in STEPS}
        self.predictions = Counter(
            "flaskapi_predictions",
            "Digits answered.",
            ["digit", "uncertain"],
            registry=self._registry,
        )

    def count_request(self, route: str, status: int, duration_s: float) -> None:
        """Count one request answered."""
        count, observe = self._of_request(route, status)
        count()
        observe(duration_s)

    def count_work(self, spent: Spent, received_bytes: int) -> None:
        """Count what one request brought, and how long each of its steps took."""
        if received_bytes:
            self.received.inc(received_bytes)
        for name, seconds in spent.seconds.items():
            self._observe[name](seconds)

    def count_refused(self) -> None:
        """Count one image of many that could not be read."""
        self.refused.inc()

    def count_prediction(self, prediction: Prediction) -> None:
        """Count one answer."""
        g.model = prediction.model
        self.predictions.labels(prediction.digit, str(prediction.uncertain).lower()).inc()

    def count_number(self, prediction: NumberPrediction) -> None:
        """Count one number answered."""
        g.model = prediction.model
        self.numbers.labels(str(prediction.uncertain).lower()).inc()

    def count_submissions(self, count: int, *, kept: bool) -> None:
        """Count answers that were kept, or could not be."""
        self.submissions.labels(str(kept).lower()).inc(count)

    def render(self) -> bytes:
        """All values in Prometheus's text form."""
        from prometheus_client import generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry: CollectorRegistry = self._registry
        if self._shared_path is not None:
            registry = type(registry)()
            MultiProcessCollector(registry, str(self._shared_path))  # type: ignore[no-untyped-call]
            with reading(self._shared_path):
                return bytes(generate_latest(registry))
        return bytes(generate_latest(registry))


def init_app(app: Flask) -> None:
    metrics: Metrics = app.extensions["flaskapi"].metrics
    gauges = Gauges()

    @app.before_request
    def start() -> None:
        g.started_s = time.perf_counter()
        g.spent = measure()
        # Since 1970, in seconds; mod_wsgi 4 says microseconds.
        arrived = float(request.environ.get("mod_wsgi.queue_start", 0))
        if arrived:
            metrics.queued.observe(
                max(0.0, time.time() - (arrived if arrived < 1e11 else arrived / 1e6))
            )

    @app.after_request
    def observe(response: Response) -> Response:
        route, started_s = request.url_rule.rule if request.url_rule else "none", g.started_s
        spent, received = g.spent, request.content_length or 0

        def count() -> None:
            metrics.count_request(route, response.status_code, time.perf_counter() - started_s)
            metrics.count_work(spent, received)

        if response.is_streamed:  # the work is done while the answer is sent
            response.call_on_close(count)
        else:
            count()
        return response

    @app.get("/metrics")
    @described({"text/plain": {"type": "string"}}, query=None)
    @open_to_all
    def scrape() -> Response:
        """Metrics for Prometheus; under Apache only from the machine itself."""
        text = metrics.render()
        if _is_from_here() or is_known_operator():
            text += gauges.render(app)
        return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _is_from_here() -> bool:
    """Does this machine ask? Others see counts alone, unless they have an operator's key."""
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
