"""From the bytes of one image to its digit, without HTTP, on one core: time, and memory above rest."""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tests.fakes import draw_digit, encode

PROGRAM = """
import os, sys, statistics, tempfile, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from flaskapi import create_app
from flaskapi.recognition import predict_digit
app = create_app({"INSTANCE_PATH": tempfile.mkdtemp(), "LOG_LEVEL": "ERROR"})
classifier = app.extensions["flaskapi"].classifier
def status(name):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(name))) / 1000
data, rest, times = open(sys.argv[1], "rb").read(), status("VmRSS"), []
deadline = time.perf_counter() + 3
while time.perf_counter() < deadline:
    started = time.perf_counter()
    predict_digit(data, classifier, max_pixels=10**9, uncertain_below=0.5)
    times.append(time.perf_counter() - started)
batch, network = np.zeros((1, 28, 28, 1), np.float32), []
for _ in range(500):
    started = time.perf_counter()
    classifier.probabilities(batch)
    network.append(time.perf_counter() - started)
print(statistics.median(times) * 1000, status("VmHWM") - rest, statistics.median(network) * 1000)
"""
ROUNDS = 3


def main() -> None:
    """Print the median of some seconds for each kind of picture, the best of three rounds in turn."""
    files = {"28x28 PNG": encode(draw_digit(5, side=28)), "640x640 JPEG": _photo(640, 640), "12 megapixel JPEG": _photo(4000, 3000)}
    results: dict[str, list[list[float]]] = {name: [] for name in files}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name, data in files.items():
                path = Path(folder) / "image"
                path.write_bytes(data)
                done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
                results[name].append([float(figure) for figure in done.stdout.split()])
    print("\nOne image, from bytes to digit, on one core:")
    for name, rows in results.items():
        print(f"  {name:20}{min(row[0] for row in rows):8.2f} ms{min(row[1] for row in rows):8.0f} MB above rest")
    print(f"  {'the network alone':20}{min(row[2] for rows in results.values() for row in rows):8.2f} ms")


def _photo(width: int, height: int) -> bytes:
    """Ink on paper under uneven light, with the grain of a sensor, as a colour JPEG."""
    side, rng = min(width, height), np.random.default_rng(0)
    page = np.full((height, width), 255, np.float32)
    page[:side, :side] = draw_digit(5, side=side, thickness=side // 40)
    light = np.linspace(0.85, 0.6, width, dtype=np.float32)
    grey = np.clip(page * light + 20 + cv2.GaussianBlur(rng.normal(0, 6, page.shape), (0, 0), 0.7), 0, 255).astype(np.uint8)
    return encode(np.stack([grey] * 3, axis=2), "JPEG", quality=90)
