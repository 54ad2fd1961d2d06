"""A process that has taken too much memory is replaced."""

import logging

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
