"""Millions of images: images/s a core of `score`, here and on a Ray cluster of two nodes, its share
of the speed of `predict`, memory, and the cost of a million.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.sources.mnist import load_dataset
from tests.clusters import RayCluster, ray_cluster, why_no_ray
from tests.fakes import draw_digit, encode
from tests.instances import cpu_s

IMAGES, MILLION, ROUNDS, ARCHIVES = 20_000, 1_000_000, 3, 4
DISTINCT = 2_000  # pictures, which then repeat themselves under other names
SIZES = {28: 0.70, 56: 0.15, 112: 0.10, 280: 0.05}  # of the sides in pixels; the largest as JPEG
USD_PER_CORE_HOUR = 0.05  # what large clouds ask for a core of their general machines, on demand
TIMEOUT_S = 7200
_LOOK_S = 0.1
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


class Run(NamedTuple):
    """What a command took: seconds of the processor, seconds, and MB of its largest process."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def main(data: Path | None = None, images: int = IMAGES, turns: int = ROUNDS) -> None:
    """Measure both commands in turn and print a table."""
    with tempfile.TemporaryDirectory(prefix="flaskapi-bench-") as made, ExitStack() as ending:
        folder = Path(made)
        os.environ["FLASKAPI_INSTANCE_PATH"] = str(folder / "instance")  # of the cluster, too
        cluster = None if why_no_ray() else ending.enter_context(ray_cluster())
        sources = make_archives(folder, data, images)
        (folder / "one").mkdir()
        one = make_archives(folder / "one", data, 1)
        rounds: dict[str, list[Run]] = {"predict": [], "score": []}
        rounds |= {"on Ray": []} if cluster else {}
        for number in range(turns):
            for name, found in rounds.items():
                start, whole = (
                    measure_on(cluster, files, folder / f"ray{number}{len(files)}")
                    if cluster and name == "on Ray"
                    else measure(name, files, folder / f"{name}{number}{len(files)}")
                    for files in (one, sources)
                )
                found.append(Run(whole.cpu_s - start.cpu_s, whole.wall_s, whole.peak_mb))
        print_rates(rounds, images, "MNIST's test digits" if data else "drawn digits")


def make_archives(folder: Path, data: Path | None, count: int) -> list[Path]:
    """Write pictures of mixed sizes into tar files."""
    pictures = make_pictures(data)
    paths = [folder / f"{number}.tar" for number in range(min(ARCHIVES, count))]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w") as archive:
            for place in range(number, count, len(paths)):
                info = tarfile.TarInfo(f"{place:08}")
                info.size = len(content := pictures[place % len(pictures)])
                archive.addfile(info, BytesIO(content))
    return paths


def make_pictures(data: Path | None) -> list[bytes]:
    """Pictures of MNIST's test digits, or of drawn ones, in mixed sizes."""
    rng = np.random.default_rng(0)
    digits: Iterable[npt.NDArray[np.uint8]]
    if data:
        digits = load_dataset(data).test_images[:DISTINCT]
    else:
        drawn = [draw_digit(digit, side=28, dark_on_light=False) for digit in range(10)]
        digits = [drawn[place % 10] for place in range(DISTINCT)]
    sides = rng.choice([*SIZES], DISTINCT, p=[*SIZES.values()])
    return [
        encode(cv2.resize(digit, (side, side), interpolation=cv2.INTER_CUBIC), form)  # type: ignore[arg-type]
        for digit, side in zip(digits, sides, strict=True)
        for form in ["JPEG" if side == max(SIZES) else "PNG"]
    ]


def measure(name: str, sources: list[Path], target: Path) -> Run:
    """Run `predict` or `score` in one process."""
    options = {
        "predict": [*sources, "--output", "parquet", "--to", target.with_suffix(".parquet")],
        "score": [*sources, target, "--processes", "1"],
    }[name]
    command = [sys.executable, "-m", "flaskapi", name, *map(str, options)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | THREADS, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: a picture has no answer
        sys.exit(f"error: {' '.join(command)}: status {process.returncode}")
    if target.is_dir():
        shutil.rmtree(target)
    wall_s = time.perf_counter() - started
    return Run(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss / 1000)


def measure_on(cluster: RayCluster, sources: list[Path], target: Path) -> Run:
    """Run `score` on a cluster; its nodes' own work counts, and the MB are of the command alone.

    Ray ends its workers with the command, so what each process has taken is looked at meanwhile.
    """
    before = {process: cpu_s(process) for process in cluster.processes()}
    taken, started = dict(before), time.perf_counter()
    process = cluster.score(*sources, target)
    assert process.stderr
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(process.stderr.read)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            for one in cluster.processes():
                taken[one] = max(taken.get(one, 0.0), cpu_s(one))
            time.sleep(_LOOK_S)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode not in (0, 1):
        sys.exit(f"error: score on Ray: status {process.returncode}: {said.result()}")
    wall_s = time.perf_counter() - started
    shutil.rmtree(target)
    nodes_s = sum(taken.values()) - sum(before.values())
    return Run(used.ru_utime + used.ru_stime + nodes_s, wall_s, used.ru_maxrss / 1000)


def print_rates(rounds: dict[str, list[Run]], images: int, what: str) -> None:
    """Print medians; a rate is images for each second of the processor, without the start."""
    cpu_s = {name: statistics.median(run.cpu_s for run in found) for name, found in rounds.items()}
    million_s = cpu_s["score"] / images * MILLION
    kind = "measured" if images >= MILLION else f"from {images:,}, not measured"
    print(
        f"\n{images:,} images, {what} in {', '.join(map(str, SIZES))} pixels, from tar files; one "
        f"process,\nmedian of {len(rounds['score'])} rounds in turn, seconds of the processor "
        f"without the start:"
    )
    for name in rounds:
        peak = max(run.peak_mb for run in rounds[name])
        print(f"  {name:8} {images / cpu_s[name]:8,.0f} images/s a core, {peak:4.0f} MB at most")
    for name in list(rounds)[1:]:
        both = zip(rounds["predict"], rounds[name], strict=True)
        share = statistics.median(one.cpu_s / other.cpu_s for one, other in both)
        print(f"  {name} has {share:.2f} of the speed of predict")
    print(
        f"  a million images: {million_s:,.0f} s of the processor, "
        f"{cost_usd(million_s):.4f} USD at {USD_PER_CORE_HOUR} USD a core-hour ({kind})"
    )


def cost_usd(cpu_s: float) -> float:
    """What seconds of a processor cost.

    >>> cost_usd(3600)
    0.05
    """
    return cpu_s / 3600 * USD_PER_CORE_HOUR
