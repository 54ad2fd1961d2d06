import io
import struct
import tempfile
import time
import zipfile
from collections.abc import Iterator

import pytest
from archives import make_zip
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskapi.errors import (
    FlaskapiError,
    InvalidImageError,
    InvalidRequestError,
    TooLargeError,
    UnsupportedImageError,
)
from flaskapi.sources import Allowance, Item
from flaskapi.sources.zipped import read_zip

TWO = make_zip([("a.png", b"first" * 100), ("b.png", b"second")], zipfile.ZIP_DEFLATED)


def read(data: bytes, image_bytes: int = 1000) -> list[Item]:
    return list(read_zip(io.BytesIO(data), Allowance(image_bytes)))


def patched(data: bytes, at: int, form: str, *values: int, entry: int = 0) -> bytes:
    """Change fields of the directory's first or a later entry."""
    start = -1
    for _ in range(entry + 1):
        start = data.index(b"PK\1\2", start + 1)
    changed = bytearray(data)
    struct.pack_into(form, changed, start + at, *values)
    return bytes(changed)


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (patched(TWO, 8, "<H", 1), UnsupportedImageError, "encrypted"),
        (patched(TWO, 10, "<H", 14), UnsupportedImageError, "method 14"),
        (patched(TWO, 16, "<L", 1), InvalidImageError, "checksum"),
        (patched(TWO, 24, "<L", 499), InvalidImageError, "checksum"),
        (patched(TWO, 24, "<L", 501), InvalidImageError, "checksum"),
        (patched(TWO, 20, "<L", 5), InvalidImageError, "damaged"),
        (patched(TWO, 24, "<L", 2_000_000_000), TooLargeError, "1,000 bytes"),
        (patched(TWO, 38, "<L", 0o120777 << 16), UnsupportedImageError, "link"),
        (patched(TWO, 42, "<L", 7), InvalidImageError, "names another member"),
        (patched(TWO, 42, "<L", 2_000_000_000), InvalidImageError, "names another member"),
    ],
    ids=[
        "encrypted",
        "LZMA",
        "checksum",
        "too short",
        "too long",
        "cut",
        "too large",
        "link",
        "elsewhere",
        "outside",
    ],
)
def test_a_bad_member_is_an_error_and_the_next_is_read(
    data: bytes, error: type[FlaskapiError], said: str
) -> None:
    bad, good = read(data)
    assert "a.png" == bad.name
    assert isinstance(bad.content, error)
    assert said in str(bad.content)
    assert Item("b.png", b"second") == good


def test_a_bomb_that_hides_its_size_is_unpacked_no_further_than_it_says() -> None:
    (item,) = read(
        patched(make_zip([("a", bytes(10_000_000))], zipfile.ZIP_DEFLATED), 24, "<L", 900)
    )
    assert isinstance(item.content, InvalidImageError | TooLargeError)


NUMBERS = st.sampled_from([0, 1, 1 << 31, (1 << 32) - 1, 1 << 62, 1 << 63, (1 << 64) - 1])


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.sampled_from([0, 8]))
@settings(deadline=None)
def test_whatever_an_entry_claims_is_an_error_of_that_member_at_most(
    size: int, packed: int, offset: int, good_first: bool, by: int
) -> None:
    """In a real file as well, where a place beyond all files is an error of the system's own."""
    extra = struct.pack("<2H3Q", 1, 24, size, packed, offset)
    data = make_zip([("a.png", b"first"), ("b.png", b"second")])
    start, second, end = data.index(b"PK\1\2"), data.rindex(b"PK\1\2"), data.index(b"PK\5\6")
    good, bad = data[second:end], bytearray(data[start:second] + extra)
    struct.pack_into("<H", bad, 10, by)
    struct.pack_into("<H", bad, 30, len(extra))
    for place in (20, 24, 42):
        struct.pack_into("<L", bad, place, 0xFFFFFFFF)
    directory = good + bytes(bad) if good_first else bytes(bad) + good
    whole = (
        data[:start]
        + directory
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), start, 0)
    )
    with tempfile.TemporaryFile() as file:
        file.write(whole)
        for items in (read(whole), list(read_zip(file, Allowance(1000)))):
            assert ["b.png", "a.png"][:: 1 if good_first else -1] == [item.name for item in items]
            assert Item("b.png", b"second") in items
            assert isinstance(items[good_first].content, FlaskapiError)


