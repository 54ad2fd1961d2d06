import io
import tarfile
import time

import pytest
from archives import make_tar

from flaskapi.errors import InvalidRequestError, UnsupportedImageError
from flaskapi.sources import Allowance, Item
from flaskapi.sources.tarred import is_header, read_tar


def read(data: bytes, image_bytes: int = 10_000) -> list[Item]:
    return list(read_tar(io.BytesIO(data), Allowance(image_bytes)))


def resealed(block: bytearray) -> bytes:
    """Make a header's checksum right again."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(records: bytes) -> bytes:
    """A block of pax records for the next member, with its header."""
    header = bytearray(make_tar([("x", b"")], type=b"x")[:512])
    header[124:136] = b"%011o\0" % len(records)
    return resealed(header) + records.ljust(-(-len(records) // 512) * 512, b"\0")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_names_of_other_alphabets_are_read(form: int) -> None:
    members = [("a/" * 140 + "7.png", b"x"), ("sieben-ä-七.png", b"y"), ("n" * 150, b"z")]
    assert [Item(*member) for member in members] == read(make_tar(members, form))


def test_a_long_name_in_two_fields_is_put_together() -> None:
    name = "f" * 90 + "/" + "g" * 90
    assert [Item(name, b"x")] == read(make_tar([(name, b"x")], tarfile.USTAR_FORMAT))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        *((kind, "a link") for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE)),
        *((kind, "a device") for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE)),
        *(
            (tarfile.FIFOTYPE, "a pipe"),
            (tarfile.GNUTYPE_SPARSE, "a sparse file"),
            (b"M", "unsupported kind"),
        ),
    ],
)
def test_what_is_no_regular_file_is_an_error(kind: bytes, said: str) -> None:
    special = make_tar([("a.png", b"")], type=kind, linkname="/etc/passwd")[:512]
    bad, good = read(special + make_tar([("b.png", b"x")]))
    assert "a.png" == bad.name
    assert isinstance(bad.content, UnsupportedImageError)
    assert said in str(bad.content)
    assert Item("b.png", b"x") == good


def test_a_sparse_file_is_an_error_in_either_form() -> None:
    pax = make_tar(
        [("a.png", b"x" * 600)], pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    )
    assert [UnsupportedImageError] == [type(item.content) for item in read(pax)]
    header = bytearray(make_tar([("a.png", b"")], type=tarfile.GNUTYPE_SPARSE)[:512])
    header[482] = 1
    more = bytearray(512)
    more[504] = 1
    items = read(resealed(header) + bytes(more) + bytes(512) + make_tar([("b.png", b"x")]))
    assert ["a.png", "b.png"] == [item.name for item in items]


def test_folders_are_left_out() -> None:
    folder = make_tar([("folder", b"")], type=tarfile.DIRTYPE)[:512]
    assert [Item("a.png", b"x")] == read(folder + make_tar([("a.png", b"x")]))


def test_global_headers_are_left_out() -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "made by git"}
    ) as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    assert [Item("a.png", b"")] == read(buffer.getvalue())


def test_an_archive_from_before_there_was_a_signature_is_read() -> None:
    header = bytearray(make_tar([("a.png", b"x")])[:512])
    header[257:512] = bytes(255)
    data = resealed(header) + b"x".ljust(512, b"\0") + bytes(1024)
    assert is_header(data[:512])
    assert [Item("a.png", b"x")] == read(data)


@pytest.mark.parametrize("size", [b"\x80" + (10**15).to_bytes(11, "big"), b"77777777777\0"])
def test_a_size_that_is_not_there_is_an_error_and_takes_no_memory(size: bytes) -> None:
    header = bytearray(make_tar([("a.png", b"x")])[:512])
    header[124:136] = size
    items = read_tar(io.BytesIO(resealed(header) + bytes(512)), Allowance(10_000))
    assert "a.png" == next(items).name
    with pytest.raises(InvalidRequestError, match="truncated"):
        next(items)


@pytest.mark.parametrize("size", [b"x", b"00000000009\0", b"\xff" * 12, b"-1"])
def test_a_size_that_is_no_number_is_an_error(size: bytes) -> None:
    header = bytearray(make_tar([("a.png", b"x")])[:512])
    header[124:136] = size.ljust(12, b"\0")
    with pytest.raises(InvalidRequestError, match="header cannot be read"):
        read(resealed(header) + bytes(512))


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_a_name_that_claims_gigabytes_is_an_error_and_takes_no_memory(kind: bytes) -> None:
    header = bytearray(make_tar([("a.png", b"x")], type=kind)[:512])
    header[124:136] = b"\x80" + (10**10).to_bytes(11, "big")
    with pytest.raises(InvalidRequestError, match="name is impossible"):
        read(resealed(header) + bytes(2048))


@pytest.mark.parametrize(
    "record",
    [
        *(
            b"9999 path=a\n",
            b"0 path=a\n",
            b"x path=a\n",
            b"99999999 path=a\n",
            b"11 size=-1\n",
            b"12 size=1e1\n",
            b"11 size=\xb21\n",
        ),
        *(b"8 path7\n", b"5 =a\n", b"9 path=ab"),
    ],
)
def test_a_broken_extended_header_is_an_error(record: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="extended header"):
        read(extended(record) + make_tar([("a.png", b"x")]))


def test_a_member_has_a_handful_of_extended_headers_at_most() -> None:
    member, header = (
        make_tar([("a.png", b"x")], tarfile.USTAR_FORMAT)[:1024],
        extended(b"14 path=7.png\n"),
    )
    assert [Item("7.png", b"x")] * 2 == read((header * 8 + member) * 2 + bytes(1024))
    with pytest.raises(InvalidRequestError, match="more than 8 extended headers"):
        read(header * 9 + member + bytes(1024))


def test_the_time_for_extended_headers_grows_with_their_length_and_no_faster() -> None:
    """Some 64 times as long: a copy of the rest at each record would take more than 200 times as
    long.
    """

    def least_s(records: int) -> float:
        times = []
        for _ in range(3):
            begun = time.process_time()
            assert [Item("a.png", b"x")] == read(
                extended(b"5 a=\n" * records) * 4 + make_tar([("a.png", b"x")])
            )
            times.append(time.process_time() - begun)
        return min(times)

    assert least_s(12_900) < 130 * least_s(200)


@pytest.mark.parametrize("cut", [512, 1024, 700, 1500])
def test_an_archive_that_breaks_off_says_so(cut: int) -> None:
    """At the edge of a member too: what is missing must not go unsaid."""
    with pytest.raises(InvalidRequestError, match="truncated"):
        read(make_tar([("a.png", b"x" * 100), ("b.png", b"y" * 700)], tarfile.USTAR_FORMAT)[:cut])
