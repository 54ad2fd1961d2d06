"""Fixtures, and the rule for parts that a machine may lack: a user's run skips with the reason, CI
fails.
"""

import importlib.util
import itertools
import logging
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flaskapi import create_app

os.environ.setdefault("FLASKAPI_STORE", "off")  # a test that is about the store says so
os.environ.setdefault("FLASKAPI_HOUSEKEEPING", "off")  # so does one that is about that
# In each test's own instance folder, whatever was promoted in this checkout.
os.environ.setdefault("FLASKAPI_VERSIONS_PATH", "versions")
sys.path.insert(0, str(Path(__file__).parent))  # for `fakes`

from databases import Postgres, why_no_postgres
from disks import why_no_disk
from fakes import FixedClassifier, FixedDetector
from operators import make_app, store_of
from servers import why_no_apache
from trainings import _few_pictures, dataset, legacy, pytest_pycollect_makemodule, tiny_model

__all__ = ["_few_pictures", "dataset", "legacy", "pytest_pycollect_makemodule", "tiny_model"]


# What has one of these marks starts processes, too.
PROCESSES = {"apache", "browser", "mount", "postgres", "redis"}
_CHILDREN = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(map(item.get_closest_marker, PROCESSES)):
            item.add_marker("process")
        if item.get_closest_marker("train") and importlib.util.find_spec("keras") is None:
            lacking(item, "Keras is not installed: pip install '.[train]'")
        if item.get_closest_marker("redis") and shutil.which("redis-server") is None:
            lacking(item, "Redis is not installed: apt install redis-server")
        if item.get_closest_marker("mount") and (reason := why_no_disk()):
            # In CI as well: it need not run as root.
            item.add_marker(pytest.mark.skip(reason=reason))
        if item.get_closest_marker("postgres") and (reason := why_no_postgres()):
            lacking(item, reason)
    long_files_first(items)


def long_files_first(items: list[pytest.Item]) -> None:
    """So that no process of several is left with one alone at the end."""
    costs: dict[Path, int] = {}
    for item in items:
        cost = 2 if item.get_closest_marker("train") else bool(item.get_closest_marker("process"))
        costs[item.path] = max(cost, costs.get(item.path, 0))
    items.sort(key=lambda item: -costs[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_CHILDREN] = pages_of_children()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The rule that what starts a process, and waits for it, bears the mark `process`."""
    yield
    if not any(map(item.get_closest_marker, ("process", "train"))):
        assert item.stash[_CHILDREN] == pages_of_children(), (
            f"{item.nodeid} started a process; mark it with pytest.mark.process"
        )


def pages_of_children() -> int:
    """How many pages of memory the processes asked for that were started here, and have ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


def lacking(item: pytest.Item, reason: str) -> None:
    """Skip for a user; in CI leave the test in place, so that it fails."""
    if not os.environ.get("CI"):
        item.add_marker(pytest.mark.skip(reason=reason))


_INSTANCES = itertools.count()


@pytest.fixture(autouse=True)
def _no_instance_of_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A command that root runs becomes the owner of the instance folder, for good.

    Of the checkout's own that may be Apache's user, and the tests after it could write nowhere.
    """
    folder = tmp_path_factory.getbasetemp() / f"instance-{next(_INSTANCES)}"
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(folder))


# Of what happens when a store does not answer in time.
_IMPATIENT = {
    "test_crash",
    "test_outages",
    "test_gate",
    "test_gauges",
    "test_writer",
    "test_outside",
}


@pytest.fixture(autouse=True)
def _patience_with_the_store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where tests run beside each other, a store may take longer than a request waits for it."""
    if request.module.__name__.rpartition(".")[2] not in _IMPATIENT:
        monkeypatch.setattr("flaskapi.submissions.writer.WAIT_S", 10.0)


@pytest.fixture(autouse=True)
def _no_level_of_another_test() -> Iterator[None]:
    """All applications of a process share a logger, and each sets its level.

    A command's lets errors alone through, and a later test waited in vain for a warning.
    """
    logger = logging.getLogger("flaskapi")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def classifier() -> FixedClassifier:
    return FixedClassifier()


@pytest.fixture
def app(tmp_path: Path, classifier: FixedClassifier) -> Flask:
    """The application with a classifier and a detector that always answer 7, surely enough, and an
    instance folder of its own.
    """
    return create_app(
        {"INSTANCE_PATH": tmp_path, "UNCERTAIN_BELOW": 0.5},
        classifier=classifier,
        detector=FixedDetector(),
    )


@pytest.fixture(scope="session")
def apache_available() -> None:
    reason = why_no_apache()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests; one that stops it starts it again."""
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-postgres-"))
    server = Postgres(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, which has its tables where a test asks for a `store`."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/submissions.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.make_database(with_tables="store" in request.fixturenames)


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Flask]:
    """The same application, which keeps what is sent, in SQLite."""
    app = make_app(tmp_path)
    yield app
    store_of(app).close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
