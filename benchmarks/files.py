"""What the worst files of each format do to a process: each is sent to a fresh one on each route,
which tells its answer, CPU and memory, those of the process apart included.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from tests.hostile import BOUNDED, LARGEST, PAGES, REFUSED

PROGRAM = """
import json, resource, sys, tempfile
from flaskapi import create_app
from flaskapi.digits.apart import decoder
client = create_app({"INSTANCE_PATH": tempfile.mkdtemp(), "LOG_LEVEL": "ERROR"}).test_client()
data = open(sys.argv[2], "rb").read()
def peak(process="self"):
    status = open(f"/proc/{process}/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000
def cpu(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
rest, before = peak(), cpu(resource.RUSAGE_SELF)
answer = client.post(sys.argv[1], data=data, content_type="application/octet-stream")
seconds, memory = cpu(resource.RUSAGE_SELF) - before, peak() - rest
memory += peak(decoder().pid) if decoder().pid else 0
decoder().close()
seconds += cpu(resource.RUSAGE_CHILDREN)
document = answer.get_json(force=True)
said = document.get("detail") or document.get("number") or document.get("digit")
print(json.dumps([answer.status_code, seconds, memory, str(said)[:80]]))
"""
ROUTES = "/predict", "/predict/number"
PROMISED_S, PROMISED_MB = 1.0, 250


def main(folder: Path | None = None) -> None:
    """Print a line for each file and route, then the worst of each format and route.

    Args:
        folder: with more files to send.
    """
    worst: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    with tempfile.TemporaryDirectory() as made:
        for path in chain(sorted(folder.iterdir()) if folder else (), _make(Path(made))):
            for route in ROUTES:
                done = subprocess.run(
                    [sys.executable, "-c", PROGRAM, route, str(path)],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                line = f"{path.stem:24}{path.stat().st_size / 1e6:7.2f} MB  {route:16}"
                if done.returncode != 0:
                    print(line, done.stderr[-300:].strip(), flush=True)
                    continue
                found: list[Any] = json.loads(done.stdout)
                status, seconds, memory, said = found
                print(f"{line}{status} {seconds:6.2f} s {memory:5.0f} MB  {said}", flush=True)
                row = worst[path.stem.partition("-")[0], route]
                row[:] = max(row[0], seconds), max(row[1], memory)
            if path.parent == Path(made):
                path.unlink()
    print("\nThe worst of each format, CPU and memory above rest:")
    for (form, route), (seconds, memory) in sorted(worst.items()):
        over = " over" if seconds > PROMISED_S or memory > PROMISED_MB else ""
        print(f"  {form:8}{route:18}{seconds:6.2f} s {memory:5.0f} MB{over}")


def _make(folder: Path) -> Iterator[Path]:
    """Write the files one by one, each when it is asked for: all together take a gigabyte."""
    for name, make in (REFUSED | BOUNDED | LARGEST | PAGES).items():
        path = folder / name
        path.write_bytes(make())
        yield path
