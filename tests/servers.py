"""A real Apache on a loopback port, with the very files of `deploy/`, its paths put in place of
theirs.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from waiting import command_line

ROOT = Path(__file__).parents[1]
BIN = Path(sys.prefix) / "bin"
MODULES = "mpm_event authz_core authz_host alias env headers reqtimeout setenvif unique_id"
START_TIMEOUT_S = 90


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server(NamedTuple):
    """A running server: where it listens, its process, and the folder of its logs and instance."""

    port: int
    process: "subprocess.Popen[bytes]"
    folder: Path
    address: str = "127.0.0.1"

    def ask(self, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://{self.address}:{self.port}{path}", body, names)  # type: ignore[arg-type]
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def log(self, name: str) -> str:
        return "".join(path.read_text() for path in (self.folder / "logs").glob(f"{name}.log*"))

    def daemons(self) -> list[int]:
        """The process ids of mod_wsgi's daemons."""
        children = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )
        return [int(child) for child in children if b"(wsgi:" in command_line(child)]


class Place(NamedTuple):
    """Where a server listens, and what starts it there, such as `ip netns exec NAME`."""

    port: int
    address: str = "127.0.0.1"
    inside: Sequence[str] = ()


def why_no_apache() -> str | None:
    if shutil.which("apxs", path=_path()) is None:
        return (
            "Apache's headers are not installed: apt install apache2-bin apache2-dev apache2-utils"
        )
    if not (BIN / "mod_wsgi-express").exists():
        return "mod_wsgi is not installed: pip install --no-cache-dir -r deploy/requirements.txt"
    if (
        os.getuid() == 0
        and subprocess.run(
            [sys.executable, "-c", "import flaskapi"], cwd="/", user="www-data", check=False
        ).returncode
    ):
        return (
            "Apache's user, www-data, cannot read this checkout or this Python; "
            "see deploy/README.md"
        )
    return None


def _path() -> str:
    return os.environ["PATH"] + ":/usr/sbin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_answers(server: Server) -> Server:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError):
            server.ask("/health/live")
            return server
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(0.05)
    raise AssertionError(f"no answer from port {server.port}; its log:\n{server.log('*')}")


def stop(process: "subprocess.Popen[bytes]", by: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(by)
    try:
        return process.wait(30)
    finally:
        process.kill()


def httpd() -> str:
    """Apache's program."""
    return next(
        found for name in ("apache2", "httpd") if (found := shutil.which(name, path=_path()))
    )


def module_config() -> str:
    """The lines by which Apache loads mod_wsgi."""
    return subprocess.run(
        [BIN / "mod_wsgi-express", "module-config"], capture_output=True, text=True, check=True
    ).stdout


@contextlib.contextmanager
def apache(
    folder: Path,
    script: Path = ROOT / "deploy" / "flaskapi.wsgi",
    defined: Sequence[str] = (),
    *,
    place: Place | None = None,
    processes: int = 2,
    **settings: str,
) -> Iterator[Server]:
    """Apache with the configuration in `deploy/`, and with names that it is to have defined;
    settings reach the application through `config.toml`. There are so many processes for single
    images, and one for many.

    The benchmarks serve another WSGI script in the same way.
    """
    place = place or Place(port=free_port())
    (folder / "instance").mkdir(parents=True, exist_ok=True)
    (folder / "instance" / "config.toml").write_text(
        "".join(f"{name} = {value}\n" for name, value in settings.items())
    )
    if os.getuid() == 0:
        shutil.chown(folder / "instance", "www-data", "www-data")
    shared, site = (
        (ROOT / "deploy" / name).read_text() for name in ("flaskapi-server.conf", "flaskapi.conf")
    )
    site = site.replace("${FLASKAPI_HOME}/deploy/flaskapi.wsgi", str(script)).replace(
        "${FLASKAPI_HOME}/deploy>", f"{script.parent}>"
    )
    site = site.replace("Files flaskapi.wsgi", f"Files {script.name}")
    shared = shared.replace("processes=2", f"processes={processes}")
    shared = define(shared, folder, NAME="127.0.0.1", HOME=str(ROOT), VENV=sys.prefix)
    (folder / "flaskapi-server.conf").write_text(shared)
    (folder / "flaskapi.conf").write_text(site.replace("*:80", f"{place.address}:{place.port}"))
    lines = [
        module_config(),
        f"WSGISocketPrefix {folder}/wsgi",
        *(f"Define {name}" for name in defined),
        f"Include {folder}/flaskapi-server.conf",
        f"Include {folder}/flaskapi.conf",
    ]
    with start(folder, place, MODULES, lines) as server:
        yield server


def define(text: str, folder: Path, **values: str) -> str:
    """Put values in place of those that a file of `deploy/` defines; logs go into the folder."""
    for name, value in (values | {"LOGS": str(folder / "logs")}).items():
        text, count = re.subn(
            f"^Define FLASKAPI_{name} .*$", f'Define FLASKAPI_{name} "{value}"', text, flags=re.M
        )
        assert count == 1
    return text


@contextlib.contextmanager
def start(folder: Path, place: Place, modules: str, lines: Sequence[str]) -> Iterator[Server]:
    """Start Apache with these modules and lines, until it answers."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    libraries = subprocess.run(
        ["apxs", "-q", "LIBEXECDIR"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": _path()},
    ).stdout.strip()
    lines = [
        f"ServerRoot {folder}",
        f"PidFile {folder}/pid",
        f"Listen {place.address}:{place.port}",
        "ServerName 127.0.0.1",
        f"ErrorLog {folder}/logs/server.log",
        *(f"LoadModule {name}_module {libraries}/mod_{name}.so" for name in modules.split()),
        *(["User www-data", "Group www-data"] if os.getuid() == 0 else []),
        *lines,
    ]
    (folder / "httpd.conf").write_text("\n".join(lines) + "\n")
    environment = os.environ | {"FLASKAPI_INSTANCE_PATH": str(folder / "instance")}
    # The tests' own, for those that are not about the store.
    environment.pop("FLASKAPI_STORE", None)
    process = subprocess.Popen(
        [*place.inside, httpd(), "-f", str(folder / "httpd.conf"), "-DFOREGROUND"], env=environment
    )
    try:
        yield wait_until_it_answers(Server(place.port, process, folder, place.address))
    finally:
        stop(process)


@contextlib.contextmanager
def slow_senders(server: Server, count: int, path: str, head: str | None = None) -> Iterator[None]:
    """So many clients that begin to send a picture, and then send no more.

    Args:
        server: to which they send.
        count: how many there are.
        path: of their requests.
        head: what they send in place of all headers.
    """
    kind = "image/png" if path == "/predict" else "application/zip"
    head = head or (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        "Content-Length: 5000000\r\n\r\n"
    )
    clients = list[socket.socket]()
    try:
        for _ in range(count):
            clients.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            clients[-1].sendall(head.encode())
        yield
    finally:
        for client in clients:
            client.close()
