"""What is freed goes back to the system, and a process with too much memory is replaced."""

import logging
import subprocess
import sys

import pytest

from flaskapi.web.memory import resident_bytes, wait_until_above


def test_above_the_limit_it_says_so_and_ends_once(caplog: pytest.LogCaptureFixture) -> None:
    found, ended = iter([100, 500, 501]), list[bool]()
    with caplog.at_level(logging.ERROR):
        wait_until_above(500, lambda: next(found), lambda: ended.append(True), every_s=0)
    assert [True] == ended
    assert [] == [*found]
    assert "PROCESS_MEMORY_BYTES" in caplog.text


def test_the_memory_of_this_process_is_read_in_bytes() -> None:
    before = resident_bytes()
    block = bytearray(b"\1") * 50_000_000
    assert 45_000_000 < resident_bytes() - before < 120_000_000
    del block


@pytest.mark.process
def test_large_pieces_of_memory_go_back_to_the_system_whatever_was_freed_before() -> None:
    """glibc takes them from its heaps once a larger one was freed, unless it is told not to."""
    code = """
import ctypes, sys
from flaskapi.web.memory import LARGE_BYTES, give_large_pieces_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def mapped():
    status = open("/proc/self/statm").read().split()
    return int(status[0]) * 4096
if sys.argv[1] == "told":
    give_large_pieces_back()
libc.free(libc.malloc(16 * LARGE_BYTES))
before = mapped()
pieces = [libc.malloc(LARGE_BYTES) for _ in range(20)]
pin = libc.malloc(1000)
for piece in pieces:
    libc.free(piece)
print((mapped() - before) // LARGE_BYTES)
"""
    kept = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", code, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("untold", "told")
    }
    assert kept["told"] == 0
    assert kept["untold"] >= 19
