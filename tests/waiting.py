"""Waiting for what happens elsewhere: until it is so, not for a time."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 60  # on a machine that has much else to do


def in_thread(work: Callable[[], T]) -> T:
    """Do something in a thread of its own: a browser's event loop may run in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def until(
    ask: Callable[[], T], within_s: float = PATIENCE_S, *, every_s: float = 0.02, why: object = ""
) -> T:
    """Ask until the answer is true, and give it.

    Raises:
        AssertionError: it was not true within so many seconds, with the last answer, and with what
            `why` is, or gives where it can be called.
    """
    deadline_s = time.monotonic() + within_s
    while not (answer := ask()):
        if time.monotonic() > deadline_s:
            said = why() if callable(why) else why
            raise AssertionError(f"not so within {within_s:g} s: {answer!r} {said}")
        time.sleep(every_s)
    return answer


def pass_time(seconds: float) -> None:
    """Let time pass, where the rule is about time itself and nothing happens that one could see."""
    time.sleep(seconds)


def command_line(process: int | str) -> bytes:
    """What a process is called; nothing where it has ended, also while this reads."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def is_gone(process: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    return not command_line(process)


def is_waiting(process: int) -> bool:
    """Whether every thread of a process sleeps, as when it waits for more to read."""
    states = [
        path.read_text().rpartition(")")[2].split()[0]
        for path in Path(f"/proc/{process}/task").glob("*/stat")
    ]
    return set(states) == {"S"}
