"""Several instances on one machine, each with an address of its own, behind Apache's balancer; and
clients that ask it all the time, and send again what was not answered.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from databases import Postgres
from fakes import draw_digit, encode
from servers import MODULES, ROOT, Place, Server, apache, define, free_port, start
from waiting import is_gone, until

MANY = 3
PATIENCE_S = 2.0  # of a client with one try
GIVE_UP_S = 60.0
SEVEN = encode(draw_digit(7, side=28))
_BALANCING = (
    "proxy proxy_http proxy_balancer proxy_hcheck lbmethod_bybusyness lbmethod_byrequests "
    "slotmem_shm"
)


def why_no_namespaces() -> str | None:
    """Why instances cannot have networks of their own, which can be cut; None if they can."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and the program ip: apt install iproute2"
    name = f"fa{os.getpid()}-try"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "network namespaces cannot be made here"
    _ip("netns", "del", name)
    return None


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Wire(NamedTuple):
    """The way to an instance: its address, and that by which it reaches this machine."""

    address: str
    hub: str
    namespace: str | None

    @property
    def can_be_cut(self) -> bool:
        return self.namespace is not None

    @property
    def inside(self) -> Sequence[str]:
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []

    def cut(self) -> None:
        """Nothing comes through, and nobody is told."""
        assert self.namespace
        _ip("-n", self.namespace, "link", "set", "wire", "down")

    def mend(self) -> None:
        assert self.namespace
        _ip("-n", self.namespace, "link", "set", "wire", "up")


@contextlib.contextmanager
def wires(many: int = MANY) -> Iterator[list[Wire]]:
    """A network for each instance; where that cannot be, addresses of the loopback network."""
    if why_no_namespaces():
        yield [Wire(f"127.0.0.{2 + n}", "127.0.0.1", None) for n in range(many)]
        return
    made = list[Wire]()
    try:
        for n in range(many):
            name, link = f"fa{os.getpid()}-{n}", f"fa{os.getpid() % 100_000}-{n}"
            network = f"10.{200 + os.getpid() % 50}.{n}"  # another one for each process of tests
            wire = Wire(f"{network}.2", f"{network}.1", name)
            _ip("netns", "add", name)
            made.append(wire)
            _ip("link", "add", link, "type", "veth", "peer", "name", "wire", "netns", name)
            _ip("address", "add", f"{wire.hub}/30", "dev", link)
            _ip("link", "set", link, "up")
            _ip("-n", name, "address", "add", f"{wire.address}/30", "dev", "wire")
            for device in ("lo", "wire"):
                _ip("-n", name, "link", "set", device, "up")
        yield made
    finally:
        for wire in made:
            assert wire.namespace
            _ip("netns", "del", wire.namespace)


class Instance:
    """One instance under its own Apache, which can be ended in several ways and started again."""

    def __init__(self, folder: Path, wire: Wire, **settings: str) -> None:
        self.folder, self.wire, self._settings = folder, wire, settings
        self.place = Place(free_port(), wire.address, wire.inside)
        self.server: Server | None = None
        self._running = contextlib.ExitStack()

    def start(self) -> "Instance":
        running = apache(self.folder, place=self.place, processes=1, **self._settings)
        self.server = self._running.enter_context(running)
        return self

    def stop(self) -> None:
        """As `apachectl graceful-stop` does: what was begun is answered."""
        assert self.server
        with contextlib.suppress(ProcessLookupError):
            self.server.process.send_signal(signal.SIGWINCH)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.process.wait(30)
        self._running.close()

    def close(self) -> None:
        self._running.close()

    def processes(self) -> list[int]:
        """Apache and all that it started, also what those started."""
        assert self.server
        return [*family(self.server.process.pid)]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes, Apache's own first."""
        sent = self.processes()
        for pid in sent:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number is signal.SIGKILL:
            assert self.server
            self.server.process.wait(30)
            until(lambda: all(map(is_gone, sent)), 30)
            self._running.close()

    def cpu_s(self) -> float:
        """What its processes have taken of the processor since they began."""
        assert self.server
        return family_cpu_s(self.server.process.pid)


