"""The strings that reading of numbers is measured with: the same every time, and as far apart as
they say.
"""

import csv
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from fakes import draw_digit
from PIL import Image

from benchmarks import strings

DIGITS = np.stack([draw_digit(digit, side=28, dark_on_light=False) for digit in range(10)])


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """Ten drawn digits in the place of MNIST's."""
    labels = np.arange(10, dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=DIGITS, y_train=labels, x_test=DIGITS, y_test=labels)
    return tmp_path / "mnist.npz"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_are_the_same_every_time_and_fewer_are_the_first_of_more(
    mnist: Path, tmp_path: Path
) -> None:
    for name, count in (("a", 6), ("b", 6), ("c", 3)):
        strings.main(mnist, tmp_path / name, count)
    files, fewer = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert files == contents(tmp_path / "b")
    assert 7 == len(files)
    assert fewer.items() - {("labels.csv", fewer["labels.csv"])} <= files.items()
    assert files["labels.csv"].startswith(fewer["labels.csv"])


def test_each_picture_is_dark_on_light_with_a_margin_and_its_label_has_2_to_12_digits(
    mnist: Path, tmp_path: Path
) -> None:
    strings.main(mnist, tmp_path / "strings", 40)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "strings" / "labels.csv").read_text())))
    assert {len(row["label"]) for row in rows} <= set(range(2, 13))
    assert len({len(row["label"]) for row in rows}) > 5
    for row in rows:
        page = np.asarray(Image.open(tmp_path / "strings" / row["file"]))
        border = strings.MARGIN_PX[0]
        assert (
            255
            == page[:border].min()
            == page[-border:].min()
            == page[:, :border].min()
            == page[:, -border:].min()
        )
        assert page.min() < 20
        assert (
            24
            <= len(page) - 2 * border
            <= 1.2 * strings.HEIGHT_PX[1] + 2 * (strings.MARGIN_PX[1] - border)
        )


def test_a_third_of_the_neighbours_come_as_near_as_touching_and_the_others_stay_apart() -> None:
    placed, touching = strings.place([DIGITS[n % 10] for n in range(600)], np.random.default_rng(1))
    apart = [strings.distance(left, right) for left, right in itertools.pairwise(placed)]
    near = [gap for gap in apart if gap <= strings.TOUCHING_PX[1]]
    assert touching == len(near)
    assert 0.28 < touching / len(apart) < 0.39
    assert strings.TOUCHING_PX == (min(near), max(near))
    assert strings.APART_PX[0] <= min(gap for gap in apart if gap not in near)


def test_distance_is_from_ink_to_ink_and_not_from_box_to_box() -> None:
    """The foot of one may stand under the roof of another; across a corner is as near as beside
    it.
    """
    roof = np.zeros((10, 8), np.float32)
    roof[0], roof[:, 0] = 1, 1
    dot = np.ones((2, 2), np.float32)
    assert 3 == strings.distance(strings.Placed(roof, 0, 0), strings.Placed(dot, 4, 6))
    assert -4 == strings.distance(strings.Placed(roof, 0, 0), strings.Placed(dot, 4, 1)), (
        "under it, as near as over it"
    )
    assert 0 == strings.distance(strings.Placed(dot, 0, 0), strings.Placed(dot, 2, 2))
    assert 5 == strings.distance(strings.Placed(dot, 0, 0), strings.Placed(dot, 7, 30)), (
        "no row in common: the boxes"
    )


def test_where_ink_overlaps_the_darker_is_drawn() -> None:
    page = strings.draw(
        [strings.Placed(np.full((3, 3), ink, np.float32), x, 0) for ink, x in ((0.9, 0), (0.5, 1))],
        np.random.default_rng(0),
    )
    row = page[page.any(axis=1)][:, page.any(axis=0)][0]
    assert [0.9, 0.9, 0.9, 0.5] == pytest.approx(row.tolist())
