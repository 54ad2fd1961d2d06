"""From ten thousand to a billion images a day: what each part has to do, what gives way first, and
how long requests wait, by arithmetic and a simulated queue.
"""

import heapq
import math
import random
from typing import NamedTuple

from benchmarks.score import cost_usd

DAY_S, MONTH_DAYS = 86_400, 30
DAYS = [10_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]  # images


class Assumption(NamedTuple):
    """A figure that the rest follows from, and where it is from."""

    name: str
    value: float
    unit: str
    source: str


ASSUMPTIONS = [
    Assumption("peak", 3, "times the mean", "assumed: the busiest hour of a working day"),
    Assumption("busy", 0.6, "of a core", "assumed: above it waiting grows fast, see below"),
    Assumption("cores", 8, "an instance", "assumed: a common size of machine"),
    Assumption("ask", 645, "requests/s a core", "docs/figures.md: 1,290 on two, nothing kept"),
    Assumption("keep", 376, "requests/s a core", "docs/submissions.md: 752 on two, PostgreSQL"),
    Assumption(
        "bulk", 3970, "images/s a core", "docs/figures.md: 28x28 PNGs by score, with its start"
    ),
    Assumption("rows", 752, "rows/s a database", "that line; the least, for all shared two cores"),
    Assumption("row", 1900, "bytes a row", "docs/submissions.md: a 28x28 PNG with its row"),
    Assumption("disk", 4e12, "bytes a database", "assumed: what is backed up in a night"),
    Assumption("kept", 30, "days", "assumed: KEEP_DAYS = 30"),
    Assumption("wire", 1200, "bytes a request", "assumed: a 28x28 PNG, its form and its answer"),
    Assumption("balancer", 1.25e9, "bytes/s", "assumed: a wire of 10 Gbit/s"),
]
VALUES = {assumption.name: assumption.value for assumption in ASSUMPTIONS}


class Needs(NamedTuple):
    """What a number of images a day asks for: cores, and how many machines' worth of the rest."""

    peak_per_s: float
    cores_to_ask: float
    cores_to_keep: float
    cores_in_bulk: float
    instances: float
    writes: float
    disks: float
    wires: float


def find_needs(images: float, values: dict[str, float] = VALUES) -> Needs:
    """What `images` a day need; 1 is a whole instance, database, disk or wire."""
    mean = images / DAY_S
    peak = mean * values["peak"]
    keep = peak / values["keep"] / values["busy"]
    return Needs(
        peak,
        peak / values["ask"] / values["busy"],
        keep,
        mean / values["bulk"],  # at any hour, and on cores that do nothing else
        keep / values["cores"],
        peak / values["rows"],
        images * values["kept"] * values["row"] / values["disk"],
        peak * values["wire"] / values["balancer"],
    )


def find_limits(values: dict[str, float] = VALUES) -> dict[str, float]:
    """How many images a day one of each carries: one instance, database, disk and wire."""
    one = find_needs(1.0, values)
    return {
        "the cores of one instance": 1 / one.instances,
        "the writes of one database": 1 / one.writes,
        "the disk of one database": 1 / one.disks,
        "the wire of one balancer": 1 / one.wires,
    }


def simulate_wait(busy: float, servers: int, requests: int = 200_000, seed: int = 0) -> list[float]:
    """How long requests wait for one of several servers, sorted, in times of service.

    They arrive by chance, independently (a Poisson process), and each takes the time 1.

    Args:
        busy: the share of the time for which a server works.
        servers: how many there are; all requests wait in one queue.
        requests: how many to simulate.
        seed: of the arrivals.
    """
    rng, now, waits = random.Random(seed), 0.0, list[float]()
    free_at = [0.0] * servers  # a heap: when each has nothing to do
    for _ in range(requests):
        now += rng.expovariate(busy * servers)
        begins = max(now, free_at[0])
        heapq.heapreplace(free_at, begins + 1)
        waits.append(begins - now)
    return sorted(waits)


def main() -> None:
    """Print the assumptions, the needs, the limits and the waiting, as tables of Markdown."""
    print("\n| assumption | | from |\n|---|---|---|")
    for name, value, unit, source in ASSUMPTIONS:
        print(
            f"| {name} | {value:,.0f} {unit} | {source} |"
            if value >= 1
            else f"| {name} | {value} {unit} | {source} |"
        )
    print(
        "\n| images a day | requests/s at the peak | cores: asked, kept, in bulk | instances | "
        "databases by writes | by disk | wires | USD a day in bulk |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for images in DAYS:
        needs = find_needs(images)
        cores = (needs.cores_to_ask, needs.cores_to_keep, needs.cores_in_bulk)
        print(
            f"| {images:,} | {needs.peak_per_s:,.0f} | {', '.join(f'{n:.1f}' for n in cores)} | "
            f"{math.ceil(needs.instances)} | {needs.writes:.2f} | {needs.disks:.2f} | "
            f"{needs.wires:.3f} | {cost_usd(images / VALUES['bulk']):.2f} |"
        )
    print("\n| one of them carries | images a day |\n|---|---|")
    for name, images in sorted(find_limits().items(), key=lambda limit: limit[1]):
        print(f"| {name} | {images / 1e6:,.0f} million |")
    print(
        "\n| busy | servers | mean wait | 99th percentile, in times of service |\n|---|---|---|---|"
    )
    for busy in (0.5, 0.6, 0.8, 0.95):
        for servers in (2, 8):
            waits = simulate_wait(busy, servers)
            mean, late = sum(waits) / len(waits), waits[int(0.99 * len(waits))]
            print(f"| {busy} | {servers} | {mean:.2f} | {late:.1f} |")
