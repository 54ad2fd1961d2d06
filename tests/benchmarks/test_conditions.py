"""Pictures under other conditions: the same every time, still pictures, with the labels as they
were.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import draw_digit, encode

from benchmarks import conditions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labelled").mkdir()
    for digit, side in ((3, 28), (8, 140)):
        (tmp_path / "labelled" / f"{digit}.png").write_bytes(encode(draw_digit(digit, side=side)))
    (tmp_path / "labelled" / "labels.csv").write_text("file,label\n3.png,3\n8.png,8\n")
    return tmp_path / "labelled"


def test_each_condition_has_all_pictures_with_their_labels_the_same_every_time(
    folder: Path, tmp_path: Path
) -> None:
    for target in ("a", "b"):
        conditions.main(folder, tmp_path / target)
    files = {
        path.relative_to(tmp_path / "a"): path.read_bytes()
        for path in (tmp_path / "a").rglob("*.*")
    }
    assert files == {
        path.relative_to(tmp_path / "b"): path.read_bytes()
        for path in (tmp_path / "b").rglob("*.*")
    }
    for name in conditions.CONDITIONS:
        assert (folder / "labels.csv").read_bytes() == files[Path(name, "labels.csv")]
        assert {"3.png", "8.png", "labels.csv"} == {
            path.name for path in (tmp_path / "a" / name).iterdir()
        }
    as_they_are = [
        cv2.imdecode(np.frombuffer(files[Path("as-it-is", f"{digit}.png")], np.uint8), 0)
        for digit in (3, 8)
    ]
    np.testing.assert_array_equal(as_they_are[0], draw_digit(3, side=28))
    assert len(conditions.CONDITIONS) == len(
        {files[Path(name, "8.png")] for name in conditions.CONDITIONS}
    ), "each is another"


def test_what_is_no_picture_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "8.png").write_text("words")
    with pytest.raises(SystemExit, match=r"8\.png: not a picture"):
        conditions.main(folder, tmp_path / "out")
