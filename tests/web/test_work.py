"""What takes long is made beside the thread that answers, which so notices that nobody waits."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from waiting import pass_time

from flaskapi.web.work import Work


def begin(texts: Iterator[str], *, beat_s: float = 9.0) -> tuple[Work, threading.Event]:
    work, closed, until_done = Work(beat_s=beat_s), threading.Event(), ExitStack()
    until_done.callback(closed.set)
    work.begin(texts, until_done)
    return work, closed


def say(error: Exception) -> str:
    return f"broken: {error}"


def test_what_is_made_comes_in_order_and_what_it_needed_is_closed() -> None:
    work, closed = begin(iter(["a", "b", "c"]))
    assert ["a", "b", "c"] == list(work.rest(work.first(5), say))
    assert closed.wait(5)


def test_where_there_is_nothing_at_all_the_answer_ends() -> None:
    work, closed = begin(iter(()))
    assert "" == "".join(work.rest(work.first(5), say)).strip()
    assert closed.wait(5)


def test_while_nothing_is_made_a_space_comes_now_and_then() -> None:
    go_on = threading.Event()

    def texts() -> Iterator[str]:
        assert go_on.wait(5)
        yield "a"

    work, _ = begin(texts(), beat_s=0.01)
    coming = work.rest(work.first(0.01), say)
    assert [" ", " ", " "] == [next(coming) for _ in range(3)]
    go_on.set()
    assert "a" == "".join(coming).strip()


def test_what_fails_at_once_is_raised_and_what_fails_later_is_said() -> None:
    def texts(*first: str) -> Iterator[str]:
        yield from first
        raise ValueError("that")

    work, _ = begin(texts())
    with pytest.raises(ValueError, match="that"):
        work.first(5)
    work, closed = begin(texts("a"))
    assert ["a", "broken: that"] == list(work.rest(work.first(5), say))
    assert closed.wait(5)


def test_when_nobody_waits_for_more_nothing_more_is_made() -> None:
    """Even where all that was made ahead is not taken."""
    made = list[int]()

    def texts() -> Iterator[str]:
        for number in range(10_000):
            made.append(number)
            yield "a"

    work, closed = begin(texts())
    assert "a" == work.first(5)
    work.stop()
    assert closed.wait(5)
    count = len(made)
    pass_time(0.05)
    assert count == len(made) < 100
