"""The service with a store, and those who look at what is in it."""

import functools
import re
import tempfile
from pathlib import Path
from typing import Any

from fakes import FixedClassifier, FixedDetector
from flask import Flask

from flaskapi import create_app
from flaskapi.submissions import Store
from flaskapi.submissions.database import Database
from flaskapi.submissions.keys import make_key

SOME_ID = "01a20550-970d-7108-901e-df08ce33c220"


@functools.cache
def _empty_store() -> bytes:
    """A file of SQLite with all tables and nothing in them."""
    with tempfile.TemporaryDirectory() as folder:
        store = Database(f"sqlite:///{folder}/submissions.db", "process")
        store.check()
        store.close()
        return (Path(folder) / "submissions.db").read_bytes()


def place_empty_store(folder: Path) -> None:
    """Put a store there unless there is one: a copy, for making the tables anew takes ten times as
    long. How they are made, `submissions/test_migrate.py` tests.
    """
    path = folder / "submissions.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(_empty_store())


def make_app(tmp_path: Path, **settings: Any) -> Flask:
    """The application with a classifier and a detector that always answer 7, and a store in SQLite
    unless the settings say otherwise.
    """
    config = {"INSTANCE_PATH": tmp_path, "STORE": "on", "UNCERTAIN_BELOW": 0.5}
    if not settings.get("DATABASE_URL"):
        place_empty_store(tmp_path)
    return create_app(config | settings, classifier=FixedClassifier(), detector=FixedDetector())


def store_of(app: Flask) -> Store:
    store: Store = app.extensions["flaskapi"].store
    return store


def bearing(token: str) -> dict[str, str]:
    """The headers of who has a key."""
    return {"Authorization": f"Bearer {token}"}


def operator(app: Flask, name: str = "ada") -> dict[str, str]:
    """Make a key; the headers of who has it."""
    return bearing(make_key(store_of(app), name))


def in_full(rule: str) -> str:
    """An address as a route's rule has it, of something that is not there."""
    return re.sub(r"<(?!uuid)[\w:]+>", "x", rule.replace("<uuid:id>", SOME_ID))
