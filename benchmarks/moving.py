"""A million submissions move from SQLite to PostgreSQL and back while more are kept: how long it
takes, in how much memory, and whether all arrive.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from benchmarks.rows import ROWS, _fill_sqlite
from flaskapi.submissions.database import Database
from flaskapi.submissions.tables import submissions
from flaskapi.versions.processes import find_start
from tests.databases import Postgres, why_no_postgres
from tests.fakes import make_submission

PAUSE_S = 0.02  # between two submissions that are kept meanwhile
LATE_S = 3.0  # that an old process keeps to the old database after the switch


def main(count: int = ROWS) -> None:
    """Make the rows, move them there and back, and print what it took."""
    if missing := why_no_postgres():
        sys.exit(f"error: {missing}")
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-bench-"))
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    (folder / "instance").mkdir()
    postgres = Postgres(folder / "postgres")
    try:
        here, there = f"sqlite:///{folder}/instance/submissions.db", postgres.make_database()
        _fill_sqlite(here, count, datetime.now(UTC))
        _move("SQLite to PostgreSQL", here, there, folder / "instance")
        _move("PostgreSQL to SQLite", there, here, folder / "instance")
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def _move(title: str, source: str, target: str, instance: Path) -> None:
    over, kept = threading.Event(), list[UUID]()
    keeping = threading.Thread(target=_keep, args=(source, over, kept))
    keeping.start()
    old = subprocess.Popen(["sleep", "86400"])  # stands for the process that keeps
    note = instance / "processes" / "1" / f"{old.pid}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"pid": old.pid, "started": find_start(old.pid)}))
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "flaskapi", "store", "move", target, "--overwrite"]
    settings = {"FLASKAPI_INSTANCE_PATH": str(instance), "FLASKAPI_STORE": "on"}
    moving = subprocess.Popen(command, env=os.environ | settings)
    # Old processes go on for some seconds after the switch.
    while moving.poll() is None and not _names(instance, target):
        time.sleep(PAUSE_S)
    time.sleep(LATE_S)
    over.set()
    keeping.join()
    old.kill()
    old.wait()
    took_s = (moving.wait(), time.monotonic() - began_s)[1]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with closing(Database(target, "process")) as store:
        many = sa.select(sa.func.count()).select_from(submissions)
        rows = store.run(lambda connection: connection.execute(many).scalar_one(), reads=True)
        there = _find(store, kept)
    cpu_s = after.ru_utime - before.ru_utime
    print(
        f"{title}: {rows:,} submissions in {took_s:.0f} s, {cpu_s:.0f} s of CPU, "
        f"{after.ru_maxrss / 1024:.0f} MB at most; status {moving.returncode}; "
        f"of {len(kept):,} kept meanwhile {len(kept) - there:,} are missing",
        flush=True,
    )


def _names(instance: Path, target: str) -> bool:
    path = instance / "config.toml"
    return path.exists() and target in path.read_text("utf-8")


def _keep(source: str, over: threading.Event, kept: list[UUID]) -> None:
    with closing(Database(source, "process", patience_s=60)) as store:
        while not over.wait(PAUSE_S):
            sent = make_submission(image=os.urandom(300))
            store.record([sent])
            kept.append(sent.id)


def _find(store: Database, ids: list[UUID]) -> int:
    """How many of these are there."""
    found = 0
    for begin in range(0, len(ids), 1000):
        some = submissions.c.id.in_(ids[begin : begin + 1000])
        query = sa.select(sa.func.count()).select_from(submissions).where(some)
        found += store.run(lambda c, query=query: c.execute(query).scalar_one(), reads=True)
    return found