class Cluster(NamedTuple):
    """Instances that run, and the address of their database."""

    members: list[Instance]
    url: str


def family_cpu_s(pid: int) -> float:
    """What a process and all below it have taken of the processor since they began."""
    return sum(map(cpu_s, family(pid)))


def cpu_s(pid: int) -> float:
    """What a process has taken of the processor since it began; 0 where it has ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from family(int(child))


@contextlib.contextmanager
def instances(folder: Path, **more: str) -> Iterator[Cluster]:
    """Instances with one PostgreSQL, one Redis and one set of versions.

    Args:
        folder: where Apache's user can reach it.
        more: settings, as TOML.
    """
    with wires() as made, contextlib.ExitStack() as ending:
        (folder / "postgres").mkdir()
        server = Postgres(folder / "postgres", [one.hub for one in made if one.namespace])
        ending.callback(server.stop)
        redis = ending.enter_context(_redis([one.hub for one in made]))
        url, key = server.make_database(with_tables=True), os.urandom(32)
        all_ = list[Instance]()
        for n, wire in enumerate(made):
            settings = {
                "DATABASE_URL": f'"{url.replace("127.0.0.1", wire.hub)}"',
                "RATE_LIMIT_STORAGE": f'"redis://{wire.hub}:{redis}/0"',
                "VERSIONS_STORE": '"database"',
                "TRUSTED_PROXIES": "1",
                "STORE": '"required"',
            }
            instance = Instance(folder / f"instance-{n}", wire, **settings | more)
            (instance.folder / "instance").mkdir(parents=True)
            path = instance.folder / "instance" / "client.key"
            path.write_bytes(key)  # all know a sender alike
            shutil.chown(path, *(("www-data", "www-data") if os.getuid() == 0 else (os.getuid(),)))
            ending.callback(instance.close)
            all_.append(instance)
        with ThreadPoolExecutor(MANY) as starting:
            list(starting.map(Instance.start, all_))
        yield Cluster(all_, url)


@contextlib.contextmanager
def _redis(hubs: Sequence[str]) -> Iterator[int]:
    """A Redis that keeps nothing on disk; gives its port."""
    port = free_port()
    addresses = list(dict.fromkeys(["127.0.0.1", *hubs]))
    command = ["redis-server", "--port", str(port), "--bind", *addresses, "--save", ""]
    process = subprocess.Popen([*command, "--protected-mode", "no"], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def balancer(folder: Path, members: Sequence[Instance]) -> Iterator[Server]:
    """Apache with `deploy/balancer.conf`, in front of these instances."""
    folder.mkdir(exist_ok=True)
    place = Place(free_port())
    site = (ROOT / "deploy" / "balancer.conf").read_text()
    lines = [line for line in site.splitlines() if "BalancerMember" in line]
    for n, line in enumerate(lines):
        at = members[n % MANY].place if n % MANY < len(members) else None
        made = re.sub(r"http://\S+ ", f"http://{at.address}:{at.port} ", line) if at else ""
        site = site.replace(line, made, 1)
    listen = f"127.0.0.1:{place.port}"
    site = define(site, folder, NAME="127.0.0.1", HOME=str(ROOT), LISTEN=listen)
    (folder / "balancer.conf").write_text(site)
    bounds = ["ServerLimit 4", "ThreadsPerChild 64", "MaxRequestWorkers 256"]
    lines = [*bounds, f"Include {folder}/balancer.conf"]
    with start(folder, place, f"{MODULES} {_BALANCING}", lines) as server:
        yield server


class Asked(NamedTuple):
    """One request, with what came of it in the end."""

    begun_s: float
    ended_s: float
    failed_s: list[float]  # when tries ended without an answer
    why: list[str]
    answer: dict[str, Any] | None  # none: it was lost
    is_upload: bool


class Clients:
    """Ask again and again. What is not answered is sent again, an upload under the same key."""

    def __init__(self, server: Server, count: int = 4, *, pause_s: float = 0.1) -> None:
        self._server, self._count, self._pause_s = server, count, pause_s
        self._done = threading.Event()
        self.asked: list[Asked] = []

    def __enter__(self) -> "Clients":
        self._threads = [threading.Thread(target=self._run) for _ in range(self._count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def since(self, begun_s: float) -> list[Asked]:
        """What was begun since then, or was not answered yet by then."""
        return [one for one in list(self.asked) if one.ended_s >= begun_s]

    def _run(self) -> None:
        place = 0
        while not self._done.wait(self._pause_s):
            place += 1
            if place % 5:
                route = "/predict/number" if place % 20 == 1 else "/predict"
                headers = {
                    "Idempotency-Key": str(uuid.uuid4()),
                    "Content-Type": "application/octet-stream",
                }
                self.asked.append(self._ask("POST", route, SEVEN, headers))
            else:
                self.asked.append(self._ask("GET", "/model", None, {}))

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Asked:
        begun_s, failed_s, why, answer = time.monotonic(), list[float](), list[str](), None
        while answer is None:
            try:
                answer = self._try(method, path, body, headers)
            except (OSError, http.client.HTTPException, ValueError) as error:
                failed_s.append(time.monotonic())
                why.append(str(error) or type(error).__name__)
                if failed_s[-1] - begun_s > GIVE_UP_S:
                    break
                time.sleep(0.1)
        is_upload = method == "POST"
        return Asked(begun_s, time.monotonic(), failed_s, why, answer, is_upload)

    def _try(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        address = (self._server.address, self._server.port)
        with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE_S)) as line:
            line.request(method, path, body, headers)
            response = line.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
            if response.status != 200:
                raise ValueError(f"{response.status} {answer.get('type')}")
            return answer


def count_wrong(asked: Sequence[Asked]) -> int:
    """Answers that are not a 7, or that name two versions for one generation."""
    versions: dict[int, set[str]] = {}
    wrong = 0
    for one in asked:
        if one.answer is not None:
            name = one.answer["model" if one.is_upload else "version"]
            versions.setdefault(one.answer["generation"], set()).add(name)
            if one.is_upload:
                wrong += "7" != str(one.answer.get("digit", one.answer.get("number")))
    return wrong + sum(len(names) - 1 for names in versions.values())


class Receipts(NamedTuple):
    """What is kept, held against what was answered."""

    missing: int  # ids that were answered and are not kept
    twice: int  # kept more often than uploads were sent
    answered: int


def count_receipts(url: str, asked: Sequence[Asked]) -> Receipts:
    """Hold the answers against the database at this address, in which nothing else was kept."""
    ids = [one.answer["id"] for one in asked if one.answer is not None and one.is_upload]
    with psycopg.connect(url) as connection:
        kept = {str(row[0]) for row in connection.execute("SELECT id FROM submissions")}
    lost = sum(one.answer is None and one.is_upload for one in asked)
    return Receipts(
        len([one for one in ids if one not in kept]), max(0, len(kept) - len(ids) - lost), len(ids)
    )


class Outcome(NamedTuple):
    """What clients saw while something was done."""

    asked: list[Asked]
    last_failure_s: float  # after it was done; 0: no try failed

    @property
    def lost(self) -> int:
        return sum(one.answer is None for one in self.asked)

    @property
    def repeated(self) -> int:
        return sum(len(one.failed_s) for one in self.asked)

    @property
    def longest_s(self) -> float:
        return max(one.ended_s - one.begun_s for one in self.asked)

    @property
    def reasons(self) -> list[str]:
        return sorted({why for one in self.asked for why in one.why})


def watch(
    server: Server,
    do: Callable[[], object],
    undo: Callable[[], object] = lambda: None,
    *,
    lasts_s: float = 6.0,
    after_s: float = 3.0,
    clients: int = 4,
) -> Outcome:
    """Do something while clients ask, undo it after a while, and tell what they saw."""
    with Clients(server, clients) as asking:
        time.sleep(1)
        done_s = time.monotonic()
        do()
        time.sleep(lasts_s)
        undo()
        time.sleep(after_s)
    failed_s = [at_s for one in asking.asked for at_s in one.failed_s]
    return Outcome(
        asking.asked, max([at_s - done_s for at_s in failed_s if at_s > done_s], default=0)
    )
