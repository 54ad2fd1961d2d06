"""Whether the store can be used: while it fails one request tries, and the others are told."""

import logging

import pytest

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.health import Health, State

DOWN = StoreUnavailableError("It is down.")


def make_health(retry_s: float) -> Health:
    return Health(logging.getLogger("store"), retry_s)


def test_while_it_works_everybody_is_let_in() -> None:
    health = make_health(60)
    health.check()
    health.admit(1, others_wait=True)
    assert health.state is State.WORKING


def test_while_it_fails_nobody_is_until_it_is_time_to_try_again() -> None:
    health = make_health(60)
    health.fail(DOWN, 1)
    assert health.state is State.FAILING
    for ask in (health.check, lambda: health.admit(1, others_wait=False)):
        with pytest.raises(StoreUnavailableError, match="It is down"):
            ask()


def test_one_tries_and_the_others_are_told_at_once() -> None:
    health = make_health(0)
    health.fail(DOWN, 1)
    with pytest.raises(StoreUnavailableError):
        health.admit(1, others_wait=True)
    health.admit(1, others_wait=False)
    assert health.state is State.TRYING


@pytest.mark.parametrize("succeeds", [True, False])
def test_what_was_tried_decides(succeeds: bool, caplog: pytest.LogCaptureFixture) -> None:
    health = make_health(0)
    health.fail(DOWN, 3)
    health.admit(2, others_wait=False)
    if succeeds:
        health.recover()
        assert "3 predictions of this process were not kept" in caplog.text
    else:
        health.fail(DOWN, 2)
    assert health.state is (State.WORKING if succeeds else State.FAILING)


def test_the_log_has_a_failure_once(caplog: pytest.LogCaptureFixture) -> None:
    health = make_health(0)
    for _ in range(3):
        health.fail(DOWN, 1)
    assert 1 == len(caplog.records)
