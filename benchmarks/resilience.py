"""What the service stands: slow clients, killed and stopped processes, reloads, promotions,
overload, a full disk, a database that stops or is replaced. Under Apache, bounded, in under ten
minutes.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from flaskapi.versions.registry import Registry
from tests.archives import make_zip
from tests.databases import Postgres, why_no_postgres
from tests.disks import mounted, why_no_disk
from tests.fakes import draw_digit, encode
from tests.model_files import MODELS, make_artifact
from tests.servers import ROOT, Server, apache, why_no_apache

SLOW, SLOW_S = 200, 20
HONEST, HONEST_PAUSE_S = 3, 0.1
STEP_S = 60
DAEMONS, LOADED_THREADS = 3, 40
PROMOTIONS, ROLLS, KILLS, GRACEFULS, MIXED_S = 50, 5, 20, 20, 60
SEVEN = encode(draw_digit(7, side=28))
PAGE = encode(draw_digit(8, side=1200))


class Asked(NamedTuple):
    """One request: its status, or the name of what went wrong, when it was sent and how long it
    took, in seconds, and the receipt.
    """

    status: int | str
    sent_s: float
    took_s: float
    id: str | None = None


class Clients:
    """Honest clients, each of which asks again and again until it is told to end."""

    def __init__(self, server: Server, count: int, *, pause_s: float = 0.0) -> None:
        self.asked: list[Asked] = []
        self._port, self._pause_s = server.port, pause_s
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._end.is_set():
            begun_s = time.monotonic()
            identifier = None
            status: int | str
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=60
                )
                connection.request("POST", "/predict", SEVEN, {"Content-Type": "image/png"})
                response = connection.getresponse()
                body = response.read()
                status = response.status
                if status == 200:
                    identifier = json.loads(body)["id"]
                if status == 503 and not response.getheader("Retry-After"):
                    status = "503 without Retry-After"
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                connection = None
            self.asked.append(Asked(status, begun_s, time.monotonic() - begun_s, identifier))
            self._end.wait(self._pause_s)

    def failed(self) -> str:
        """How many were not answered 200, and how."""
        counts = Counter(str(one.status) for one in self.asked if one.status != 200)
        told = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
        return f"{sum(counts.values())} of {len(self.asked)} failed" + (
            f" ({told})" if told else ""
        )

    def unkept(self) -> int:
        """How many were answered without a receipt."""
        return sum(one.id is None for one in self.asked if one.status == 200)

    def p99_ms(self) -> float:
        took = sorted(one.took_s for one in self.asked)
        return took[int(len(took) * 0.99)] * 1000 if took else 0.0


def main(only: Sequence[str] = ()) -> None:
    """Print a table: what was done, and what became of the requests meanwhile.

    Args:
        only: words of which a step's name has one; all steps where there are none.
    """
    if missing := why_no_apache():
        sys.exit(f"error: {missing}")

    def wanted(steps: dict[str, Callable[[Any], str]]) -> dict[str, Callable[[Any], str]]:
        return {
            name: run
            for name, run in steps.items()
            if not only or any(word in name for word in only)
        }

    print(f"{'what':58}  what became of it")
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-bench-"))
    folder.chmod(0o755)
    try:
        if steps := wanted(STEPS):
            with apache(folder / "server", VERSIONS_PATH='"versions"') as server:
                for name, run in steps.items():
                    _print(name, run, server)
        for name, run in wanted(OWN_STEPS).items():
            _print(name, run, folder)
    finally:
        shutil.rmtree(folder)


def _print(name: str, run: Callable[..., str], subject: Server | Path) -> None:
    begun_s = time.monotonic()
    try:
        told = run(subject)
    except Exception as error:  # one step that cannot be taken does not end the others
        told = f"could not be measured: {type(error).__name__}: {error}"
    print(f"{name:58}  {told}  [{time.monotonic() - begun_s:.0f} s]", flush=True)


def _send_slowly(server: Server, kind: str, until_s: float) -> int:
    """Keep slow clients at it, a piece each second, and give how many were held at the end."""

    def begin() -> socket.socket:
        client = socket.socket()
        if kind == "answers":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        client.sendall(heads[kind])
        client.setblocking(False)
        return client

    head = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
    body = head + b"Content-Type: image/png\r\nContent-Length: 5000000\r\n\r\n"
    ask = b"GET /problems/ HTTP/1.1\r\nHost: x\r\n\r\n"
    heads = {"headers": head, "bodies": body, "large bodies": body, "answers": ask * 20}
    pieces = {"headers": b"X: a\r\n", "bodies": b"a" * 10, "large bodies": b"a" * 12_000}
    clients = [begin() for _ in range(SLOW)]
    while time.monotonic() < until_s:
        begun_s = time.monotonic()
        for place, client in enumerate(clients):
            try:
                if kind == "answers":
                    client.recv(16)
                else:
                    client.send(pieces[kind])
            except BlockingIOError:
                pass
            except OSError:  # refused, or told to come back faster: another takes its place
                client.close()
                clients[place] = begin()
        time.sleep(max(0.0, 1 - (time.monotonic() - begun_s)))
    for client in clients:
        client.close()
    return len(clients)


def _slow(kind: str) -> Callable[[Server], str]:
    def run(server: Server) -> str:
        until_s = time.monotonic() + SLOW_S
        slow = threading.Thread(target=_send_slowly, args=(server, kind, until_s))
        slow.start()
        time.sleep(2)
        with Clients(server, HONEST, pause_s=HONEST_PAUSE_S) as honest:
            slow.join()
        return f"{honest.failed()}, p99 {honest.p99_ms():.0f} ms"

    return run


def _kill(server: Server) -> str:
    """Kill one process after the other, each when all serve again, and look for every receipt."""
    done = 0
    with Clients(server, 4) as clients:
        for _ in _times(KILLS):
            os.kill(server.daemons()[0], signal.SIGKILL)
            done += 1
            _wait_until_all_serve(server)
    return f"{done} times: {_count_lost(clients.asked, server)}; {clients.failed()}"


def _stop(server: Server) -> str:
    daemon = server.daemons()[0]
    with Clients(server, 4) as clients:
        time.sleep(1)
        os.kill(daemon, signal.SIGSTOP)
        time.sleep(8)
        os.kill(daemon, signal.SIGCONT)
        time.sleep(4)
    late = sum(one.took_s > 2 for one in clients.asked)
    return f"{clients.failed()}, {late} waited over 2 s"


def _graceful(server: Server) -> str:
    done = 0
    with Clients(server, 4) as clients:
        for _ in _times(GRACEFULS):
            done += 1
            before = set(server.daemons())
            server.process.send_signal(signal.SIGUSR1)
            while before & set(server.daemons()):
                time.sleep(0.05)
            _wait_until_all_serve(server)
    return f"{done} times: {clients.failed()}"


def _times(count: int) -> Iterator[None]:
    """So many times; on a slow machine fewer, so that all is done in ten minutes."""
    until_s = time.monotonic() + STEP_S
    for _ in range(count):
        yield
        if time.monotonic() > until_s:
            return


def _wait_until_all_serve(server: Server) -> None:
    """Wait for three daemons, each with the threads that come when its application is loaded."""
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        threads = [len(os.listdir(f"/proc/{daemon}/task")) for daemon in server.daemons()]
        if len(threads) == DAEMONS and min(threads) > LOADED_THREADS:
            return
        time.sleep(0.05)


def _wait_until_ready(server: Server) -> None:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("/health/ready").status == 200:
                return
        time.sleep(0.2)


def _many(server: Server) -> str:
    with Clients(server, 64) as clients:
        time.sleep(60)
    rate = len(clients.asked) / 60
    return f"{clients.failed()}, {rate:.0f} requests/s, p99 {clients.p99_ms():.0f} ms"


def _overload(server: Server) -> str:
    """Ten times as many at once as wait in turn, then one client: how soon it is as before."""
    with Clients(server, 1, pause_s=0.05) as before:
        time.sleep(3)
    with _flood(server) as flooding:
        time.sleep(10)
    ended_s = time.monotonic()
    with Clients(server, 1, pause_s=0.05) as after:
        time.sleep(6)
    usual_ms = sorted(one.took_s for one in before.asked)[len(before.asked) // 2] * 1000
    slow = [
        one.sent_s + one.took_s - ended_s
        for one in after.asked
        if one.status != 200 or one.took_s * 1000 > 5 * usual_ms
    ]
    return (
        f"{flooding()}; usual speed ({usual_ms:.0f} ms, up to 5 times) after "
        f"{max(slow, default=0.0):.1f} s"
    )


@contextlib.contextmanager
def _flood(server: Server) -> Iterator[Callable[[], str]]:
    """Some hundred clients, each with a page that takes long, in processes beside this one."""
    program = (
        "import sys; from benchmarks.resilience import flood; flood(int(sys.argv[1]), 10.0, 300)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(server.port)], stdout=subprocess.PIPE, cwd=ROOT
    )
    told: list[str] = []
    try:
        yield lambda: told[0]
    finally:
        output, _ = process.communicate(timeout=120)
        told.append(output.decode().strip())


def flood(port: int, seconds: float, count: int) -> None:
    """Print what becomes of so many clients that send pages for so many seconds."""
    counts: Counter[str] = Counter()
    until_s = time.monotonic() + seconds

    def ask() -> None:
        while time.monotonic() < until_s:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("POST", "/predict/number", PAGE, {"Content-Type": "image/png"})
                response = connection.getresponse()
                response.read()
                retry = response.getheader("Retry-After")
                counts[f"{response.status}{' with Retry-After' if retry else ''}"] += 1
                if retry:
                    time.sleep(min(1.0, float(retry)))
            except (OSError, http.client.HTTPException) as error:
                counts[type(error).__name__] += 1
            finally:
                connection.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = ", ".join(f"{number} x {status}" for status, number in sorted(counts.items()))
    print(f"{count} clients for {seconds:.0f} s: {told}")


def _mixed(server: Server) -> str:
    """Requests of many kinds, good and bad; memory and open files after a tenth, and at the end."""
    archive = make_zip([(f"{place}.png", SEVEN) for place in range(20)])
    requests = [
        *[("POST", "/predict", SEVEN, "image/png")] * 6,
        ("POST", "/predict?include=normalized", SEVEN, "image/png"),
        ("POST", "/predict", b"no picture", "image/png"),
        ("POST", "/predict", SEVEN[:200], "image/png"),
        ("POST", "/predict/number", PAGE, "image/png"),
        ("POST", "/predict/batch", archive, "application/zip"),
        ("POST", "/predict/batch", archive[:-40], "application/zip"),
        ("POST", "/predict", b'{"image": 7}', "application/json"),
        ("GET", "/health/ready", None, ""),
        ("GET", "/problems/", None, ""),
        ("GET", "/nothing", None, ""),
    ]
    counts: Counter[int | str] = Counter()
    end = threading.Event()

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        place = first
        while not end.is_set():
            method, path, body, kind = requests[place % len(requests)]
            place += 1
            try:
                connection.request(method, path, body, {"Content-Type": kind} if kind else {})
                response = connection.getresponse()
                response.read()
                counts["5xx" if response.status >= 500 else "answered"] += 1
            except (OSError, http.client.HTTPException) as error:
                counts[type(error).__name__] += 1
                connection.close()

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(MIXED_S / 6)
    before = {pid: _weigh(pid) for pid in server.daemons()}
    time.sleep(MIXED_S * 5 / 6)
    after = {pid: _weigh(pid) for pid in server.daemons()}
    end.set()
    for thread in threads:
        thread.join()
    if set(before) != set(after):
        return f"{dict(counts)}; a process was replaced"
    growth = max(after[pid][0] / before[pid][0] for pid in before)
    files = max(after[pid][1] - before[pid][1] for pid in before)
    most = max(memory for memory, _ in after.values())
    return f"{dict(counts)}; memory {growth - 1:+.1%} to {most:.0f} MB, open files {files:+d}"


def _weigh(pid: int) -> tuple[float, int]:
    """The resident set of a process, in MB, and how many files it has open."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = int(status.partition("VmRSS:")[2].split()[0]) / 1000
    return memory, len(os.listdir(f"/proc/{pid}/fd"))