def test_members_that_share_their_bytes_are_found_out() -> None:
    """As in the bomb by David Fifield, whose 46 MB unpack to 4.5 PB."""
    data = make_zip([("a", b"x" * 900)])
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    directory = data[start:end] * 50
    bomb = (
        data[:start]
        + directory
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 50, 50, len(directory), start, 0)
    )
    with pytest.raises(InvalidRequestError, match="overlap"):
        read(bomb)


def test_sizes_that_come_after_the_bytes_are_read() -> None:
    """As a ZIP has them that was written into a pipe."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *args: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"first")
    assert [Item("a.png", b"first")] == read(pipe.getvalue())


def test_fields_of_64_bits_are_read() -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w") as archive,
        archive.open("a.png", "w", force_zip64=True) as member,
    ):
        member.write(b"first")
    data = buffer.getvalue()
    assert [Item("a.png", b"first")] == read(data)
    at = data.index(b"PK\5\6")
    start = data.index(b"PK\1\2")
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, at - start, start
    ) + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0
    )
    assert [Item("a.png", b"first")] == read(data[:at] + record + end)
    packed, unpacked, offset = (
        struct.unpack_from("<L", data, start + place)[0] for place in (20, 24, 42)
    )
    extra = struct.pack("<2H3Q", 1, 24, unpacked, packed, offset)
    entry = bytearray(data[start:at])
    for place in (20, 24, 42):
        struct.pack_into("<L", entry, place, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(extra))
    entry += extra
    assert [Item("a.png", b"first")] == read(
        data[:start] + entry + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), start, 0)
    )


def test_the_time_for_extra_fields_grows_with_their_length_and_no_faster() -> None:
    """Sixteen times as many: a copy of the rest at each field would take a hundred times as
    long.
    """

    def least_s(fields: int) -> float:
        data, extra = (
            make_zip([("a.png", b"first")]),
            struct.pack("<2H", 7, 0) * fields + struct.pack("<2HQ", 1, 8, 5),
        )
        start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
        entry = bytearray(data[start:end] + extra)
        struct.pack_into("<L", entry, 24, 0xFFFFFFFF)
        struct.pack_into("<H", entry, 30, len(extra))
        entry *= 8
        packed = (
            data[:start] * 8
            + entry
            + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 8, 8, len(entry), start * 8, 0)
        )
        times = []
        for _ in range(3):
            begun = time.process_time()
            assert [Item("a.png", b"first")] * 8 == read(packed)
            times.append(time.process_time() - begun)
        return min(times)

    assert least_s(16_000) < 50 * least_s(1_000)


def test_what_stands_before_the_archive_or_after_it_as_a_comment_does_not_matter() -> None:
    data = bytearray(TWO)
    struct.pack_into("<H", data, len(data) - 2, 7)
    assert read(TWO) == read(b"#!/bin/sh\n" + bytes(data) + b"comment")


def test_an_end_within_the_comment_is_not_the_archives() -> None:
    """Nor is one that what follows the archive happens to hold."""
    comment = b"PK\5\6 is how it ends, and " + make_zip([("c.png", b"third")])[-22:] + b"!"
    data = bytearray(TWO)
    struct.pack_into("<H", data, len(data) - 2, len(comment))
    assert read(TWO) == read(bytes(data) + comment)
    with pytest.raises(InvalidRequestError, match="data follows it"):
        read(TWO + b"!")


@pytest.mark.parametrize(("name", "read_as"), [("ä.png", "ä.png"), ("7-あ.png", "7-あ.png")])
def test_names_are_read_in_utf_8(name: str, read_as: str) -> None:
    (item,) = read(make_zip([(name, b"x")]))
    assert read_as == item.name


def test_old_names_are_in_code_page_437() -> None:
    data = make_zip([("a.png", b"x")]).replace(b"a.png", b"\x84.png")
    assert ["ä.png"] == [item.name for item in read(data)]


def test_a_directory_longer_than_a_block_is_read() -> None:
    members = [(f"{n:0200}.png", b"%d" % n) for n in range(3000)]
    assert [Item(*member) for member in members] == read(make_zip(members))


@pytest.mark.parametrize("cut", [1, 10, 22, 23, 60, 150, len(TWO) - 30])
def test_an_archive_without_its_end_is_an_error(cut: int) -> None:
    with pytest.raises(InvalidRequestError, match="archive is"):
        read(TWO[:-cut])


def test_a_directory_that_breaks_off_leaves_what_was_read() -> None:
    items: Iterator[Item] = read_zip(io.BytesIO(patched(TWO, 0, "<L", 0, entry=1)), Allowance(1000))
    assert Item("a.png", b"first" * 100) == next(items)
    with pytest.raises(InvalidRequestError, match="directory cannot be read"):
        next(items)
