"""What a server of its own stands: a full disk, a database that stops, promotions and rolls."""

import contextlib
import http.client
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.clients import Clients, count_lost, wait_for_receipt
from benchmarks.stress import times
from flaskapi.versions.registry import Registry
from tests.databases import Postgres, why_no_postgres
from tests.disks import mounted, why_no_disk
from tests.model_files import MODELS, make_artifact
from tests.servers import ROOT, Server, apache

PROMOTIONS, ROLLS = 50, 5


def full_disk(kind: str) -> Callable[[Path], str]:
    def run(folder: Path) -> str:
        """Fill the disk under load, kill every process, and ask the new ones."""
        if reason := why_no_disk(kind):
            return f"not measured: {reason}"
        with mounted(16, kind) as disk:
            (folder / kind).mkdir()
            (folder / kind / "instance").symlink_to(disk.path)
            with apache(folder / kind, KEEP_FREE_BYTES="0") as server:
                with Clients(server, 4) as filling:
                    time.sleep(2)
                    disk.fill()
                    time.sleep(3)
                for daemon in server.daemons():
                    os.kill(daemon, signal.SIGKILL)
                time.sleep(1)
                _wait_until_ready(server)
                started = server.daemons()
                with Clients(server, 4) as clients:
                    time.sleep(5)
                died = len(set(started) - set(server.daemons()))
                disk.free()
                back_s = wait_for_receipt(server)
                lost = count_lost([*filling.asked, *clients.asked], server)
        return (
            f"{died} new processes died; {filling.failed()} as it filled, {clients.failed()} "
            f"after, {clients.unkept()} of them without a receipt; {lost}; "
            f"kept again {back_s:.1f} s after there was room"
        )

    return run


def _wait_until_ready(server: Server) -> None:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("/health/ready").status == 200:
                return
        time.sleep(0.2)


def replaced(folder: Path) -> str:
    """Put a copy in the place of SQLite's file under load, as a restore by hand would."""
    with apache(folder / "replaced") as server:
        file = server.folder / "instance" / "submissions.db"
        with Clients(server, 4) as clients:
            time.sleep(2)
            copy = file.with_name("copy.db")
            with (
                contextlib.closing(sqlite3.connect(file)) as ours,
                contextlib.closing(sqlite3.connect(copy)) as theirs,
            ):
                ours.backup(theirs)
            stat = file.stat()
            os.chown(copy, stat.st_uid, stat.st_gid)
            os.replace(copy, file)
            at_s = time.monotonic()
            ready_s = _wait_until_not_ready(server)
            time.sleep(5)
        after = [one for one in clients.asked if one.sent_s > at_s]
        lost = count_lost(after, server)
        unkept = sum(one.id is None for one in after if one.status == 200)
        environment = os.environ | {"FLASKAPI_INSTANCE_PATH": str(server.folder / "instance")}
        subprocess.run([ROOT / "deploy" / "roll"], env=environment, check=True, capture_output=True)
        back_s = wait_for_receipt(server)
    return (
        f"{clients.failed()}; not ready after {ready_s:.1f} s; of those sent after it {lost}, "
        f"{unkept} without one; after a roll kept again, {back_s:.1f} s"
    )


def _wait_until_not_ready(server: Server) -> float:
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 30 and server.ask("/health/ready").status == 200:
        time.sleep(0.05)
    return time.monotonic() - begun_s


def postgres(folder: Path) -> str:
    """Stop PostgreSQL as a crash does, for ten seconds, under load."""
    if reason := why_no_postgres():
        return f"not measured: {reason}"
    (folder / "postgres").mkdir()
    postgres = Postgres(folder / "postgres")
    try:
        url = postgres.make_database(with_tables=True)
        with apache(folder / "with-postgres", DATABASE_URL=f'"{url}"') as server:
            with Clients(server, 4) as clients:
                time.sleep(3)
                postgres.stop()
                time.sleep(10)
                postgres.start()
                back_s = wait_for_receipt(server)
                time.sleep(3)
            with psycopg.connect(url) as connection:
                kept = {str(row[0]) for row in connection.execute("SELECT id FROM submissions")}
    finally:
        with contextlib.suppress(Exception):  # a step that failed may have left it stopped
            postgres.stop()
    ids = [one.id for one in clients.asked if one.id]
    lost = sum(one not in kept for one in ids)
    longest_s = max(one.took_s for one in clients.asked)
    return (
        f"{clients.failed()}, {clients.unkept()} without a receipt, longest {longest_s:.1f} s; "
        f"{lost} of {len(ids)} receipts lost; kept again {back_s:.1f} s after it was back"
    )


def promotions(folder: Path) -> str:
    """Promotions and rolls while four clients ask."""
    with apache(folder / "promoted", VERSIONS_PATH='"versions"') as server:
        instance = server.folder / "instance"
        registry = Registry(instance / "versions", MODELS / "my_model.h5", instance / "cache")
        names = [registry.add(make_artifact(folder / f"{mark}", mark)).name for mark in range(2)]
        environment = os.environ | {"FLASKAPI_INSTANCE_PATH": str(instance)}
        rolled = 0
        with Clients(server, 4) as clients:
            for count in range(PROMOTIONS):
                registry.promote(names[count % 2], "benchmark")
                time.sleep(0.3)
            for _ in times(ROLLS):
                command = [str(ROOT / "deploy" / "roll")]
                done = subprocess.run(command, env=environment, capture_output=True, check=False)
                rolled += done.returncode == 0
        return f"{clients.failed()}; {rolled} rolls done"
