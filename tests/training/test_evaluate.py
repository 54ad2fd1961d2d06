"""A model is judged by every image, and the table shows what it took for what."""

import numpy as np
import numpy.typing as npt
import pytest

from flaskapi.training.evaluate import Confusion, evaluate

pytestmark = pytest.mark.train

Floats = npt.NDArray[np.float32]


class CornerModel:
    """Says the digit whose number of 25ths the first pixel has of full brightness; remembers what
    it was asked.
    """

    def __init__(self, *shape: int) -> None:
        self.input_shape = (None, *shape)
        self.asked: list[Floats] = []

    def predict_on_batch(self, batch: Floats) -> Floats:
        self.asked.append(batch)
        return np.eye(10, dtype=np.float32)[
            (batch.reshape(len(batch), -1)[:, 0] * 25).round().astype(int)
        ]


def images_of(*digits: int) -> npt.NDArray[np.uint8]:
    """Images to which `CornerModel` answers these digits."""
    images = np.zeros((len(digits), 28, 28), np.uint8)
    images[:, 0, 0] = np.array(digits) * 255 // 25 + 1
    return images


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 28, 28), (28, 28), (784,)])
def test_images_are_sent_in_the_shape_and_range_that_the_model_takes(
    shape: tuple[int, ...],
) -> None:
    model = CornerModel(*shape)
    assert 1.0 == evaluate(model, images_of(3, 9), np.array([3, 9], np.uint8)).accuracy
    (batch,) = model.asked
    assert ((2, *shape), np.float32) == (batch.shape, batch.dtype)
    assert 0 <= batch.min() < batch.max() <= 1


def test_rows_are_what_the_digits_were_and_columns_what_the_model_said() -> None:
    evaluation = evaluate(
        CornerModel(784), images_of(7, 7, 1, 4, 4), np.array([7, 7, 7, 4, 9], np.uint8)
    )
    expected = np.zeros((10, 10), np.int64)
    expected[7, 7], expected[7, 1], expected[4, 4], expected[9, 4] = 2, 1, 1, 1
    np.testing.assert_array_equal(evaluation.confusion, expected)
    assert (5, 2, 0.6) == (evaluation.total, evaluation.errors, pytest.approx(evaluation.accuracy))


def test_a_person_can_read_the_table() -> None:
    confusion = np.diag(np.arange(90, 100))
    confusion[4, 9] = 5
    head, said, *rows = str(Confusion(confusion)).splitlines()
    assert "99.47% of 950 right, 5 wrong" == head
    assert "0 1 2 3 4 5 6 7 8 9 (said)" == " ".join(said.split())
    assert "4 is . . . . 94 . . . . 5" == " ".join(rows[4].split())
    assert 10 == len(rows)


def test_more_images_than_are_answered_at_once_are_all_counted() -> None:
    digits = np.arange(1203) % 10
    model = CornerModel(784)
    evaluation = evaluate(model, images_of(*digits), digits.astype(np.uint8))
    assert (1203, 0) == (evaluation.total, evaluation.errors)
    assert 1203 == sum(len(batch) for batch in model.asked) > len(model.asked[0])
