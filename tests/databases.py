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
from pathlib import Path

import psycopg


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

    def __init__(self, folder: Path) -> None:
        self._data, self._log, self.port = folder / "data", folder / "log", _free_port()
        self._as = {"user": "postgres"} if os.getuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None
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
        self.start()

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        places = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._data}"]
        command = [find_program("postgres"), "-D", self._data, "-p", str(self.port), *places]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._as)
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def stop(self, by: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT ends it as a crash does, without writing anything more."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(by)
        self._process.wait(30)

    def processes(self) -> list[int]:
        """The server and its children, one for each connection and some of its own."""
        assert self._process
        number = self._process.pid
        return [
            number,
            *map(int, Path(f"/proc/{number}/task/{number}/children").read_text().split()),
        ]

    def make_database(self) -> str:
        """Make an empty database, and give its address."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return self.url(name)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
