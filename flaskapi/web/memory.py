"""The memory of a process: free memory returns to the system, and a process that takes too much is
replaced by a new one.
"""

import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flaskapi.versions.memory import free_memory

EVERY_S = 0.5
# Of `mallopt` (malloc.h of glibc), and what returns to the system as soon as it is free.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 1 << 19
TRIM_EVERY_S = 5.0
_BUSY_S = 0.1  # of CPU: a process that has done less has nothing to return
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def configure_malloc() -> None:
    """Let glibc keep little of what is freed; to be called before anything large is imported.

    Else each thread gets an arena of its own, and what large pictures took stays in all of them:
    after twelve of 12 megapixels a process had 178 MB, and so 139. Threads do not wait for each
    other at the one arena, for Python's lock lets one go on at a time.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, _LARGE_BYTES)


def watch_memory(most_bytes: int) -> None:
    """Watch this process's memory; above so many bytes the process ends and is replaced.

    Call it only if SIGUSR1 means to finish the current requests and end, as in mod_wsgi's daemons.
    """
    threading.Thread(
        target=wait_until_above, args=(most_bytes, resident_bytes, end), name="memory", daemon=True
    ).start()


def trim_memory() -> None:
    """Let a thread give free memory back to the system again and again, after work.

    Pieces in use keep what is free between them in glibc's heaps, of which there is one for every
    few threads: up to 111 MB of a process after 1,600 requests of many kinds, which grew. To give
    it back takes 3 ms.
    """
    threading.Thread(
        target=free_after_work, args=(free_memory, time.process_time), name="free", daemon=True
    ).start()


def free_after_work(
    free: Callable[[], None], used_s: Callable[[], float], *, every_s: float = TRIM_EVERY_S
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
    """Wait until this process has more memory than so many bytes; then log it and call `then`."""
    while (found := resident()) <= most_bytes:
        time.sleep(every_s)
    logging.getLogger("flaskapi").error(
        "memory: this process has %s MB, more than the %s allowed (PROCESS_MEMORY_BYTES); another "
        "replaces it.",
        f"{found // 1_000_000:,}",
        f"{most_bytes // 1_000_000:,}",
    )
    then()


def resident_bytes() -> int:
    """The memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def end() -> None:
    """Finish the current requests, and end."""
    os.kill(os.getpid(), signal.SIGUSR1)
