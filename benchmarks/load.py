"""Load that wrk sends, and what it costs the server: latency, processor and memory of all its
processes.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.fakes import draw_digit, encode
from tests.servers import Server, why_no_apache

CONNECTIONS = 8
_TICKS = 100  # of the processor, in a second, in /proc


class Load(NamedTuple):
    """What one run of wrk found."""

    rate: float  # requests/s
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int


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
        digit = encode(draw_digit(7, side=28, dark_on_light=False))
        yield folder, write_upload(folder / "load.lua", digit)
    finally:
        shutil.rmtree(folder)


def write_upload(script: Path, image: bytes, field: str = "file") -> Path:
    """Write what makes wrk upload an image as a form."""
    kind = "image/jpeg" if image.startswith(b"\xff\xd8") else "image/png"
    head = (
        f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="7.png"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return write_body(
        script, head.encode() + image + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    )


def write_body(script: Path, body: bytes, kind: str) -> Path:
    """Write what makes wrk send a body of a media type; wrk reads it from a file beside it."""
    content = script.with_suffix(".body")
    content.write_bytes(body)
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{kind}"\n'
        f'wrk.body = io.open("{content}", "rb"):read("*all")\n'
    )
    return script


def measure(server: Server, load: Path, *, seconds: int) -> tuple[float, float, float]:
    """Requests/s, and the median and 99th percentile of latency in ms; a failed request ends the
    program.
    """
    found = send(f"http://127.0.0.1:{server.port}/predict", load, CONNECTIONS, seconds=seconds)
    if found.failed:
        sys.exit(f"error: {found.failed} of {found.requests} requests failed")
    return found.rate, found.p50_ms, found.p99_ms


def send(address: str, load: Path, clients: int, *, seconds: int) -> Load:
    """Let so many clients ask for some seconds, each as soon as it is answered."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout=30s", "--latency"]
    text = subprocess.run(
        [*command, "-s", str(load), address], capture_output=True, text=True, check=True
    ).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    requests = re.search(r"(\d+) requests in", text)
    assert rate
    assert requests
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    return Load(
        float(rate[1]),
        _latency_ms(text, "50%"),
        _latency_ms(text, "99%"),
        int(requests[1]),
        (int(refused[1]) if refused else 0) + sum(map(int, broken.groups() if broken else ())),
    )


def _latency_ms(text: str, share: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s)", text)
    assert found
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000}[found[2]]


def find_processes(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*"):
        for child in _read(f"{pid}/task/{tasks.name}/children").split():
            found += find_processes(int(child))
    return found


def cpu_s(pid: int) -> float:
    """What a process and all that descend from it have taken of the processor."""
    ticks = 0
    for process in find_processes(pid):
        fields = _read(f"{process}/stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))  # user and system
    return ticks / _TICKS


def memory_mb(pid: int) -> float:
    """The memory of a process and all that descend from it; what they share counts once."""
    texts = (_read(f"{process}/smaps_rollup") for process in find_processes(pid))
    found = (re.search(r"^Pss:\s+(\d+)", text, re.M) for text in texts)
    return sum(int(match[1]) for match in found if match) / 1000


def largest_mb(pid: int) -> float:
    """The largest resident set among a process and all that descend from it."""
    texts = (_read(f"{process}/status") for process in find_processes(pid))
    found = (re.search(r"VmRSS:\s+(\d+)", text) for text in texts)
    return max(int(match[1]) for match in found if match) / 1000


def _read(file: str) -> str:
    """A file of /proc; empty where its process has ended meanwhile."""
    try:
        return Path("/proc", file).read_text()
    except OSError:
        return ""
