"""What one server stands: slow clients, killed and stopped processes, reloads, overload."""

import contextlib
import http.client
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.clients import PAGE, SEVEN, Clients, count_lost, send_slowly
from tests.archives import make_zip
from tests.servers import ROOT, Server

SLOW_S = 20
HONEST, HONEST_PAUSE_S = 3, 0.1
STEP_S = 60
DAEMONS, LOADED_THREADS = 3, 40
KILLS, GRACEFULS = 20, 20


def times(count: int) -> Iterator[None]:
    """So many times; on a slow machine fewer, so that all is done in ten minutes."""
    until_s = time.monotonic() + STEP_S
    for _ in range(count):
        yield
        if time.monotonic() > until_s:
            return


def slow(kind: str) -> Callable[[Server], str]:
    def run(server: Server) -> str:
        until_s = time.monotonic() + SLOW_S
        slow = threading.Thread(target=send_slowly, args=(server, kind, until_s))
        slow.start()
        time.sleep(2)
        with Clients(server, HONEST, pause_s=HONEST_PAUSE_S) as honest:
            slow.join()
        return f"{honest.failed()}, p99 {honest.p99_ms():.0f} ms"

    return run


def kill(server: Server) -> str:
    """Kill one process after the other, each when all serve again, and look for every receipt."""
    done = 0
    with Clients(server, 4) as clients:
        for _ in times(KILLS):
            os.kill(server.daemons()[0], signal.SIGKILL)
            done += 1
            _wait_until_all_serve(server)
    return f"{done} times: {count_lost(clients.asked, server)}; {clients.failed()}"


def stop(server: Server) -> str:
    daemon = server.daemons()[0]
    with Clients(server, 4) as clients:
        time.sleep(1)
        os.kill(daemon, signal.SIGSTOP)
        time.sleep(8)
        os.kill(daemon, signal.SIGCONT)
        time.sleep(4)
    late = sum(one.took_s > 2 for one in clients.asked)
    return f"{clients.failed()}, {late} waited over 2 s"


def graceful(server: Server) -> str:
    done = 0
    with Clients(server, 4) as clients:
        for _ in times(GRACEFULS):
            done += 1
            before = set(server.daemons())
            server.process.send_signal(signal.SIGUSR1)
            while before & set(server.daemons()):
                time.sleep(0.05)
            _wait_until_all_serve(server)
    return f"{done} times: {clients.failed()}"


def _wait_until_all_serve(server: Server) -> None:
    """Wait for three daemons, each with the threads that come when its application is loaded."""
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        threads = [len(os.listdir(f"/proc/{daemon}/task")) for daemon in server.daemons()]
        if len(threads) == DAEMONS and min(threads) > LOADED_THREADS:
            return
        time.sleep(0.05)


def many(server: Server) -> str:
    with Clients(server, 64) as clients:
        time.sleep(60)
    rate = len(clients.asked) / 60
    return f"{clients.failed()}, {rate:.0f} requests/s, p99 {clients.p99_ms():.0f} ms"


def overload(server: Server) -> str:
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
    program = "import sys; from benchmarks.clients import flood; flood(int(sys.argv[1]), 10.0, 300)"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(server.port)], stdout=subprocess.PIPE, cwd=ROOT
    )
    told: list[str] = []
    try:
        yield lambda: told[0]
    finally:
        output, _ = process.communicate(timeout=120)
        told.append(output.decode().strip())


def mixed(count: int, most_s: float) -> Callable[[Server], str]:
    """Requests of many kinds, good and bad; memory and open files after a tenth, and at the end.

    Args:
        count: of requests.
        most_s: no more are sent after so many seconds.
    """
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

    def run(server: Server) -> str:
        counts: Counter[int | str] = Counter()
        places, until_s = itertools.count(), time.monotonic() + most_s

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            while (place := next(places)) < count and time.monotonic() < until_s:
                method, path, body, kind = requests[place % len(requests)]
                try:
                    connection.request(method, path, body, {"Content-Type": kind} if kind else {})
                    response = connection.getresponse()
                    response.read()
                    counts["5xx" if response.status >= 500 else "answered"] += 1
                except (OSError, http.client.HTTPException) as error:
                    counts[type(error).__name__] += 1
                    connection.close()

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        while counts.total() < count / 10 and time.monotonic() < until_s - most_s * 5 / 6:
            time.sleep(0.1)
        tenth = counts.total()
        before = {pid: _weigh(pid) for pid in server.daemons()}
        for thread in threads:
            thread.join()
        after = {pid: _weigh(pid) for pid in server.daemons()}
        if set(before) != set(after):
            return f"{dict(counts)}; a process was replaced"
        growth = max(after[pid][0] / before[pid][0] for pid in before)
        files = max(after[pid][1] - before[pid][1] for pid in before)
        most = max(memory for memory, _ in after.values())
        return (
            f"{dict(counts)}; since the first {tenth:,} memory {growth - 1:+.1%} to {most:.0f} MB, "
            f"open files {files:+d}"
        )

    return run


def _weigh(pid: int) -> tuple[float, int]:
    """The resident set of a process, in MB, and how many files it has open."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = int(status.partition("VmRSS:")[2].split()[0]) / 1000
    return memory, len(os.listdir(f"/proc/{pid}/fd"))
