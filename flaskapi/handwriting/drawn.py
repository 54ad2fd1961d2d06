"""Drawn digits, for use without MNIST, and drawn pictures of no digit."""

import cv2
import numpy as np

from flaskapi.arrays import Bytes, Floats
from flaskapi.digits.normalize import fit_and_center
from flaskapi.handwriting.augment import augment, crop
from flaskapi.handwriting.outliers import draw_outliers

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX_SMALL,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def draw_pictures(digits: int, others: int, *, seed: int) -> tuple[Floats, Floats]:
    """Draw digits, varied as in training, and pictures of no digit: `float32 (n, 28, 28)`, 1 the
    ink.
    """
    rng = np.random.default_rng(seed)
    images, labels = draw_digits(digits, rng)
    outliers = draw_outliers(others, images, labels, rng)
    return augment(images, labels, rng), outliers.astype(np.float32) / np.float32(255)


def draw_digits(count: int, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Draw digits of several fonts with pens of several widths, in MNIST's form: `uint8 (count, 28,
    28)`, 255 the ink, and their labels.
    """
    labels = np.arange(count, dtype=np.uint8) % 10
    images = np.empty((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        canvas = np.zeros((140, 140), np.uint8)
        pen = int(rng.integers(3, 14))
        font = int(rng.choice(_FONTS))
        cv2.putText(canvas, str(label), (40, 100), font, 2.4, 255, pen, cv2.LINE_AA)
        image[:] = np.rint(255 * fit_and_center(crop(canvas)))
    return images, labels
