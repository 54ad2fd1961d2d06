"""A PostgreSQL server of the tests' own, which they may stop and kill, and the databases that a
test is run on.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import psycopg
from waiting import is_gone, until

from flaskapi.submissions.database import Database

# To start, also after a crash, and on a machine that has much else to do.
START_S = 180


def find_program(name: str) -> str | None:
    """Debian keeps PostgreSQL's programs off the path, one folder for each version."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"]]))


def why_no_postgres() -> str | None:
    if find_program("initdb") is None or find_program("postgres") is None:
        return "PostgreSQL is not installed: apt install postgresql"
    return None


class Postgres:
    """A server on a loopback port, its data in a folder. It does not run as root, for which it
    takes the user `postgres`.
    """

    def __init__(self, folder: Path, addresses: Sequence[str] = ()) -> None:
        """`addresses`: where it listens beside 127.0.0.1; who asks there needs no password."""
        self._data, self._log, self.port = folder / "data", folder / "log", _free_port()
        self._as = {"user": "postgres"} if os.getuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None
        self._with_tables = ""  # the name of a database that has them
        if self._as:
            shutil.chown(folder, "postgres")
        initdb = [
            find_program("initdb"),
            "-D",
            self._data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", **self._as)
        self._addresses = ["127.0.0.1", *addresses]
        with (self._data / "pg_hba.conf").open("a") as file:
            file.writelines(f"host all all {one}/30 trust\n" for one in addresses)
        self.start()

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it, and wait until it answers.

        It may end again while processes of one that was killed hold its memory: then it is tried
        once more. It does not wait for the disk, which only a crash of the machine could tell.
        """
        settings = {
            "listen_addresses": ",".join(self._addresses),
            "unix_socket_directories": self._data,
            "fsync": "off",
        }
        command = [
            *(find_program("postgres"), "-D", self._data, "-p", str(self.port)),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd="/", **self._as
                )
            if self.wait_until_it_answers(deadline_s - time.monotonic()):
                return
        raise AssertionError(self._log.read_text())

    def wait_until_it_answers(self, within_s: float = START_S) -> bool:
        """Wait until it is ready; false where it ended instead."""
        until(self._answers_or_ended, within_s, every_s=0.05, why=self._log.read_text)
        return self._process is not None and self._process.poll() is None

    def _answers_or_ended(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return True
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=10).close()
            return True
        return False

    def stop(self, by: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT ends it as a crash does, without writing anything more."""
        assert self._process
        children = self.processes()[1:]
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(by)
        self._process.wait(START_S)
        until(lambda: all(map(is_gone, children)), START_S)

    def kill(self) -> None:
        """Kill it and all its children at once."""
        assert self._process
        processes = self.processes()
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(START_S)
        until(lambda: all(map(is_gone, processes)), START_S)

    def processes(self) -> list[int]:
        """The server and its children, one for each connection and some of its own."""
        assert self._process
        number = self._process.pid
        try:
            children = Path(f"/proc/{number}/task/{number}/children").read_text()
        except OSError:  # it has ended
            children = ""
        return [number, *map(int, children.split())]

    def make_database(self, *, with_tables: bool = False) -> str:
        """Make a database, and give its address. It is empty, or has all tables and nothing in
        them: then it is a copy, for making them anew takes longer.
        """
        name, original = f"test_{uuid.uuid4().hex}", "template1"
        if with_tables:
            original = self._with_tables = self._with_tables or self._make_tables()
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {original}")  # type: ignore[call-overload]
        return self.url(name)

    def _make_tables(self) -> str:
        url = self.make_database()
        store = Database(url, "process")
        store.check()
        store.close()
        return url.rpartition("/")[2]

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever still uses it: after a crash, each costs time to recover."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            name = url.rpartition("/")[2]
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
