"""Each test of the store is run on SQLite and on a PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from operators import place_empty_store

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
