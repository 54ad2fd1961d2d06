"""Each test of the store is run on SQLite and on a PostgreSQL server."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from operators import place_empty_store
from outsides import gs_server, s3_server

from flaskapi.submissions.database import Database
from flaskapi.submissions.engine import make_engine


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Database]:
    if url == f"sqlite:///{tmp_path}/submissions.db":
        place_empty_store(tmp_path)
    store = Database(url, "process")
    yield store
    store.close()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """Another way into the same database."""
    engine = make_engine(url, "process")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def gs() -> Iterator[str]:
    with gs_server() as address:
        yield address


_PLACES = itertools.count()


@pytest.fixture(
    params=[
        "folder",
        pytest.param("s3", marks=pytest.mark.process),
        pytest.param("gs", marks=pytest.mark.process),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a place with nothing in it."""
    if request.param == "folder":
        return str(tmp_path / "pictures")
    return f"{request.getfixturevalue(request.param)}/{next(_PLACES)}"
