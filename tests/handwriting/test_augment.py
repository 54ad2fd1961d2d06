"""Varied digits are still digits, and chance comes from the seed alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flaskapi.handwriting.augment import CLEAN_SHARE, augment, fill_square, write_otherwise
from flaskapi.sources.mnist import Dataset

SEEDS = st.integers(0, 2**32)


@settings(deadline=None)
@given(
    images=arrays(
        np.uint8, st.tuples(st.integers(0, 6), st.just(28), st.just(28)), fill=st.just(0)
    ),
    label=st.integers(0, 10),
    seed=SEEDS,
)
def test_whatever_the_pixels_the_result_is_a_batch_of_the_same_shape_in_range(
    images: np.ndarray, label: int, seed: int
) -> None:
    before = images.copy()
    varied = augment(images, np.full(len(images), label), np.random.default_rng(seed))
    assert (np.float32, images.shape) == (varied.dtype, varied.shape)
    assert np.isfinite(varied).all()
    assert ((varied >= 0) & (varied <= 1)).all()
    np.testing.assert_array_equal(images, before, "the images given were changed")


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_the_same_seed_gives_the_same_batch(dataset: Dataset, seed: int) -> None:
    images, labels = dataset.test_images, dataset.test_labels
    first, again, other = (
        augment(images, labels, np.random.default_rng(s)) for s in (seed, seed, seed + 1)
    )
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(first, other)


def test_part_of_every_batch_stays_as_it_was_and_the_rest_does_not(dataset: Dataset) -> None:
    images, labels = (np.concatenate([part] * 5) for part in dataset[:2])
    unchanged = (
        augment(images, labels, np.random.default_rng(0)) == images.astype(np.float32) / 255
    ).all(axis=(1, 2))
    assert unchanged.mean() == pytest.approx(CLEAN_SHARE, abs=0.04)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_ink_remains_where_it_was(dataset: Dataset, seed: int) -> None:
    """A digit may be moved by some pixels, made faint or as broad as a marker's, not moved out or
    washed out.
    """
    images = dataset.test_images.astype(np.float32) / 255
    varied = augment(dataset.test_images, dataset.test_labels, np.random.default_rng(seed))
    ink = varied.sum(axis=(1, 2)) / images.sum(axis=(1, 2))
    assert (varied.max(axis=(1, 2)) > 0.25).all()
    assert ((ink > 0.2) & (ink < 8)).all()


def four(*, is_open: bool) -> np.ndarray:
    image = np.zeros((28, 28), np.uint8)
    for start, end in (((7, 5), (7, 15)), ((7, 15), (20, 15)), ((17, 4), (17, 24))):
        cv2.line(image, start, end, 255, 2)
    if not is_open:
        cv2.line(image, (7, 5), (17, 4), 255, 2)
    return image


def test_the_right_arm_of_an_open_4_may_be_short() -> None:
    """And stays a part of it; a 4 whose arms meet stays as it is."""
    shortened = 0
    for seed in range(60):
        written = write_otherwise(four(is_open=True), 4, np.random.default_rng(seed), share=1.0)
        if np.array_equal(written, four(is_open=True)):
            continue
        shortened += 1
        count, _ = cv2.connectedComponents((written > 60).astype(np.uint8), connectivity=8)
        rows, columns = np.nonzero(written > 60)
        assert 2 == count
        assert columns[rows < rows.min() + 2].max() < 14, "what is highest is the left arm"
    assert 20 < shortened < 60
    for seed in range(20):
        np.testing.assert_array_equal(
            four(is_open=False),
            write_otherwise(four(is_open=False), 4, np.random.default_rng(seed), share=1.0),
        )


def test_only_a_1_and_a_7_and_an_open_4_are_written_in_other_ways(dataset: Dataset) -> None:
    """And not always; all others are warped as they are."""
    for label in range(11):
        images = dataset.train_images[dataset.train_labels == label % 10]
        written = [
            write_otherwise(image, label, np.random.default_rng(seed))
            for seed, image in enumerate(images)
        ]
        changed = sum(
            not np.array_equal(one, other) for one, other in zip(written, images, strict=True)
        )
        assert (changed > 0) is (label in (1, 7)), label
        assert changed < len(images)


def test_a_digit_stretched_to_a_square_fills_it_and_a_block_is_none(dataset: Dataset) -> None:
    rng = np.random.default_rng(3)
    stretched = [fill_square(image, rng) for image in dataset.test_images[:40]]
    boxes = [cv2.boundingRect(image) for image in stretched]
    assert 30 < sum(width == height == 20 for _, _, width, height in boxes)
    assert all(image.max() == 255 for image in stretched)
    upright = np.zeros((28, 28), np.uint8)
    upright[4:24, 13:15] = 255  # a plain 1, which would be a black square
    np.testing.assert_array_equal(upright, fill_square(upright, rng))
