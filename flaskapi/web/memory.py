"""The memory of a process: what is free goes back to the system, and a process that has taken too
much asks its server for another in its place.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flaskapi.versions.memory import free_memory

EVERY_S = 0.5
FREE_EVERY_S = 5.0
_BUSY_S = 0.1  # of the processor: what has done less has nothing to give back
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def watch_memory(most_bytes: int) -> None:
    """Look at this process's memory from now on; above so many bytes it ends, and is replaced.

    To be called where SIGUSR1 means to finish what is under way and end, as in mod_wsgi's daemons.
    """
    threading.Thread(
        target=wait_until_above, args=(most_bytes, resident_bytes, end), name="memory", daemon=True
    ).start()


def give_memory_back() -> None:
    """Let a thread give free memory back to the system again and again, after work.

    Pieces in use keep what is free between them in glibc's heaps, of which there is one for every
    few threads: up to 111 MB of a process after 1,600 requests of many kinds, which grew. To give
    it back takes 3 ms. To map large pieces for themselves (`mallopt`) keeps it at 16 MB, but
    numbers then take 2 to 9 % longer.
    """
    threading.Thread(
        target=free_after_work, args=(free_memory, time.process_time), name="free", daemon=True
    ).start()


def free_after_work(
    free: Callable[[], None], used_s: Callable[[], float], *, every_s: float = FREE_EVERY_S
) -> None:
    """Free something now and then, but not where this process did next to nothing since."""
    before_s = 0.0
    while True:
        time.sleep(every_s)
        if used_s() - before_s > _BUSY_S:
            free()
            before_s = used_s()


def wait_until_above(
    most_bytes: int,
    resident: Callable[[], int],
    then: Callable[[], None],
    *,
    every_s: float = EVERY_S,
) -> None:
    """Wait until this process has more memory than so many bytes; then log it, and do something."""
    while (found := resident()) <= most_bytes:
        time.sleep(every_s)
    logging.getLogger("flaskapi").error(
        "memory: this process has %s MB, and may have %s (PROCESS_MEMORY_BYTES); another takes its "
        "place.",
        f"{found // 1_000_000:,}",
        f"{most_bytes // 1_000_000:,}",
    )
    then()


def resident_bytes() -> int:
    """The memory that this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def end() -> None:
    """Finish what is under way, and end."""
    os.kill(os.getpid(), signal.SIGUSR1)
