"""The memory of a process: what is freed goes back to the system, and a process that has taken too
much asks its server for another in its place.
"""

import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

EVERY_S = 0.5
# Of glibc's malloc.h. From this size on, a piece of memory is mapped for itself, and goes back to
# the system when it is freed; of the rest, so much may lie unused at the end of a heap.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
LARGE_BYTES, UNUSED_BYTES = 1 << 20, 8 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def give_large_pieces_back() -> None:
    """Let the memory of pictures go back to the system once they are read.

    By itself glibc takes pieces of up to 32 MB from its heaps, one for every few threads, as soon
    as one of that size was freed. Pieces between them keep what is free: 36 to 111 MB of a process
    after 1,600 requests of many kinds, which grew, and with this 14 to 17, which did not. A
    photograph of 12 megapixels takes 1 % longer to read, a small picture no longer.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if change is not None:
        change(_M_MMAP_THRESHOLD, LARGE_BYTES)
        change(_M_TRIM_THRESHOLD, UNUSED_BYTES)


def watch_memory(most_bytes: int) -> None:
    """Look at this process's memory from now on; above so many bytes it ends, and is replaced.

    To be called where SIGUSR1 means to finish what is under way and end, as in mod_wsgi's daemons.
    """
    threading.Thread(
        target=wait_until_above, args=(most_bytes, resident_bytes, end), name="memory", daemon=True
    ).start()


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
