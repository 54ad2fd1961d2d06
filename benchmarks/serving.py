"""Requests per second and memory under Apache, against the limit and against peers, in one
interleaved run.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.fakes import draw_digit, encode
from tests.servers import ROOT, Server, apache, why_no_apache

PEERS = Path(__file__).parent / "peers"
SCRIPTS = {
    "the limit": PEERS / "limit.wsgi",
    "this service": ROOT / "deploy" / "flaskapi.wsgi",
    "bare resize": PEERS / "bare.wsgi",
    "the tutorial's way": PEERS / "tutorial.wsgi",
}
ROUNDS, SECONDS, CONNECTIONS = 5, 4, 8


def main(checkouts: Sequence[Path] = ()) -> None:
    """Print a table: requests/s, their share of the limit, latencies, the CPU time of a request
    and the memory of one process.

    Args:
        checkouts: folders of other checkouts of this project, such as a clone of an older commit.
            They are measured in turn with this one, instead of the limit and the peers, and their
            rates are compared with that of this checkout.
    """
    scripts = SCRIPTS
    if checkouts:
        scripts = {"this service": SCRIPTS["this service"]}
        scripts |= {str(folder): folder.resolve() / "deploy/flaskapi.wsgi" for folder in checkouts}
    first = next(iter(scripts))
    with ExitStack() as stack:
        folder, load = stack.enter_context(prepare())
        print(
            "28x28 PNG by multipart upload; Apache, 2 processes x 3 threads, load on the same "
            "machine;"
        )
        print(f"wrk -t1 -c{CONNECTIONS}; median of {ROUNDS} rounds of {SECONDS} s, in turn")
        servers = {
            name: stack.enter_context(apache(folder / str(n), script))
            for n, (name, script) in enumerate(scripts.items())
        }
        rounds: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in servers}
        for server in servers.values():
            measure(server, load, seconds=2)
        for _ in range(ROUNDS):
            for name, server in servers.items():
                before_s = _computing_s(server)
                rate, p50, p99 = measure(server, load, seconds=SECONDS)
                cpu_ms = 1000 * (_computing_s(server) - before_s) / (rate * SECONDS)
                rounds[name].append((rate, p50, p99, cpu_ms))
        limit = statistics.median(rate for rate, *_ in rounds[first])
        print(
            f"{'':20}{'requests/s':>12}{f'of {first}':>17}{'p50 ms':>9}{'p99 ms':>9}"
            f"{'CPU ms a request':>18}{'MB a process':>14}"
        )
        for name, results in rounds.items():
            rate, *times = (statistics.median(column) for column in zip(*results, strict=True))
            p50, p99, cpu = times
            print(
                f"{name:20}{rate:12.0f}{rate / limit:17.2f}{p50:9.1f}{p99:9.1f}"
                f"{cpu:18.2f}{_memory_mb(servers[name]):14.0f}"
            )


@contextmanager
def prepare(missing: str | None = None) -> Iterator[tuple[Path, Path]]:
    """Give a folder for servers that Apache's user can reach, which is gone afterwards, and the
    script by which wrk sends them a digit.

    Args:
        missing: what else is needed and not there, if so; then the program ends and says it.
    """
    missing = (
        missing
        or why_no_apache()
        or ("wrk is not installed: apt install wrk" if shutil.which("wrk") is None else None)
    )
    if missing:
        sys.exit(f"error: {missing}")
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-bench-"))
    try:
        folder.chmod(0o755)
        _write_load(folder / "load.lua", encode(draw_digit(7, side=28, dark_on_light=False)))
        yield folder, folder / "load.lua"
    finally:
        shutil.rmtree(folder)


def _write_load(script: Path, image: bytes) -> None:
    """Write what wrk sends: an upload of an image."""
    head = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n'
        b"Content-Type: image/png\r\n\r\n"
    )
    part = head + image + b"\r\n--x--\r\n"
    body = "".join(f"\\{byte:03d}" for byte in part)
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "multipart/form-data; '
        f'boundary=x"\nwrk.body = "{body}"\n'
    )


def measure(server: Server, load: Path, *, seconds: int) -> tuple[float, float, float]:
    """Requests/s, and the median and 99th percentile of latency in ms."""
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--latency",
        "-s",
        str(load),
        f"http://127.0.0.1:{server.port}/predict",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"error: requests failed:\n{text}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert found
    return float(found[1]), _latency_ms(text, "50%"), _latency_ms(text, "99%")


def _latency_ms(text: str, share: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s)", text)
    assert found
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000}[found[2]]


def _computing_s(server: Server) -> float:
    """CPU time of the daemons so far, in seconds: of the user and of the system."""
    times = [Path(f"/proc/{daemon}/stat").read_text().split() for daemon in server.daemons()]
    return sum(int(one[13]) + int(one[14]) for one in times) / os.sysconf("SC_CLK_TCK")


def _memory_mb(server: Server) -> float:
    """The largest resident set among the daemons, in MB."""
    status = [Path(f"/proc/{daemon}/status").read_text() for daemon in server.daemons()]
    return (
        max(int(match[1]) for text in status if (match := re.search(r"VmRSS:\s+(\d+)", text)))
        / 1000
    )
