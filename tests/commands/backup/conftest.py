"""An instance with a store, whose database is of either kind."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from backups import POINTER, VERSION, address, use

from flaskapi.submissions.database import Database
from flaskapi.submissions.pictures import open_pictures


@pytest.fixture
def instance(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance folder with a key, a setting and a version; its database is of either kind."""
    folder = tmp_path / "instance"
    use(monkeypatch, folder)
    version = folder / "versions" / VERSION
    version.mkdir(parents=True)
    (version / "my_model.h5").write_bytes(b"a model")
    (version / "submissions.csv").write_text("id\n")
    (folder / "versions" / "serving.json").write_text(POINTER)
    (folder / "client.key").write_bytes(bytes(32))
    address = f"sqlite:///{folder}/submissions.db" if url.startswith("sqlite") else url
    (folder / "config.toml").write_text(f'LOG_LEVEL = "ERROR"\nDATABASE_URL = "{address}"\n')
    return folder


@pytest.fixture
def store(instance: Path) -> Iterator[Database]:
    with closing(Database(address(instance), "process")) as store:
        yield store


@pytest.fixture
def outside(instance: Path, store: Database) -> Path:
    """The folder of the images outside the database."""
    with (instance / "config.toml").open("a") as config:
        config.write('PICTURES = "pictures"\nPICTURES_ABOVE_BYTES = 100\n')
    store.pictures = open_pictures(str(instance / "pictures"), 100)
    return instance / "pictures"
