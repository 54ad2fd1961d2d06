"""How the time of a request is shared out among its steps."""

import contextlib
import contextvars
import threading

import pytest

from flaskapi import steps


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows its only entry."""
    now = [0.0]
    monkeypatch.setattr(steps, "perf_counter", lambda: now[0])
    return now


def test_a_step_within_another_is_counted_once_and_times_of_a_step_add_up(
    clock: list[float],
) -> None:
    spent = steps.measure()
    for _ in range(2):
        with steps.step("find"):
            clock[0] += 1
            with steps.step("classify"):
                clock[0] += 10
            clock[0] += 100
        clock[0] += 1000
    assert {"find": 202.0, "classify": 20.0} == spent.seconds


def test_a_step_that_fails_is_counted_and_what_is_around_it_goes_on(clock: list[float]) -> None:
    spent = steps.measure()
    with steps.step("find"):
        with contextlib.suppress(ValueError), steps.step("decode"):
            clock[0] += 1
            raise ValueError("bad")
        clock[0] += 10
    assert {"decode": 1.0, "find": 10.0} == spent.seconds


def test_a_thread_that_copies_the_context_adds_to_it_and_another_does_not(
    clock: list[float],
) -> None:
    spent = steps.measure()

    def work() -> None:
        with steps.step("decode"):
            clock[0] += 1

    for target in (work, lambda: contextvars.copy_context().run(work)):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert {} == spent.seconds
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,))
    thread.start()
    thread.join()
    assert {"decode": 1.0} == spent.seconds