def _full_disk(kind: str) -> Callable[[Path], str]:
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
                back_s = _wait_for_receipt(server)
                lost = _count_lost([*filling.asked, *clients.asked], server)
        return (
            f"{died} new processes died; {filling.failed()} as it filled, {clients.failed()} "
            f"after, {clients.unkept()} of them without a receipt; {lost}; "
            f"kept again {back_s:.1f} s after there was room"
        )

    return run


def _wait_for_receipt(server: Server) -> float:
    """How many seconds it takes until an answer has a receipt; a minute at most."""
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 60:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            if server.ask("/predict", SEVEN, content_type="image/png").json.get("id"):
                break
        time.sleep(0.1)
    return time.monotonic() - begun_s


def _count_lost(asked: Iterable[Asked], server: Server) -> str:
    """How many receipts are not in SQLite's file."""
    ids = [one.id.replace("-", "") for one in asked if one.id]
    with contextlib.closing(sqlite3.connect(server.folder / "instance/submissions.db")) as database:
        kept = {row[0] for row in database.execute("SELECT id FROM submissions")}
    return f"{sum(one not in kept for one in ids)} of {len(ids)} receipts lost"


def _replaced(folder: Path) -> str:
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
        lost = _count_lost(after, server)
        unkept = sum(one.id is None for one in after if one.status == 200)
        environment = os.environ | {"FLASKAPI_INSTANCE_PATH": str(server.folder / "instance")}
        subprocess.run([ROOT / "deploy" / "roll"], env=environment, check=True, capture_output=True)
        back_s = _wait_for_receipt(server)
    return (
        f"{clients.failed()}; not ready after {ready_s:.1f} s; of those sent after it {lost}, "
        f"{unkept} without one; after a roll kept again, {back_s:.1f} s"
    )


