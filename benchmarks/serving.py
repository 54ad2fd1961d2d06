"""Requests per second, latency, processor and memory of this service, the limit and its peers, in
one interleaved run; a table and a plot for docs/figures.md.
"""

import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2

from benchmarks.contenders import Contender, MissingContenderError, Running, find_contenders
from benchmarks.load import Load, cpu_s, largest_mb, memory_mb, prepare, send
from benchmarks.plot import draw_bars
from tests.databases import Postgres, why_no_postgres
from tests.fakes import draw_digit, encode
from tests.servers import ROOT

ROUNDS, SECONDS = 3, 3
CASES = [  # a picture, and how many ask at once
    ("28x28 PNG", 8),
    ("28x28 PNG", 1),
    ("28x28 PNG", 64),
    ("280x280 PNG", 8),
    ("12 megapixel JPEG", 8),
]
PLOT = ROOT / "docs" / "serving.svg"
LIMIT = "the limit"


class Measured(NamedTuple):
    """A run of wrk, and the milliseconds of the processor that a request took in it."""

    load: Load
    cpu_ms: float


def main(rounds: int = ROUNDS, seconds: int = SECONDS) -> None:
    """Print a table in Markdown for each case, and write the plot of the first."""
    with ExitStack() as stack:
        folder, _ = stack.enter_context(prepare())
        database = None
        if (reason := why_no_postgres()) is None:
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres")
            stack.callback(postgres.stop)
            database = postgres.make_database()
        else:
            print(f"Left out: PostgreSQL. {reason}")
        servers = _start(stack, folder, find_contenders(database))
        loads = _write_loads(folder, [contender for contender, _ in servers.values()])
        results = _measure(servers, loads, rounds, seconds)
        memory = {
            name: (memory_mb(running.pid), largest_mb(running.pid))
            for name, (_, running) in servers.items()
        }
    for case in CASES:
        _print(case, {name: found[case] for name, found in results.items() if case in found})
    print("\n| after the load | MB of all processes | of the largest | s to the first answer |")
    print("|---|---|---|---|")
    for name, (_, running) in servers.items():
        whole, largest = memory[name]
        print(f"| {name} | {whole:.0f} | {largest:.0f} | {running.start_s:.1f} |")
    shown = {name: _median(found[CASES[0]]) for name, found in results.items()}
    PLOT.write_text(
        draw_bars(
            f"Requests a second: {CASES[0][0]}, {CASES[0][1]} clients",
            {name: found.load.rate for name, found in shown.items()},
        ),
        "utf-8",
    )
    print(f"\nWrote {PLOT.relative_to(ROOT)}.")


def _start(
    stack: ExitStack, folder: Path, contenders: list[Contender]
) -> dict[str, tuple[Contender, Running]]:
    servers = {}
    for place, contender in enumerate(contenders):
        try:
            running = stack.enter_context(contender.start(folder / str(place)))
            servers[contender.name] = contender, running
        except MissingContenderError as error:
            print(f"Left out: {contender.name}. {error}")
    return servers


def _write_loads(folder: Path, contenders: list[Contender]) -> dict[tuple[str, str], Path]:
    """What wrk sends each contender, of each picture."""
    small = draw_digit(7, side=280, dark_on_light=False)
    large = cv2.resize(draw_digit(7, side=1000), (4000, 3000))
    pictures = {
        "28x28 PNG": encode(draw_digit(7, side=28, dark_on_light=False)),
        "280x280 PNG": encode(small),
        "12 megapixel JPEG": encode(large, "JPEG", quality=90),
    }
    return {
        (contender.name, picture): contender.write_load(
            folder / f"{place}-{picture.replace(' ', '-')}.lua", image
        )
        for place, contender in enumerate(contenders)
        for picture, image in pictures.items()
        if contender.decodes or picture == "28x28 PNG"
    }


def _measure(
    servers: dict[str, tuple[Contender, Running]],
    loads: dict[tuple[str, str], Path],
    rounds: int,
    seconds: int,
) -> dict[str, dict[tuple[str, int], list[Measured]]]:
    """Let all contenders take turns, case by case; the first turn of each is not counted."""
    results: dict[str, dict[tuple[str, int], list[Measured]]] = {name: {} for name in servers}
    for case in CASES:
        picture, clients = case
        for turn in range(rounds + 1):
            for name, (_, running) in servers.items():
                if (name, picture) not in loads:
                    continue
                before_s = cpu_s(running.pid)
                length_s = seconds if turn else 1
                load = send(running.address, loads[name, picture], clients, seconds=length_s)
                took_s = cpu_s(running.pid) - before_s
                if turn:
                    measured = Measured(load, 1000 * took_s / max(1, load.requests))
                    results[name].setdefault(case, []).append(measured)
    return results


def _median(runs: list[Measured]) -> Measured:
    """The run in the middle, by requests/s."""
    return sorted(runs, key=lambda run: run.load.rate)[len(runs) // 2]


def _print(case: tuple[str, int], results: dict[str, list[Measured]]) -> None:
    rates = {
        name: statistics.median(run.load.rate for run in runs) for name, runs in results.items()
    }
    print(f"\n{case[0]}, clients: {case[1]}\n")
    print("| server | requests/s | of the limit | p50 ms | p99 ms | CPU ms a request | failed |")
    print("|---|---|---|---|---|---|---|")
    for name, runs in results.items():
        p50, p99, cpu_ms = (
            statistics.median(figures)
            for figures in zip(
                *((run.load.p50_ms, run.load.p99_ms, run.cpu_ms) for run in runs), strict=True
            )
        )
        failed = sum(run.load.failed for run in runs)
        print(
            f"| {name} | {rates[name]:.0f} | {rates[name] / rates[LIMIT]:.2f} | {p50:.1f} | "
            f"{p99:.1f} | {cpu_ms:.2f} | {failed} |"
        )
