import gzip
import io
import struct
from typing import Any

import numpy as np
import pytest
from fakes import draw_digit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from flaskapi.errors import FlaskapiError, InvalidRequestError, TooLargeError
from flaskapi.sources import Allowance, Item
from flaskapi.sources.archives import read_file, read_stream

DIGITS = np.stack([draw_digit(digit, side=28, dark_on_light=False) for digit in (7, 1, 4)])
LABELS = [7, 1, 4]


def read(data: bytes, name: str = "a", *, total: int | None = None) -> list[Item]:
    return list(read_file(io.BytesIO(data), name, Allowance(1 << 20, total)))


def pixels(item: Item) -> np.ndarray[Any, np.dtype[np.uint8]]:
    assert isinstance(item.content, bytes), item
    return np.asarray(Image.open(io.BytesIO(item.content)))


def idx(images: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return b"\0\0\x08\3" + struct.pack(">3I", *images.shape) + images.tobytes()


def npy(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def table(*, label: str = "", header: bool = True, scale: float = 1, sign: str = ",") -> bytes:
    """MNIST as Kaggle has it; `label` says on which side of the pixels it stands."""
    names, rows = [f"pixel{place}" for place in range(784)], []
    for digit, image in zip(LABELS, DIGITS, strict=True):
        values = [f"{value * scale:g}" for value in image.ravel().tolist()]
        before, after = label == "before", label == "after"
        rows.append([str(digit)] * before + values + [str(digit)] * after)
    if header:
        rows.insert(0, ["label"] * (label == "before") + names + ["class"] * (label == "after"))
    return "".join(sign.join(row) + "\r\n" for row in rows).encode()


FILES = {
    "IDX": idx(DIGITS),
    "IDX, gzipped": gzip.compress(idx(DIGITS)),
    "an array": npy(DIGITS),
    "an array, gzipped": gzip.compress(npy(DIGITS)),
    "rows of an array": npy(DIGITS.reshape(3, 784)),
    "an array with a channel": npy(DIGITS[..., None]),
    "an array with a channel first": npy(DIGITS[:, None]),
    "an array from 0 to 1": npy((DIGITS / 255).astype(np.float32)),
    "an array of 64 bits": npy(DIGITS.astype(">i8")),
    "a table": table(),
    "a table with labels": table(label="before"),
    "a table with labels behind": table(label="after"),
    "a table without a header": table(header=False),
    "a table with labels, without a header": table(label="before", header=False),
    "a table, gzipped": gzip.compress(table(label="before")),
    "a table from 0 to 1": table(scale=1 / 255),
    "a table by semicolons": table(sign=";"),
    "a table by a program that marks UTF-8": b"\xef\xbb\xbf" + table(label="before"),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_each_picture_in_a_file_of_pixels_is_an_item(data: bytes) -> None:
    """The same pixels in the same order, named by their places, from a file and from a pipe."""
    piped = read_stream(io.BytesIO(data), "a", Allowance(1 << 20), io.BytesIO())
    for items in (read(data), list(piped)):
        assert ["a#1", "a#2", "a#3"] == [item.name for item in items]
        np.testing.assert_array_equal(DIGITS, [pixels(item) for item in items])


def test_an_array_may_hold_one_picture_of_any_size() -> None:
    page = draw_digit(7, side=90)[:, :70]
    (item,) = read(npy(page))
    np.testing.assert_array_equal(page, pixels(item))


BAD = {
    "labels": (b"\0\0\x08\1" + bytes(600), "labels"),
    "no pictures": (npy(np.zeros(7, np.uint8)), "shape (7,)"),
    "pictures in colours": (npy(np.zeros((9, 28, 28, 3), np.uint8)), "shape (9, 28, 28, 3)"),
    "words": (npy(np.array(["a", "b"])), "must contain numbers"),
    "objects": (npy(np.array([{}, {}]), allow_pickle=True), "must contain numbers"),
    "columns": (npy(np.asfortranarray(DIGITS)), "ascontiguousarray"),
    "below 0": (npy(DIGITS - 300.0), "from -300 to 0"),
    "a table of something else": (b",".join([b"1"] * 300) + b"\n", "300 columns"),
    "a row that never ends": (b"1," * 200_000, "too long"),
    "a header that is none": (b"\x93NUMPY\1\0\x20\0" + b"x" * 600, "damaged"),
    "a header that is long": (b"\x93NUMPY\2\0\xff\xff\xff\x7f" + b" " * 99_999, "damaged"),
    "pictures without pixels": (
        b"\0\0\x08\3" + struct.pack(">3I", 9, 0, 28) + bytes(600),
        "28 x 0",
    ),
    "large ones": (
        b"\0\0\x08\3" + struct.pack(">3I", 1, 1 << 31, 1 << 31) + bytes(600),
        "1 to 4096",
    ),
}


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_a_file_of_which_no_picture_can_be_read_is_refused_and_named(
    data: bytes, said: str
) -> None:
    with pytest.raises(FlaskapiError) as caught:
        read(data)
    assert said in str(caught.value)


def test_a_bad_row_fails_no_other() -> None:
    rows = table().splitlines(keepends=True)
    rows[2] = b"300," + rows[2]
    rows.insert(2, b",".join([b"x"] * 784) + b"\n")
    items = read(b"".join(rows))
    kinds = [bytes, InvalidRequestError, InvalidRequestError, bytes]
    assert kinds == [type(item.content) for item in items]
    assert ["not a number", "785 pixels"] == [
        said
        for said, item in zip(["not a number", "785 pixels"], items[1:3], strict=True)
        if said in str(item.content)
    ]


NOISE = idx(np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8))
CUT = {kind: FILES[kind][:-300] for kind in ("IDX", "an array", "a table")}


@pytest.mark.parametrize("cut", [*CUT.values(), gzip.compress(NOISE)[:-900]], ids=[*CUT, "gzipped"])
def test_a_file_that_breaks_off_leaves_what_was_read(cut: bytes) -> None:
    *good, last = read(cut)
    assert len(good) >= 2
    assert all(isinstance(item.content, bytes) for item in good)
    assert isinstance(last.content, FlaskapiError)
    assert last.name in ("a", "a#3")


def test_what_a_small_file_unpacks_to_is_bounded() -> None:
    many = gzip.compress(idx(np.zeros((20_000, 28, 28), np.uint8)))
    assert len(many) < 100_000
    *_, last = read(many, total=100_000)
    assert isinstance(last.content, TooLargeError)


@given(st.sampled_from(list(FILES.values())), st.data())
@settings(deadline=None, max_examples=200)
def test_a_damaged_file_is_an_error_of_the_project(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, min(700, len(data) - 1)))
    damaged = data[:at] + draw.draw(st.binary(max_size=4)) + data[at + 2 :]
    try:
        items = read(damaged)
    except FlaskapiError:
        return
    assert all(isinstance(item.content, bytes | FlaskapiError) for item in items)


@pytest.mark.parametrize(
    "data",
    [idx(DIGITS[:0]), npy(DIGITS[:0]), table()[: table().index(b"\r\n") + 2]],
    ids=["IDX", "an array", "a heading alone"],
)
def test_a_table_without_a_picture_is_an_error(data: bytes) -> None:
    with pytest.raises(FlaskapiError):
        read(data)
