"""What promotions cost: memory before and after 50 of them, how long each takes, and latency with a
candidate in the shadow.
"""

import random
import statistics
import time
from pathlib import Path

from benchmarks.load import CONNECTIONS, measure, prepare
from flaskapi.versions.registry import Registry
from tests.model_files import MODELS, make_artifact
from tests.servers import Server, apache

PROMOTIONS, ROUNDS, SECONDS, SHARES = 50, 24, 2, (0.1, 1.0)


def main() -> None:
    """Print memory and times of promotions, then a table of latencies."""
    with (
        prepare() as (folder, load),
        apache(folder / "server", VERSIONS_PATH='"versions"') as server,
    ):
        instance = server.folder / "instance"
        registry = Registry(instance / "versions", MODELS / "my_model.h5", instance / "cache")
        names = [registry.add(make_artifact(folder / str(mark), mark)).name for mark in range(3)]
        _promote(server, registry, names, load)
        _shadow(server, registry, names[2], load)


def _promote(server: Server, registry: Registry, names: list[str], load: Path) -> None:
    measure(server, load, seconds=4)
    before, times = _memory_mb(server), []
    for count in range(PROMOTIONS):
        begun_s, generation = (
            time.monotonic(),
            registry.promote(names[count % 2], "benchmark").generation,
        )
        while {generation} != {
            one["generation"] for one in server.ask("/health/ready").json["processes"]
        }:
            time.sleep(0.02)
        times.append(time.monotonic() - begun_s)
        if count % 10 == 0:
            measure(server, load, seconds=1)
    time.sleep(2)
    after = _memory_mb(server)
    print(f"{PROMOTIONS} promotions, three processes under Apache; until all of them serve it:")
    print(f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s")
    print(f"{'process':10}{'MB before':>12}{'MB after':>12}{'ratio':>8}")
    for pid in before:
        print(f"{pid:<10}{before[pid]:12.1f}{after[pid]:12.1f}{after[pid] / before[pid]:8.3f}")


def _shadow(server: Server, registry: Registry, name: str, load: Path) -> None:
    print(
        f"28x28 PNG by multipart upload, SQLite; wrk -t1 -c{CONNECTIONS}; {ROUNDS} rounds of "
        f"{SECONDS} s for each share, in an order"
    )
    print(
        "drawn anew for each round; medians, and of p50 the median ratio to that without a shadow "
        "in the same round, with its quartiles"
    )
    results: dict[float, list[tuple[float, float, float]]] = {share: [] for share in (0.0, *SHARES)}
    for _ in range(ROUNDS):
        for share in random.sample([*results], len(results)):
            registry.set_shadow(name if share else None, share)
            time.sleep(1)  # until every process has seen it
            results[share].append(measure(server, load, seconds=SECONDS))
    print(
        f"{'in the shadow':16}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'p50 of that without':>21}{'quartiles':>16}"
    )
    for share, measured in results.items():
        rate, p50, p99 = (statistics.median(column) for column in zip(*measured, strict=True))
        ratios = [one[1] / without[1] for one, without in zip(measured, results[0.0], strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        print(f"{share:<16g}{rate:12.0f}{p50:9.2f}{p99:9.1f}{ratio:21.3f}{low:10.3f}{high:6.3f}")


def _memory_mb(server: Server) -> dict[int, float]:
    """The resident set of each daemon, in MB."""
    found = {}
    for pid in server.daemons():
        status = Path(f"/proc/{pid}/status").read_text()
        found[pid] = int(status.partition("VmRSS:")[2].split()[0]) / 1000
    return found
