"""What is drawn as no digit is prepared as digits are, of many kinds, and the same for the same
seed.
"""

import numpy as np
import pytest

from flaskapi.handwriting.outliers import LETTERS, draw_outliers
from flaskapi.sources.mnist import Dataset


def draw(dataset: Dataset, count: int, seed: int) -> np.ndarray:
    return draw_outliers(
        count, dataset.train_images, dataset.train_labels, np.random.default_rng(seed)
    )


def test_outliers_have_the_form_of_digits(dataset: Dataset) -> None:
    outliers = draw(dataset, 300, seed=0)
    assert (np.uint8, (300, 28, 28)) == (outliers.dtype, outliers.shape)
    assert (outliers.max(axis=(1, 2)) > 100).all(), "one is blank"
    rows, columns = (outliers.max(axis=axis) > 0 for axis in (2, 1))
    assert (np.maximum(rows.sum(axis=1), columns.sum(axis=1)) <= 20).all(), (
        "one is larger than the box of a digit"
    )
    mass = outliers.sum(axis=(1, 2))
    centers = [(outliers.sum(axis=axis) @ np.arange(28)) / mass for axis in (2, 1)]
    assert np.median(np.abs(np.stack(centers) - 14)) < 0.5


def test_the_same_seed_draws_the_same(dataset: Dataset) -> None:
    first, again, other = (draw(dataset, 30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_none_is_drawn_where_none_is_asked_for(dataset: Dataset) -> None:
    assert (0, 28, 28) == draw(dataset, 0, seed=0).shape


@pytest.mark.parametrize("digit_like", list("OolISsZzBbgq"))
def test_a_letter_that_is_also_a_digit_is_never_drawn(digit_like: str) -> None:
    assert digit_like not in LETTERS
