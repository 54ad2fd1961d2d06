"""What a classifier is not sure of it is shown again, moved by a pixel to each side and corner; the
rest once.
"""

import numpy as np
import pytest
from fakes import FixedClassifier
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flaskapi.reading import second_look
from flaskapi.reading.second_look import look_twice

SIDE = 28
BATCH = np.random.default_rng(0).random((3, SIDE, SIDE, 1), np.float32)


class Scripted(FixedClassifier):
    """Gives rows of answers one after another, whatever it is shown."""

    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self._rows = np.zeros((len(rows), 10), np.float32)
        self._rows[:, :3] = rows

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch)
        answers, self._rows = np.split(self._rows, [len(batch)])
        return answers


def test_what_is_sure_is_looked_at_once_and_answered_as_it_was() -> None:
    classifier = FixedClassifier(3, 0.995)
    np.testing.assert_array_equal(
        FixedClassifier(3, 0.995).probabilities(BATCH), look_twice(classifier, BATCH)
    )
    assert [3] == [len(batch) for batch in classifier.batches]


def test_what_looks_like_no_digit_is_looked_at_once() -> None:
    """All ten digits nearly alike is an answer: it stays uncertain, and costs no more than
    others.
    """
    classifier = FixedClassifier(3, 0.995)
    classifier._row = np.linspace(0.09, 0.11, 10, dtype=np.float32)
    np.testing.assert_array_equal(np.tile(classifier._row, (3, 1)), look_twice(classifier, BATCH))
    assert [3] == [len(batch) for batch in classifier.batches]


def test_only_what_is_not_sure_is_looked_at_again_moved_by_a_pixel_to_each_side_and_corner() -> (
    None
):
    classifier = Scripted([[1, 0, 0], [0.6, 0.4, 0], [1, 0, 0], *[[0.5, 0.5, 0]] * 8])
    look_twice(classifier, BATCH)
    first, *again = classifier.batches
    assert first is BATCH
    assert [1] * 8 == [len(batch) for batch in again], "never more at once than it was given"
    seen = sorted(batch[0, :, :, 0].tobytes() for batch in again)
    padded = np.pad(BATCH[1, :, :, 0], 1)
    moved = [
        padded[down : down + SIDE, right : right + SIDE]
        for down in range(3)
        for right in range(3)
        if (down, right) != (1, 1)
    ]
    assert sorted(np.ascontiguousarray(view).tobytes() for view in moved) == seen


def test_the_answer_is_what_no_view_rules_out() -> None:
    answers = look_twice(
        Scripted([[0.6, 0.4, 0], *[[0.9, 0.1, 0]] * 6, *[[0, 0.1, 0.9]] * 2]), BATCH[:1]
    )
    assert 0.4 > answers[0, 0] > 0.2, "seven of nine see a 0, but two do not at all"
    assert 1 == answers.argmax()
    assert answers[0, 2] < 0.02


def test_opinions_that_agree_are_the_answer() -> None:
    np.testing.assert_allclose(
        FixedClassifier(5, 0.7).probabilities(BATCH),
        look_twice(FixedClassifier(5, 0.7), BATCH),
        atol=1e-6,
    )


@given(arrays.arrays(np.float32, (9, 10), elements=st.floats(0, 1, width=32)))
def test_probabilities_stay_probabilities(rows: np.ndarray) -> None:
    rows = (rows + np.float32(1e-7)) / (rows + np.float32(1e-7)).sum(axis=1, keepdims=True)
    classifier = Scripted([[0, 0, 0]] * 9)
    classifier._rows = rows
    answers = look_twice(classifier, BATCH[:1])
    assert (np.float32, (1, 10)) == (answers.dtype, answers.shape)
    assert (answers >= 0).all()
    assert 1 == pytest.approx(float(answers.sum()), abs=1e-5)


def test_the_callers_answers_are_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier may keep what it gave."""
    monkeypatch.setattr(second_look, "LOOK_AGAIN_FROM", 0)
    kept = np.full((1, 10), 0.1, np.float32)
    kept.flags.writeable = False

    class Keeping(FixedClassifier):
        def probabilities(self, batch: np.ndarray) -> np.ndarray:
            return np.broadcast_to(kept, (len(batch), 10))

    np.testing.assert_allclose(kept, look_twice(Keeping(), BATCH[:1]), atol=1e-6)


def test_where_the_version_breaks_in_between_all_opinions_are_of_the_next() -> None:
    class Breaking(FixedClassifier):
        version = "first"

        def probabilities(self, batch: np.ndarray) -> np.ndarray:
            self.batches.append(batch)
            if len(self.batches) == 2:
                self.version, self._row = "second", np.eye(10, dtype=np.float32)[4]
            return np.tile(self._row, (len(batch), 1))

    classifier = Breaking(3, 0.6)
    answers = look_twice(classifier, BATCH[:1])
    assert 9 + 1 == len(classifier.batches)
    assert (4, 1) == (answers.argmax(), answers.max())
