from collections.abc import Sequence

import numpy as np
import pytest
from fakes import FixedClassifier
from waiting import until

from flaskapi.submissions.identifiers import new_id
from flaskapi.versions import shadow as module
from flaskapi.versions.shadow import Shadow, Shadowed

PIXELS = np.zeros((28, 28), np.float32)


def test_what_it_is_shown_it_answers_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Shadowed] = []
    candidate = FixedClassifier(3, 0.99)
    shadow = Shadow(candidate, 1.0, kept.extend)
    ids = [new_id() for _ in range(module.TOGETHER + 1)]
    for identifier in ids:
        shadow.offer(identifier, PIXELS)
    shadow.answer()
    assert [Shadowed(identifier, candidate.version, "3", 0.99) for identifier in ids] == kept
    assert [module.TOGETHER, 1] == [len(batch) for batch in candidate.batches]


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.1, 10, 80), (1.0, 400, 400)])
def test_it_is_shown_its_share(share: float, least: int, most: int) -> None:
    kept: list[Shadowed] = []
    shadow = Shadow(FixedClassifier(), share, kept.extend)
    for _ in range(400):
        shadow.offer(new_id(), PIXELS)
    shadow.answer()
    assert least <= len(kept) <= most


def test_what_comes_while_too_many_wait_is_left_out() -> None:
    kept: list[Shadowed] = []
    shadow = Shadow(FixedClassifier(), 1.0, kept.extend)
    ids = [new_id() for _ in range(module.WAITING + 100)]
    for identifier in ids:
        shadow.offer(identifier, PIXELS)
    shadow.answer()
    assert ids[: module.WAITING] == [one.submission_id for one in kept]


def test_a_fault_is_logged_once_and_does_not_end_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    seen: list[int] = []

    def fail(answers: Sequence[Shadowed]) -> None:
        seen.append(len(answers))
        raise OSError("the disk is full")

    shadow = Shadow(FixedClassifier(), 1.0, fail)
    shadow.begin()
    until(lambda: shadow.offer(new_id(), PIXELS) or len(seen) >= 3, every_s=0.002)
    shadow.end()
    assert 1 == caplog.text.count("the disk is full")
