"""A store in a file, which a process beside the test can open too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from operators import place_empty_store

from flaskapi.submissions.database import Database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    place_empty_store(tmp_path)
    store = Database(f"sqlite:///{tmp_path}/submissions.db", "process")
    yield store
    store.close()
