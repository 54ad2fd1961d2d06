"""From the bytes of one image to its digit or number, without HTTP, on one core: time, and memory
above rest.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tests.fakes import draw_digit, encode, write_digits

PROGRAM = """
import os, sys, statistics, tempfile, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from flaskapi import create_app
from flaskapi.digits.outline import read_outline
from flaskapi.reading.reader import Limits, Reader
app = create_app({"INSTANCE_PATH": tempfile.mkdtemp(), "LOG_LEVEL": "ERROR"})
classifier, detector = app.extensions["flaskapi"].classifier, app.extensions["flaskapi"].detector
reader = Reader(classifier, detector, Limits(10**9, 0.5))
def read(data):
    if sys.argv[2] == "number":
        return reader.number(data)
    return reader.digit(data)
def status(name):
    status = open("/proc/self/status").read()
    return int(status.partition(name + ":")[2].split()[0]) / 1000
data, rest, times = open(sys.argv[1], "rb").read(), status("VmRSS"), []
deadline = time.perf_counter() + 3
while time.perf_counter() < deadline:
    started = time.perf_counter()
    read(data)
    times.append(time.perf_counter() - started)
def median_ms(do, count):
    times = []
    for _ in range(count):
        started = time.perf_counter()
        do()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
batch = np.zeros((1, 28, 28, 1), np.float32)
network = median_ms(lambda: classifier.probabilities(batch), 500)
check = median_ms(lambda: read_outline(data), 100)
print(statistics.median(times) * 1000, status("VmHWM") - rest, network, check)
"""
ROUNDS = 3


def main() -> None:
    """Print the median of some seconds for each kind of picture, the best of three rounds in
    turn.
    """
    digits = {
        "28x28 PNG": encode(draw_digit(5, side=28)),
        "640x640 JPEG": _photo(640, 640),
        "12 megapixel JPEG": _photo(4000, 3000),
    }
    numbers = {
        "10 digits, 800x200 PNG": encode(_line("0551234678", 800, 200)),
        "10 digits, 12 megapixel JPEG": encode(
            _light(_line("0551234678", 4000, 3000)), "JPEG", quality=90
        ),
        "40 digits, 12 megapixel JPEG": encode(_light(_page(4000, 3000)), "JPEG", quality=90),
    }
    files = {("digit", name): data for name, data in digits.items()} | {
        ("number", name): data for name, data in numbers.items()
    }
    results: dict[tuple[str, str], list[list[float]]] = {key: [] for key in files}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for key, data in files.items():
                path = Path(folder) / "image"
                path.write_bytes(data)
                done = subprocess.run(
                    [sys.executable, "-c", PROGRAM, str(path), key[0]],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                results[key].append([float(figure) for figure in done.stdout.split()])
    print("\nOne image, from bytes to digit or number, on one core:")
    for (_, name), rows in results.items():
        print(
            f"  {name:30}{min(row[0] for row in rows):8.2f} ms{min(row[1] for row in rows):8.0f} "
            f"MB above rest, {min(row[3] / row[0] for row in rows):6.2%} to check its structure"
        )
    print(
        f"  {'the classifier alone':30}"
        f"{min(row[2] for rows in results.values() for row in rows):8.2f} ms"
    )


def _line(text: str, width: int, height: int) -> np.ndarray:
    """A line of digits as wide as the white page, `uint8 (height, width)`."""
    ink = np.zeros((height, width), np.uint8)
    size = 0.95 * width / (0.9 * len(text))
    write_digits(
        ink, text, 0.03 * width, (height - size) / 2, height=size, pen=max(2, round(size / 14))
    )
    return 255 - ink


def _page(width: int, height: int) -> np.ndarray:
    return np.concatenate([_line("0551234678", width, height // 4) for _ in range(4)])


def _photo(width: int, height: int) -> bytes:
    """Ink on paper under uneven light, with the grain of a sensor, as a colour JPEG."""
    side = min(width, height)
    page = np.full((height, width), 255, np.float32)
    page[:side, :side] = draw_digit(5, side=side, thickness=side // 40)
    return encode(_light(page), "JPEG", quality=90)


def _light(page: np.ndarray) -> np.ndarray:
    """Put a page under uneven light and before a sensor with grain: `uint8 (height, width, 3)`."""
    light = np.linspace(0.85, 0.6, page.shape[1], dtype=np.float32)
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 6, page.shape), (0, 0), 0.7)
    grey = np.clip(page * light + 20 + grain, 0, 255).astype(np.uint8)
    return np.stack([grey] * 3, axis=2)
