"""Strings of 2 to 12 of MNIST's test digits as PNG files with labels.csv, a third of the neighbours
touching or overlapping.
"""

import csv
import itertools
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flaskapi.digits.encode import encode_png
from flaskapi.handwriting.augment import crop
from flaskapi.sources.mnist import load_dataset

SEED = 20
COUNT = 1000
DIGITS = (2, 12)  # in a string, both included
HEIGHT_PX = (28, 40)  # what MNIST's 20 pixels become; one for each string
SIZES = (0.92, 1.08)  # of each digit, times the string's height
BASELINE = 0.05  # how far a digit stands above or below the line, at most, of its height
TOUCHING_SHARE = 1 / 3
# From the ink of the former to the ink of the next, both included; below 0 they overlap.
TOUCHING_PX = (-3, 1)
APART_PX = (3, 18)
MARGIN_PX = (10, 24)
INK = 0.3  # from here on a pixel counts as ink where distances are measured

Floats = npt.NDArray[np.float32]


class Placed(NamedTuple):
    """A digit in its place: its ink, `float32 (height, width)` in [0, 1], and its top left corner
    in pixels.
    """

    ink: Floats
    x: int
    y: int


def main(mnist: Path, folder: Path, count: int = COUNT) -> None:
    """Write `count` strings and their labels. The seed is fixed: the same files every time, and
    fewer are the first of more.
    """
    dataset = load_dataset(mnist)
    rng = np.random.default_rng(SEED)
    # No digit a second time before all have had theirs.
    turns = itertools.cycle(rng.permutation(len(dataset.test_images)))
    folder.mkdir(parents=True, exist_ok=True)
    pairs = touching = 0
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "label", "touching"])
        for number in range(count):
            chosen = [next(turns) for _ in range(rng.integers(*DIGITS, endpoint=True))]
            placed, touch = place([dataset.test_images[i] for i in chosen], rng)
            name = f"string-{number:04}.png"
            (folder / name).write_bytes(encode_png(1 - draw(placed, rng)))
            table.writerow([name, "".join(str(dataset.test_labels[i]) for i in chosen), touch])
            pairs, touching = pairs + len(chosen) - 1, touching + touch
    print(
        f"Wrote {count} strings into {folder}; {touching} of {pairs} neighbours touch, overlap or "
        f"nearly do."
    )


def place(
    images: list[npt.NDArray[np.uint8]], rng: np.random.Generator
) -> tuple[list[Placed], int]:
    """Set digits on a line, from left to right.

    Args:
        images: each `uint8 (28, 28)`, 255 the ink.
        rng: where all chance comes from.

    Returns:
        the digits in their places, which may be left of or above 0, and how many of the neighbours
        were made to touch.
    """
    height = rng.uniform(*HEIGHT_PX)
    placed: list[Placed] = []
    touching = 0
    for image in images:
        scale = height * rng.uniform(*SIZES) / 20
        ink = cv2.resize(crop(image), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC).clip(
            0, 1
        )
        digit = Placed(ink, 0, round(height * rng.uniform(-BASELINE, BASELINE)) - len(ink))
        if placed:
            touch = rng.random() < TOUCHING_SHARE
            touching += touch
            gap = int(rng.integers(*(TOUCHING_PX if touch else APART_PX), endpoint=True))
            digit = digit._replace(x=gap - min(distance(former, digit) for former in placed[-2:]))
        placed.append(digit)
    return placed, touching


def distance(left: Placed, right: Placed) -> int:
    """How many pixels of paper lie between the ink of two digits, at the least over all rows and
    the rows beside them.
    """
    top = min(left.y, right.y) - 1
    rows = max(left.y + len(left.ink), right.y + len(right.ink)) + 1 - top
    ends, begins = np.full(rows, -np.inf), np.full(rows, np.inf)
    for row, line in enumerate(left.ink > INK, left.y - top):
        if (
            line.any()
        ):  # the rows beside it too, so that what only touches across a corner counts as touching
            ends[row - 1 : row + 2] = np.maximum(
                ends[row - 1 : row + 2], left.x + line.nonzero()[0][-1] + 1
            )
    for row, line in enumerate(right.ink > INK, right.y - top):
        if line.any():
            begins[row] = right.x + line.argmax()
    between = (begins - ends).min()
    return int(between) if np.isfinite(between) else right.x - left.x - left.ink.shape[1]


def draw(placed: list[Placed], rng: np.random.Generator) -> Floats:
    """Draw digits with paper around them: the ink, `float32 (height, width)` in [0, 1], the darkest
    of what overlaps.
    """
    before, after, above, below = rng.integers(*MARGIN_PX, 4, endpoint=True)
    left, top = min(digit.x for digit in placed) - before, min(digit.y for digit in placed) - above
    width = max(digit.x + digit.ink.shape[1] for digit in placed) + after - left
    height = max(digit.y + digit.ink.shape[0] for digit in placed) + below - top
    page = np.zeros((height, width), np.float32)
    for ink, x, y in placed:
        part = page[y - top : y - top + ink.shape[0], x - left : x - left + ink.shape[1]]
        np.maximum(part, ink, out=part)
    return page
