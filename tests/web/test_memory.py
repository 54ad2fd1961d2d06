"""Free memory returns to the system, and a process with too much memory is replaced."""

import logging
import subprocess
import sys

import pytest

from flaskapi.web.memory import free_after_work, resident_bytes, wait_until_above


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


# Blocks and small pieces by turns: where they lie beside each other, the pieces hold all of it.
PROGRAM = """
import sys
from flaskapi.web.memory import configure_malloc, resident_bytes
if sys.argv[1] == "gives back":
    configure_malloc()
del bytearray(b"1" * 4_000_000)[:]  # from then on glibc takes such blocks from its heap
before = resident_bytes()
pairs = [(bytearray(b"1") * 1_000_000, bytes(5000)) for _ in range(100)]
pieces = [piece for _, piece in pairs]
del pairs
print((resident_bytes() - before) // 1_000_000)
"""


@pytest.mark.process
def test_what_was_freed_does_not_stay_with_the_process() -> None:
    held = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, how], check=True, capture_output=True
            ).stdout
        )
        for how in ("gives back", "keeps")
    }
    assert held["gives back"] < 10 < 30 < held["keeps"]


def test_memory_is_given_back_after_work_and_not_while_there_is_none() -> None:
    used_s, freed = iter([1.0, 1.0, 1.05, 1.05, 3.0, 3.0]), list[int]()

    def free() -> None:
        freed.append(next(left))

    left = iter([1, 2, 3])
    with pytest.raises(StopIteration):
        free_after_work(free, lambda: next(used_s), every_s=0)
    assert [1, 2] == freed
