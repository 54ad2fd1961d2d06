"""What keeping costs: requests per second under Apache with SQLite, with PostgreSQL and without a
store, in one interleaved run.
"""

import statistics
from contextlib import ExitStack

from benchmarks.load import CONNECTIONS, measure, prepare
from tests.databases import Postgres, why_no_postgres
from tests.servers import apache

ROUNDS, SECONDS = 5, 2


def main(rounds: int = ROUNDS) -> None:
    """Print a table: requests/s, their share of those without a store, latencies."""
    with ExitStack() as stack:
        folder, load = stack.enter_context(prepare(why_no_postgres()))
        print(
            "28x28 PNG by multipart upload; Apache, 2 processes x 3 threads, load and databases on "
            "the same machine;"
        )
        print(f"wrk -t1 -c{CONNECTIONS}; median of {rounds} rounds of {SECONDS} s, in turn")
        (folder / "postgres").mkdir()
        postgres = Postgres(folder / "postgres")
        stack.callback(postgres.stop)
        settings = {
            "no store": {"STORE": '"off"'},
            "SQLite": {},
            "SQLite, power": {"STORE_DURABILITY": '"power"'},
            "PostgreSQL": {"DATABASE_URL": f'"{postgres.make_database()}"'},
        }
        servers = {
            name: stack.enter_context(apache(folder / str(n), **more))
            for n, (name, more) in enumerate(settings.items())
        }
        results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in servers}
        for server in servers.values():
            measure(server, load, seconds=1)
        for _ in range(rounds):
            for name, server in servers.items():
                results[name].append(measure(server, load, seconds=SECONDS))
        kept = {name: server.ask("/metrics").body.decode() for name, server in servers.items()}
    without = statistics.median(rate for rate, _, _ in results["no store"])
    print(f"{'':16}{'requests/s':>12}{'of no store':>13}{'p50 ms':>9}{'p99 ms':>9}{'not kept':>10}")
    for name, measured in results.items():
        rate, p50, p99 = (statistics.median(column) for column in zip(*measured, strict=True))
        lost = sum(
            float(line.split()[1])
            for line in kept[name].splitlines()
            if line.startswith('flaskapi_submissions_total{kept="false"}')
        )
        print(f"{name:16}{rate:12.0f}{rate / without:13.2f}{p50:9.1f}{p99:9.1f}{lost:10.0f}")
