"""One Apache for the tests that only ask; those that change something start their own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Server, apache


@pytest.fixture(scope="session")
def folder(apache_available: None) -> Iterator[Path]:
    """A folder for servers that Apache's user can reach, which pytest's own is not for root."""
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    """One Apache, as deployed, for all tests that do not change it."""
    with apache(folder / "shared") as running:
        yield running


@pytest.fixture(autouse=True)
def _no_instance_of_the_checkout() -> None:
    """What is deployed may use it: each command here runs in a process of its own."""
