"""Three instances behind Apache's balancer, each in a network of its own: one is killed, frozen and
cut off under load, versions are promoted, each is restarted; then what a request costs of the
processor with one instance and with three. Bounded, in under five minutes.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from flaskapi.submissions.database import Database
from flaskapi.versions.shared import SharedRegistry
from tests.databases import why_no_postgres
from tests.instances import (
    Asked,
    Clients,
    Cluster,
    balancer,
    count_receipts,
    count_wrong,
    family_cpu_s,
    instances,
    watch,
    why_no_namespaces,
)
from tests.model_files import MODELS, make_artifact
from tests.servers import Server, why_no_apache

PROMOTIONS, ROUNDS, COST_S, CLIENTS, PAUSE_S = 10, 3, 6.0, 4, 0.2


def main() -> None:
    """Print a table of what clients saw, and one of costs."""
    missing = why_no_apache() or why_no_postgres() or why_no_namespaces()
    if missing or shutil.which("redis-server") is None:
        sys.exit(f"error: {missing or 'Redis is not installed: apt install redis-server'}")
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-bench-"))
    folder.chmod(0o755)
    try:
        with instances(folder) as cluster:
            with balancer(folder / "balancer", cluster.members) as server:
                _print_outcomes(folder, cluster, server)
            _print_costs(folder, cluster)
    finally:
        shutil.rmtree(folder)


def _print_outcomes(folder: Path, cluster: Cluster, server: Server) -> None:
    first, second, third = cluster.members
    steps: dict[str, tuple[Callable[[], object], Callable[[], object], float]] = {
        "nothing": (lambda: None, lambda: None, 4),
        "one killed (SIGKILL), later started": (
            lambda: first.send(signal.SIGKILL),
            first.start,
            8,
        ),
        "one frozen (SIGSTOP), later thawed": (
            lambda: second.send(signal.SIGSTOP),
            lambda: second.send(signal.SIGCONT),
            8,
        ),
        "one cut off, later connected": (third.wire.cut, third.wire.mend, 8),
        "each restarted in turn": (lambda: _restart(cluster), lambda: None, 1),
    }
    print(f"{'':38}{'requests':>9}{'sent again':>12}{'lost':>6}{'longest s':>11}{'last s':>8}")
    asked = list[Asked]()
    with _operator(folder, cluster) as promote:
        steps[f"{PROMOTIONS} promotions, waited for"] = (promote, lambda: None, 1)
        for name, (do, undo, lasts_s) in steps.items():
            seen = watch(server, do, undo, lasts_s=lasts_s)
            asked += seen.asked
            print(
                f"{name:38}{len(seen.asked):9,}{seen.repeated:12}{seen.lost:6}"
                f"{seen.longest_s:11.2f}{seen.last_failure_s:8.2f}  {', '.join(seen.reasons)}"
            )
    receipts = count_receipts(cluster.url, asked)
    print(
        f"{receipts.answered:,} receipts: {receipts.missing} not kept, {receipts.twice} twice; "
        f"{count_wrong(asked)} wrong answers."
    )


def _restart(cluster: Cluster) -> None:
    for one in cluster.members:
        one.stop()
        one.start()


@contextmanager
def _operator(folder: Path, cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Who promotes, and waits each time until all processes of all instances serve it."""
    store = Database(cluster.url, "process")
    own = folder / "operator"
    registry = SharedRegistry(own / "versions", MODELS / "my_model.h5", own, store)
    no_card = subprocess.CompletedProcess((), 1)
    with mock.patch("flaskapi.versions.version.run_command", return_value=no_card):
        names = [registry.add(make_artifact(own / str(mark), mark)).name for mark in range(2)]

    def promote() -> None:
        times = list[float]()
        for count in range(PROMOTIONS):
            begun_s = time.monotonic()
            generation = registry.promote(names[count % 2], "benchmark").generation
            while {generation} != {one.generation for one in registry.reports()}:
                time.sleep(0.05)
            times.append(time.monotonic() - begun_s)
        many = len(registry.reports())
        print(f"All {many} processes serve a promotion after {max(times):.1f} s at most.")

    try:
        yield promote
    finally:
        store.close()


class Spent(NamedTuple):
    """Seconds of the processor, and how many requests were answered meanwhile."""

    instances_s: float
    balancer_s: float
    requests: int


def _print_costs(folder: Path, cluster: Cluster) -> None:
    """Weigh requests to one instance and to all, in turn, without what idle ones take.

    Each instance is asked as often: a busy one shares transactions and finds its caches warm.
    """
    with (
        balancer(folder / "all", cluster.members) as all_,
        balancer(folder / "alone", cluster.members[:1]) as alone,
    ):
        idle = _measure(all_, cluster, clients=0)
        spent: dict[int, list[Spent]] = {1: [], len(cluster.members): []}
        for _ in range(ROUNDS):
            for many, server in zip(spent, (alone, all_), strict=True):
                spent[many].append(_measure(server, cluster, clients=many * CLIENTS))
    each = {}
    print(f"\n{'instances':>9}{'requests':>10}{'ms of CPU each':>16}{'of the balancer':>17}")
    for many, rounds in spent.items():
        requests = sum(one.requests for one in rounds)
        instances_s = sum(one.instances_s for one in rounds) - ROUNDS * idle.instances_s
        balancer_s = sum(one.balancer_s for one in rounds)
        each[many] = 1000 * instances_s / requests
        print(f"{many:9}{requests:10,}{each[many]:16.2f}{1000 * balancer_s / requests:17.2f}")
    few, many = each
    print(
        f"Idle, all take {idle.instances_s / COST_S:.3f} s of CPU in a second. With the same CPU "
        f"each, {many} answer {many * each[few] / each[many]:.2f} times what one does."
    )


def _measure(server: Server, cluster: Cluster, *, clients: int) -> Spent:
    """Ask, and weigh all processes before and after."""

    def weigh() -> tuple[float, float]:
        return sum(one.cpu_s() for one in cluster.members), family_cpu_s(server.process.pid)

    with Clients(server, clients, pause_s=PAUSE_S) as asking:
        time.sleep(1)
        before, asked = weigh(), len(asking.asked)
        time.sleep(COST_S)
        after, many = weigh(), len(asking.asked) - asked
    return Spent(after[0] - before[0], after[1] - before[1], many)
