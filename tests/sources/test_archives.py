import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import tracemalloc
import zipfile
from typing import IO

import pytest
from archives import make_tar, make_tar_gz, make_zip
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskapi.errors import (
    FlaskapiError,
    InvalidRequestError,
    MissingImageError,
    TooLargeError,
    UnsupportedImageError,
)
from flaskapi.sources import Allowance, Item, is_clutter
from flaskapi.sources.archives import kind_of, read_file, read_stream

THREE = [("b.png", b"second"), ("folder/a.png", b"first"), ("c.png", b"")]
MAKERS = {
    "zip": make_zip,
    "deflated zip": lambda members: make_zip(members, zipfile.ZIP_DEFLATED),
    "pax tar": make_tar,
    "GNU tar": lambda members: make_tar(members, tarfile.GNU_FORMAT),
    "ustar": lambda members: make_tar(members, tarfile.USTAR_FORMAT),
    "tar.gz": make_tar_gz,
}


def read(
    data: bytes, name: str = "it.zip", image_bytes: int = 1000, total_bytes: int | None = None
) -> list[Item]:
    return list(read_file(io.BytesIO(data), name, Allowance(image_bytes, total_bytes)))


class Pipe:
    """Can be read forwards alone, and remembers how far it was."""

    def __init__(self, data: bytes) -> None:
        self._data, self.taken = data, 0

    def read(self, size: int, /) -> bytes:
        found = self._data[self.taken : self.taken + size]
        self.taken += len(found)
        return found


