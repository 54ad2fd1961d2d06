"""When a candidate may serve. The tests' values are counted by hand."""

from typing import Any

import numpy as np
import pytest

from flaskapi.labels import NO_DIGIT
from flaskapi.learning.judge import Judgement, Pair, ask, compare, figures, mcnemar

SURE, LOST = 0.999, 0.2


class Reader:
    """Reads the digits of `pictures`, but the first few wrongly, however they are moved by a
    pixel.
    """

    version, generation = "2026-01-01-00000000", 0

    def __init__(self, wrong: int = 0, confidence: float = SURE) -> None:
        self.calls, self._wrong, self._confidence = 0, wrong, confidence

    @property
    def card(self) -> dict[str, Any]:
        return {}

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        self.calls += 1
        places = np.rint(batch[:, [5, 22], 14, 0] * 255).astype(int) @ [1, 250]
        rows = np.full((len(batch), 10), (1 - self._confidence) / 9, np.float32)
        rows[np.arange(len(batch)), (places + (places < self._wrong)) % 10] = self._confidence
        return rows


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose upper and lower halves count them, and the last figure of that as the label."""
    places = np.arange(count)
    images = np.repeat(np.stack([places % 250, places // 250], axis=1).astype(np.uint8), 14, axis=1)
    return np.repeat(images[:, :, np.newaxis], 28, axis=2), (places % 10).astype(np.uint8)


def pairs(
    count: int, wrong: tuple[int, int] = (0, 0), confidence: tuple[float, float] = (SURE, SURE)
) -> list[Pair]:
    """The first images are those that are read wrongly."""
    images, labels = pictures(count)
    readers = [Reader(*one) for one in zip(wrong, confidence, strict=True)]
    return compare(
        readers[0], readers[1], images, labels, [str(place) for place in range(count)], 0.95
    )


@pytest.mark.parametrize(
    ("fixed", "broken", "expected"),
    [
        (0, 0, 1.0),  # nothing differs
        (1, 0, 1 / 2),
        (4, 0, 1 / 16),
        (5, 0, 1 / 32),
        (5, 1, (6 + 1) / 64),  # 5 or 6 of 6
        (3, 3, (20 + 15 + 6 + 1) / 64),
        (8, 2, (45 + 10 + 1) / 1024),
        (0, 5, 1.0),
        (2, 8, 1 - (10 + 1) / 1024),
    ],
)
def test_the_test_is_exact(fixed: int, broken: int, expected: float) -> None:
    assert expected == pytest.approx(mcnemar(fixed, broken), rel=1e-12)


def test_a_thousand_differences_are_no_matter() -> None:
    # By the normal approximation with continuity: 99 / sqrt(1900) = 2.271.
    assert mcnemar(1000, 900) == pytest.approx(0.0116, abs=0.0005)


def test_images_are_asked_about_some_at_a_time_and_in_order() -> None:
    images, labels = pictures(250)
    reader = Reader()
    np.testing.assert_array_equal(labels, ask(reader, images).argmax(axis=1))
    assert 3 == reader.calls
    assert (0, 10) == ask(reader, images[:0]).shape


def test_what_is_no_digit_is_read_rightly_when_it_is_left_uncertain() -> None:
    images, labels = pictures(10)
    labels[:] = NO_DIGIT
    found = compare(
        Reader(confidence=0.96), Reader(confidence=0.94), images, labels, [""] * 10, 0.95
    )
    assert ((10, 0), (0.0, 0.0)) == figures(found)


def test_a_candidate_that_fixes_five_and_breaks_none_may_serve() -> None:
    judgement = Judgement(pairs(1000), pairs(50, (5, 0)))
    assert (5, 0, 1 / 32, []) == (
        len(judgement.fixed),
        len(judgement.broken),
        judgement.p_value,
        judgement.reasons,
    )


@pytest.mark.parametrize(
    ("mnist", "held_back", "said"),
    [
        pytest.param(
            pairs(1000, (1, 4)),
            pairs(50, (5, 0)),
            "misreads 4 images of MNIST's test set instead of 1; at most 2 more",
            id="worse on MNIST",
        ),
        pytest.param(
            pairs(1000),
            pairs(50, (4, 0)),
            "4 fixed, 0 broken, p = 0.062; it must be below 0.05",
            id="four are too few",
        ),
        pytest.param(pairs(1000), pairs(0), "0 fixed, 0 broken, p = 1;", id="nothing to judge by"),
        pytest.param(
            pairs(1000), pairs(50, (0, 5), (0.9, SURE)), "0 fixed, 5 broken, p = 1;", id="worse"
        ),
        pytest.param(
            pairs(1000, confidence=(SURE, 0.98)),
            pairs(50, (5, 0)),
            "calibration error on MNIST's test set is 2.00%; at most 1% is allowed",
            id="too modest on MNIST",
        ),
        pytest.param(
            pairs(1000),
            pairs(50, (5, 0), (SURE, 0.8)),
            r"is 20.0% instead of 9.9%; at most 2% more is allowed",
            id="too modest on what is held back",
        ),
    ],
)
def test_a_candidate_stays_for_each_of_four_reasons(
    mnist: list[Pair], held_back: list[Pair], said: str
) -> None:
    reasons = Judgement(mnist, held_back).reasons
    assert said in reasons[0]


def test_two_more_errors_on_mnist_are_allowed() -> None:
    assert [] == Judgement(pairs(1000, (1, 3)), pairs(50, (5, 0))).reasons


def test_many_retrainings_together_may_not_make_more_errors_on_mnist_either() -> None:
    """Two more than the model that it all began with, whatever serves now."""
    mnist, held_back = pairs(1000, (3, 5)), pairs(50, (5, 0))
    assert [] == Judgement(mnist, held_back, wrong_at_first=3).reasons
    (reason,) = Judgement(mnist, held_back, wrong_at_first=2).reasons
    assert (
        "misreads 5 images of MNIST's test set, the model of MODEL_PATH 2; at most 2 more" in reason
    )


def test_models_are_asked_as_callers_are_answered_with_a_second_look_at_what_is_not_sure() -> None:
    sure, unsure = Reader(), Reader(confidence=0.9)
    for reader in (sure, unsure):
        ask(reader, pictures(10)[0])
    assert (1, 9) == (sure.calls, unsure.calls)
