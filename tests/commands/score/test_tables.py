"""Images in Parquet, in the forms in which they are found."""

import io
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from flaskapi.commands.score.tables import read_images
from flaskapi.errors import FlaskapiError
from flaskapi.sources import Allowance, Item
from flaskapi.sources.zipped import WHOLE, Piece


def make(columns: dict[str, Any], **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file, **options)
    file.seek(0)
    return file


def read(file: io.BytesIO, piece: Piece = WHOLE) -> list[Item]:
    return [*read_images(file, "it.parquet", Allowance(10), piece)]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"image": [b"a", b"b"], "path": ["1.png", "2.png"]}, ["1.png", "2.png"]),
        ({"content": [b"a", b"b"], "other": [b"", b""]}, ["it.parquet#1", "it.parquet#2"]),
        ({"whatever": [b"a", b"b"], "key": [5, None]}, ["5", "it.parquet#2"]),
        ({"image": [{"bytes": b"a", "path": "x"}, {"bytes": b"b", "path": "y"}]}, None),
        ({"image": pyarrow.array([b"a", b"b"], pyarrow.large_binary())}, None),
        ({"image": pyarrow.array([b"a", b"b"]).dictionary_encode()}, None),
    ],
)
def test_the_column_of_images_is_found(columns: dict[str, Any], names: list[str] | None) -> None:
    items = read(make(columns))
    assert [b"a", b"b"] == [item.content for item in items]
    assert (names or ["it.parquet#1", "it.parquet#2"]) == [item.name for item in items]


def test_a_row_without_bytes_or_with_too_many_is_an_item_of_its_own() -> None:
    empty, large = read(make({"image": [None, bytes(11)]}))
    assert b"" == empty.content
    assert isinstance(large.content, FlaskapiError)


@pytest.mark.parametrize("columns", [{"a": [b""], "b": [b""]}, {"image": ["text"]}])
def test_without_such_a_column_it_says_what_is_needed(columns: dict[str, Any]) -> None:
    with pytest.raises(FlaskapiError, match="columns of bytes; call the one with the images"):
        read(make(columns))


def test_pieces_are_the_row_groups(tmp_path: Path) -> None:
    file = make({"image": [bytes([place]) for place in range(50)]}, row_group_size=4)
    pieces = [item for number in range(3) for item in read(file, Piece(number, 3))]
    assert read(file) == pieces
    assert [f"it.parquet#{row}" for row in range(1, 51)] == [item.name for item in pieces]


def test_what_breaks_off_is_damaged() -> None:
    whole = make({"image": [bytes(9)] * 50}).getvalue()
    for content in (whole[:-20], b"PAR1", whole[:4] + bytes(len(whole) - 200) + whole[-196:]):
        with pytest.raises(FlaskapiError, match="damaged"):
            read(io.BytesIO(content))


@pytest.mark.parametrize(
    "names",
    [
        pyarrow.array([2**60, 0], pyarrow.timestamp("us")),
        pyarrow.array([2**62, 0], pyarrow.duration("s")),
        pyarrow.Array.from_buffers(
            pyarrow.string(), 2, pyarrow.array([b"\xff", b"0"]).cast(pyarrow.binary()).buffers()
        ),
    ],
    ids=["a year far off", "a time that is too long", "no UTF-8"],
)
def test_what_is_no_name_for_python_is_called_by_its_row(names: Any) -> None:
    first, second = read(make({"image": [b"a", b"b"], "id": names}))
    assert ("it.parquet#1", b"a") == (first.name, first.content)
    assert b"b" == second.content


def test_an_image_that_many_rows_have_is_one_in_memory() -> None:
    """A file of two kilobytes took four gigabytes."""
    size = 20 << 20
    file = make({"image": pyarrow.array([bytes(size)] * 30)}, compression="zstd")
    before = pyarrow.total_allocated_bytes()
    peak = 0
    for item in read_images(file, "it.parquet", Allowance(10), WHOLE):
        assert isinstance(item.content, FlaskapiError)
        peak = max(peak, pyarrow.total_allocated_bytes() - before)
    assert peak < 6 * size, "of thirty"