@pytest.fixture
def spool() -> IO[bytes]:
    return io.BytesIO()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_members_come_in_the_archives_order_with_their_names(make, spool: IO[bytes]) -> None:
    assert [Item(*member) for member in THREE] == read(make(THREE))
    assert [Item(*member) for member in THREE] == list(
        read_stream(Pipe(make(THREE)), "-", Allowance(1000), spool)
    )


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/\\:", exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=120,
).filter(lambda name: name != ".." and not is_clutter(name))
MEMBERS = st.lists(
    st.tuples(NAMES, st.binary(max_size=1500).map(lambda content: b"\x89PNG" + content)),
    min_size=1,
    max_size=8,
)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@given(MEMBERS, st.sampled_from([maker for name, maker in MAKERS.items() if name != "ustar"]))
@settings(deadline=None, max_examples=150)
def test_whatever_is_packed_comes_out_in_order(members: list[tuple[str, bytes]], make) -> None:
    assert [Item(*member) for member in members] == read(make(members), image_bytes=2000)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_damaged_archive_gives_what_it_still_holds_and_errors_and_nothing_else(
    make, data: st.DataObject
) -> None:
    """Cut off anywhere, or with any bytes changed: no crash, no member larger than the limit."""
    packed = bytearray(make([(f"{n}.png", b"\x89PNG" + bytes([n]) * 100 * n) for n in range(6)]))
    for _ in range(data.draw(st.integers(0, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packed[: data.draw(st.integers(0, len(packed)))])
    try:
        items = read(cut, image_bytes=600, total_bytes=20_000)
    except FlaskapiError:
        return
    assert all(
        isinstance(item.content, FlaskapiError) or len(item.content) <= 600 for item in items
    )


@given(
    st.binary(max_size=600),
    st.sampled_from([b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\xff", b""]),
)
@settings(deadline=None, max_examples=200)
def test_bytes_that_begin_like_an_archive_are_an_error_at_worst(data: bytes, start: bytes) -> None:
    try:
        read(start + data, total_bytes=100_000)
    except FlaskapiError:
        return


def test_what_is_no_archive_is_the_one_image_that_it_is() -> None:
    assert [Item("7.png", b"\x89PNG")] == read(b"\x89PNG", "7.png")
    (item,) = read(bytes(1001), "7.png")
    assert isinstance(item.content, TooLargeError)
    assert "1,000 bytes" in str(item.content)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])
def test_an_archive_of_another_kind_is_named(pack) -> None:
    with pytest.raises(UnsupportedImageError, match=r"compressed with (bzip2|xz)"):
        read(pack(make_tar(THREE)))


@pytest.mark.parametrize("make", [make_zip, make_tar, make_tar_gz])
def test_an_archive_without_images_is_an_error_of_its_own(make) -> None:
    clutter = [("__MACOSX/._a.png", b"x"), (".DS_Store", b"x"), ("a/Thumbs.db", b"x")]
    for members in (
        [clutter] if make is make_tar else [clutter, []]
    ):  # an empty tar has nothing that one could know it by
        with pytest.raises(MissingImageError, match=r"'it\.zip' contains no image"):
            read(make(members))


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_what_a_system_adds_is_not_unpacked(make) -> None:
    """In a ZIP, whose members need not be read one after the other, it counts against no limit
    either.
    """
    data = make([("__MACOSX/._a.png", b"clutter" * 1000), ("a.png", b"\x89PNG")])
    assert [Item("a.png", b"\x89PNG")] == read(
        data, image_bytes=10_000, total_bytes=5_000 if make is make_zip else None
    )


@pytest.mark.parametrize("make", [make_zip, make_tar, make_tar_gz])
def test_an_archive_within_an_archive_is_not_opened(make) -> None:
    inner, image = read(
        make([("in.zip", make_zip(THREE)), ("a.png", b"\x89PNG")]), image_bytes=100_000
    )
    assert isinstance(inner.content, UnsupportedImageError)
    assert b"\x89PNG" == image.content


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "name",
    ["../a.png", "a/../../b.png", "/etc/passwd", "C:\\a.png", "..\\a.png", "\\\\host\\a.png"],
)
def test_a_name_that_leads_elsewhere_is_an_error_of_that_member(make, name: str) -> None:
    member, other = read(make([(name, b"\x89PNG"), ("b.png", b"\x89PNG")]))
    assert name.replace("\\", "/") == member.name.replace("\\", "/")
    assert isinstance(member.content, InvalidRequestError)
    assert b"\x89PNG" == other.content


@pytest.mark.parametrize("make", [make_zip, make_tar, make_tar_gz])
def test_a_member_over_the_limit_is_an_error_and_the_next_is_read(make) -> None:
    first, large, last = read(make([("a", b"x" * 1000), ("b", b"x" * 1001), ("c", b"x")]))
    assert (1000, 1) == (len(first.content), len(last.content))
    assert isinstance(large.content, TooLargeError)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_all_together_may_not_unpack_to_more_than_the_limit(make) -> None:
    *before, last = read(make([(f"{n}", b"x" * 1000) for n in range(20)]), total_bytes=10_000)
    assert 5 <= len(before) <= 10
    assert "it.zip" == last.name
    assert isinstance(last.content, TooLargeError)


def test_the_limit_is_for_all_archives_of_a_request() -> None:
    allowance, archive = Allowance(1000, 1500), make_zip([("a", b"x" * 1000)])
    assert 1 == len(list(read_file(io.BytesIO(archive), "1.zip", allowance)))
    with pytest.raises(TooLargeError):
        list(read_file(io.BytesIO(archive), "2.zip", allowance))


def test_a_pipe_is_read_no_further_than_the_member_that_is_asked_for(spool: IO[bytes]) -> None:
    pipe = Pipe(make_tar([(f"{n}", bytes([n]) * 900) for n in range(1, 100)], tarfile.USTAR_FORMAT))
    items = read_stream(pipe, "-", Allowance(1000), spool)
    assert "1" == next(items).name
    assert pipe.taken <= 2048


def test_a_gz_bomb_is_read_up_to_the_limit_and_held_in_pieces() -> None:
    bomb = gzip.compress(
        make_tar([("a.png", b"\x89PNG")])[:1024] + make_tar([("bomb", bytes(50_000_000))]), mtime=0
    )
    assert len(bomb) < 100_000
    image, bomb_item, rest = read(bomb, total_bytes=10_000_000)
    assert (b"\x89PNG", True) == (image.content, isinstance(bomb_item.content, TooLargeError))
    assert isinstance(rest.content, TooLargeError)


def test_kinds_are_told_by_the_first_bytes() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(make_tar(THREE))
        file.seek(0)
        assert "tar" == kind_of(file.read(512))
    assert ["zip", "zip", "gzip", "other", None, None] == [
        kind_of(head)
        for head in (make_zip(THREE), make_zip([]), gzip.compress(b""), b"BZh9", b"\x89PNG", b"")
    ]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_memory_does_not_grow_with_the_number_of_members(make) -> None:
    """Python's own zipfile keeps 2.7 MB of 5,000 members."""
    with tempfile.TemporaryFile() as file:
        file.write(make((f"{n}.png", b"x" * 300) for n in range(5_000)))
        file.seek(0)
        tracemalloc.start()
        assert 5_000 == sum(1 for _ in read_file(file, "it", Allowance(1000)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 1_000_000
