"""Many images: images/s of the command line and of the endpoint, against the limits; two workers
against one; memory.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.fakes import draw_digit, encode
from tests.servers import Server, apache, why_no_apache

IMAGES, ROUNDS, SIZES = 10_000, 5, (100, 10_000, 100_000)
FOR_WORKERS = 30_000  # enough that the second it takes to start them does not count
TIMEOUT_S = 300
CORE = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
LIMITS = """
import sys, tempfile, time, zipfile
import numpy as np
from flaskapi import create_app
from flaskapi.digits.decode import decode_image
app = create_app({"INSTANCE_PATH": tempfile.mkdtemp(), "LOG_LEVEL": "ERROR"})
classifier = app.extensions["flaskapi"].classifier
with zipfile.ZipFile(sys.argv[1]) as archive:
    files = [archive.read(name) for name in archive.namelist()[:2000]]
started = time.perf_counter()
for data in files:
    decode_image(data, max_pixels=10**6, max_side_px=1024)
decoding = len(files) / (time.perf_counter() - started)
batch = np.zeros((64, 28, 28, 1), np.float32)
started = time.perf_counter()
for _ in range(30):
    classifier.probabilities(batch)
print(decoding, 30 * 64 / (time.perf_counter() - started))
"""
COMMAND = "import sys; from flaskapi.__main__ import main; sys.exit(main(sys.argv[1:]))"
PEAK = """
import resource, sys
from flaskapi.__main__ import main
assert main(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, file=sys.stderr)
"""


def main() -> None:
    """Print rates on one core, the medians of rounds in turn, then the rest."""
    with tempfile.TemporaryDirectory(prefix="flaskapi-bench-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        archives = {
            count: _make_archive(folder / f"{count}.zip", count)
            for count in {IMAGES, FOR_WORKERS, *SIZES}
        }
        _print_rates(folder, archives[IMAGES])
        _print_workers(folder, archives[FOR_WORKERS])
        _print_memory(folder, {count: archives[count] for count in SIZES})


def _make_archive(path: Path, count: int) -> Path:
    digits = [
        encode(draw_digit(place % 10, side=28, dark_on_light=False, thickness=2 + place // 10 % 2))
        for place in range(20)
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for place in range(count):
            archive.writestr(f"{place:06}.png", digits[place % 20])
    return path


def _print_rates(folder: Path, archive: Path) -> None:
    rates: dict[str, list[float]] = {}
    missing = why_no_apache()
    with apache(folder / "server") if not missing else tempfile.TemporaryFile() as server:
        for _ in range(ROUNDS):
            decoding, network = map(float, _run(CORE + LIMITS, archive).stdout.split())
            rates.setdefault("limit: decoding the PNGs", []).append(decoding)
            rates.setdefault("limit: the network, 64 at a time", []).append(network)
            rates.setdefault("the command line", []).append(_rate_of_command(archive, 1))
            if isinstance(server, Server):
                rates.setdefault("the endpoint, a ZIP under Apache", []).append(
                    _rate_of_endpoint(server, archive)
                )
    print(
        f"\n{IMAGES:,} PNGs of 28x28 in a ZIP, images/s on one core, median (best) of {ROUNDS} "
        f"rounds in turn:"
    )
    for name, found in rates.items():
        print(f"  {name:36}{statistics.median(found):8.0f} ({max(found):.0f})")
    if missing:
        print(f"  not measured under Apache: {missing}")


def _run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)


def _rate_of_command(archive: Path, workers: int) -> float:
    """Images/s of all but the start, which reading one image takes as well."""
    core = CORE if workers == 1 else ""
    with tempfile.NamedTemporaryFile(suffix=".png") as one:
        one.write(encode(draw_digit(7, side=28)))
        one.flush()
        seconds = []
        for path in (one.name, archive):
            started = time.perf_counter()
            _run(core + COMMAND, "predict", path, "--workers", workers)
            seconds.append(time.perf_counter() - started)
    with zipfile.ZipFile(archive) as opened:
        return len(opened.namelist()) / (seconds[1] - seconds[0])


def _rate_of_endpoint(server: Server, archive: Path) -> float:
    for daemon in server.daemons():
        os.sched_setaffinity(daemon, {min(os.sched_getaffinity(0))})
        for thread in Path(f"/proc/{daemon}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {min(os.sched_getaffinity(0))})
    data = archive.read_bytes()
    started = time.perf_counter()
    answer = server.ask(
        "/predict/batch", data, content_type="application/zip", accept="application/x-ndjson"
    )
    assert answer.body.count(b"\n") == IMAGES
    return IMAGES / (time.perf_counter() - started)


def _print_workers(folder: Path, archive: Path) -> None:
    rounds = [[_rate_of_command(archive, workers) for workers in (1, 2)] for _ in range(3)]
    ratios = [two / one for one, two in rounds]
    print(
        f"\n{FOR_WORKERS:,} of them: two workers against one: "
        f"{', '.join(f'{ratio:.2f}' for ratio in ratios)} times as fast"
    )


def _print_memory(folder: Path, archives: dict[int, Path]) -> None:
    print("\nPeak memory in MB, by the number of images in the ZIP:")
    peaks = {
        count: float(_run(PEAK, "predict", path, "--to", folder / "rows.csv").stderr.split()[-1])
        for count, path in archives.items()
    }
    print(
        "  the command line:  ",
        ", ".join(f"{count:,}: {peak:.0f}" for count, peak in peaks.items()),
    )
    if why_no_apache():
        return
    found = []
    for count, path in archives.items():
        with apache(folder / f"memory-{count}") as server:
            server.ask(
                "/predict/batch",
                path.read_bytes(),
                content_type="application/zip",
                accept="application/x-ndjson",
            )
            status = [Path(f"/proc/{daemon}/status").read_text() for daemon in server.daemons()]
            found.append(
                f"{count:,}: "
                f"{max(int(text.split('VmHWM:')[1].split()[0]) for text in status) / 1000:.0f}"
            )
    print("  the endpoint, as NDJSON:", ", ".join(found))
