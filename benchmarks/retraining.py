"""What one retraining takes of time and memory, with forty labels and with a thousand."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.circle import HANDS, Tried, write
from benchmarks.learner import Learner

COUNTS = (40, 1000)
HAND = "wide"


def main(data: Path) -> None:
    """Label digits of one hand, and run `python -m flaskapi retrain` as a user would.

    Args:
        data: where MNIST lies.
    """
    tried = Tried(data)
    print("| labels | s | CPU s | MB at most | it said |\n|---|---|---|---|---|", flush=True)
    for count in COUNTS:
        with tempfile.TemporaryDirectory(prefix="flaskapi-retraining-") as folder:
            images, labels = (part[-count:] for part in tried.held_out)
            Learner(Path(folder), data).send(write(HANDS[HAND], images, labels), labels.tolist())
            print(f"| {count:,} | {_retrain(Path(folder), data)} |", flush=True)


def _retrain(folder: Path, data: Path) -> str:
    """Run it on the labels in a folder, and give the columns that say what it took."""
    command = [sys.executable, "-m", "flaskapi", "retrain", "--data", str(data)]
    settings = {
        "FLASKAPI_INSTANCE_PATH": str(folder),
        "FLASKAPI_VERSIONS_PATH": "versions",
        "FLASKAPI_STORE": "on",
    }
    said, started_s = folder / "said", time.perf_counter()
    with said.open("wb") as output:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=output)
        _, status, used = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s, megabytes = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6
    last = said.read_text("utf-8").strip().splitlines()[-1]
    return f"{took_s:.0f} | {cpu_s:.0f} | {megabytes:.0f} | {last}"
