"""What the service stands: slow clients, killed and stopped processes, reloads, promotions,
overload, a full disk, a database that stops or is replaced. Under Apache, bounded, in under ten
minutes.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import outages, stress
from benchmarks.clients import SLOW
from tests.servers import Server, apache, why_no_apache


def main(only: Sequence[str] = ()) -> None:
    """Print a table: what was done, and what became of the requests meanwhile.

    Args:
        only: words of which a step's name has one; all steps but the long ones where there are
            none.
    """
    if missing := why_no_apache():
        sys.exit(f"error: {missing}")

    def wanted(steps: dict[str, Callable[[Any], str]]) -> dict[str, Callable[[Any], str]]:
        return {
            name: run
            for name, run in steps.items()
            if not only or any(word in name for word in only)
        }

    print(f"{'what':58}  what became of it")
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-bench-"))
    folder.chmod(0o755)
    try:
        if steps := wanted(STEPS | LONG_STEPS if only else STEPS):
            with apache(folder / "server", VERSIONS_PATH='"versions"') as server:
                for name, run in steps.items():
                    _print(name, run, server)
        for name, run in wanted(OWN_STEPS).items():
            _print(name, run, folder)
    finally:
        shutil.rmtree(folder)


def _print(name: str, run: Callable[..., str], subject: Server | Path) -> None:
    begun_s = time.monotonic()
    try:
        told = run(subject)
    except Exception as error:  # one step that cannot be taken does not end the others
        told = f"could not be measured: {type(error).__name__}: {error}"
    print(f"{name:58}  {told}  [{time.monotonic() - begun_s:.0f} s]", flush=True)


STEPS: dict[str, Callable[[Server], str]] = {
    f"{SLOW} clients send headers slowly, {stress.SLOW_S} s": stress.slow("headers"),
    f"{SLOW} clients send bodies at 10 bytes a second": stress.slow("bodies"),
    f"{SLOW} clients send bodies at 12 kB a second": stress.slow("large bodies"),
    f"{SLOW} clients read answers at 16 bytes a second": stress.slow("answers"),
    f"kill -9 of a process, {stress.KILLS} times, 4 clients": stress.kill,
    "SIGSTOP of one process for 8 s, 4 clients": stress.stop,
    f"apachectl graceful, {stress.GRACEFULS} times, 4 clients": stress.graceful,
    "64 clients for 60 s": stress.many,
    "ten times the capacity, then one client": stress.overload,
    "requests of many kinds, 6 clients, 60 s": stress.mixed(50_000, 60),
}
LONG_STEPS: dict[str, Callable[[Server], str]] = {  # only where they are asked for
    "50,000 requests of many kinds, 6 clients, an hour at most": stress.mixed(50_000, 3_000),
}
OWN_STEPS: dict[str, Callable[[Path], str]] = {  # each on a server of its own
    "PostgreSQL stopped for 10 s, 4 clients": outages.postgres,
    "SQLite's file replaced, 4 clients": outages.replaced,
    "the disk of the instance folder full, tmpfs": outages.full_disk("tmpfs"),
    "the disk of the instance folder full, ext4": outages.full_disk("ext4"),
    f"{outages.PROMOTIONS} promotions and {outages.ROLLS} rolls, 4 clients": outages.promotions,
}
