"""From the start of a process to its first correct answer, and the memory that it then takes."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fakes import draw_digit, encode

ROUNDS = 5
_AFTER = """
client = app.test_client()
with open(sys.argv[1], "rb") as file:
    assert client.post("/predict", data={"file": (file, "7.png")}).get_json()["digit"] == 7
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(time.perf_counter() - started, status["VmRSS"].split()[0])
"""
PROGRAMS = {
    "this service": "import sys, time; started = time.perf_counter()\nfrom flaskapi import "
    "create_app\napp = create_app()" + _AFTER,
    "the tutorial's way": (
        "import sys, time; started = time.perf_counter()\nimport runpy\n"
        "app = runpy.run_path('benchmarks/peers/tutorial.wsgi')['application']" + _AFTER
    ),
}


def main() -> None:
    """Print seconds and MB for each program; the time that Python itself takes to start is not in
    them.
    """
    print(f"\nA process from its start to its first correct answer, median of {ROUNDS}, in turn:")
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "7.png"
        image.write_bytes(encode(draw_digit(7, side=28, dark_on_light=False)))
        for _ in range(ROUNDS):
            for name, program in PROGRAMS.items():
                done = subprocess.run(
                    [sys.executable, "-c", program, str(image)],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                seconds, kilobytes = done.stdout.split()[-2:]
                results[name].append((float(seconds), float(kilobytes) / 1000))
    for name, rows in results.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:20}{seconds:8.2f} s{megabytes:8.0f} MB")
