"""Look-alikes are judged together, and other labels change nothing."""

import hashlib

import numpy as np

from flaskapi.learning import Example
from flaskapi.learning.folds import FOLDS, assign_folds
from flaskapi.submissions.identifiers import new_id


def example(pixels: np.ndarray, file: int) -> Example:
    sha256 = hashlib.sha256(b"%d" % file).digest()
    return Example(sha256, (new_id(),), pixels.tobytes(), 7, "operator", False)


def draw(count: int) -> list[Example]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    return [example(image, file) for file, image in enumerate(images)]


def test_folds_are_about_equal_and_those_of_some_do_not_depend_on_others() -> None:
    every = draw(400)
    folds = assign_folds(every)
    counts = np.bincount(folds, minlength=FOLDS)
    assert FOLDS == len(counts)
    assert (counts > 70).all(), counts
    assert folds[::3] == assign_folds(every[::3])


def test_the_same_picture_in_other_files_is_in_one_fold() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(30, 220, (28, 28), np.uint8)
    alike = [
        example((picture + rng.integers(-9, 10, picture.shape)).astype(np.uint8), 1000 + file)
        for file in range(30)
    ]
    assert 1 == len(set(assign_folds([*draw(20), *alike])[20:]))


def test_nothing_has_no_folds_and_a_blank_image_has_one() -> None:
    assert [] == assign_folds([])
    (fold,) = assign_folds([example(np.zeros((28, 28), np.uint8), 4)])
    assert 0 <= fold < FOLDS