def _wait_until_not_ready(server: Server) -> float:
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 30 and server.ask("/health/ready").status == 200:
        time.sleep(0.05)
    return time.monotonic() - begun_s


def _postgres(folder: Path) -> str:
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
                back_s = _wait_for_receipt(server)
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


def _promotions(folder: Path) -> str:
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
            for _ in _times(ROLLS):
                command = [str(ROOT / "deploy" / "roll")]
                done = subprocess.run(command, env=environment, capture_output=True, check=False)
                rolled += done.returncode == 0
        return f"{clients.failed()}; {rolled} rolls done"


STEPS: dict[str, Callable[[Server], str]] = {
    f"{SLOW} clients send headers slowly, {SLOW_S} s": _slow("headers"),
    f"{SLOW} clients send bodies at 10 bytes a second": _slow("bodies"),
    f"{SLOW} clients send bodies at 12 kB a second": _slow("large bodies"),
    f"{SLOW} clients read answers at 16 bytes a second": _slow("answers"),
    f"kill -9 of a process, {KILLS} times, 4 clients": _kill,
    "SIGSTOP of one process for 8 s, 4 clients": _stop,
    f"apachectl graceful, {GRACEFULS} times, 4 clients": _graceful,
    "64 clients for 60 s": _many,
    "ten times the capacity, then one client": _overload,
    f"requests of many kinds, 6 clients, {MIXED_S} s": _mixed,
}
OWN_STEPS: dict[str, Callable[[Path], str]] = {  # each on a server of its own
    "PostgreSQL stopped for 10 s, 4 clients": _postgres,
    "SQLite's file replaced, 4 clients": _replaced,
    "the disk of the instance folder full, tmpfs": _full_disk("tmpfs"),
    "the disk of the instance folder full, ext4": _full_disk("ext4"),
    f"{PROMOTIONS} promotions and {ROLLS} rolls, 4 clients": _promotions,
}
