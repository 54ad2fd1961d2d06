import io
import struct

import numpy as np
import pytest
from fakes import draw_digit, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from flaskapi.digits.decode import decode_image
from flaskapi.digits.pages import MOST_PAGES, count_pages, split_pages
from flaskapi.errors import FlaskapiError, InvalidImageError, TooLargeError

PAGES = [Pillow.fromarray(draw_digit(digit, side=60 + digit)) for digit in (7, 1, 4)]
PIXELS = 1_000_000


def tiff(pages: list[Pillow.Image], **options: object) -> bytes:
    return encode(pages[0], "TIFF", save_all=True, append_images=pages[1:], **options)


def split(data: bytes, max_pixels: int = PIXELS) -> list[bytes | FlaskapiError]:
    return list(split_pages(data, max_pixels=max_pixels))


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_each_page_of_a_tiff_is_read_as_it_is_alone(mode: str, compression: str) -> None:
    pages = [page.convert("I" if mode == "I;16" else mode).convert(mode) for page in PAGES]
    data = tiff(pages, compression=compression)
    assert 3 == count_pages(data, max_pixels=PIXELS)
    for page, found in zip(pages, split(data), strict=True):
        assert isinstance(found, bytes)
        expected, actual = (
            decode_image(one, max_pixels=PIXELS, max_side_px=1024).views[0]
            for one in (encode(page, "TIFF"), found)
        )
        np.testing.assert_array_equal(expected, actual)


@pytest.mark.process
def test_each_page_of_a_pdf_is_drawn() -> None:
    # Copies, for Pillow leaves in them how it wrote them.
    first, *rest = (page.copy() for page in PAGES)
    data = encode(first, "PDF", save_all=True, append_images=rest, resolution=200)
    assert 3 == count_pages(data, max_pixels=PIXELS)
    for page, found in zip(PAGES, split(data), strict=True):
        assert isinstance(found, bytes)
        drawn = np.asarray(Pillow.open(io.BytesIO(found)).convert("L").resize(page.size))
        assert float(np.abs(drawn.astype(int) - np.asarray(page)).mean()) < 12


@pytest.mark.process
@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "PDF"])
def test_what_has_one_page_stays_as_it_is(form: str) -> None:
    data = encode(PAGES[0].copy(), form)
    assert 1 == count_pages(data, max_pixels=PIXELS)
    assert [data] == split(data)
    assert [b""] == split(b"")


def test_smaller_copies_of_a_page_are_no_pages() -> None:
    """As photographs and maps have them (TIFF 6.0, NewSubfileType 1)."""
    data = bytearray(tiff(PAGES))
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    (second,) = struct.unpack_from("<I", data, start + 2 + 12 * entries)
    assert (
        256 == struct.unpack_from("<H", data, second + 2)[0]
    )  # the width, which it can do without
    struct.pack_into("<HHII", data, second + 2, 254, 4, 1, 1)
    assert 2 == count_pages(bytes(data), max_pixels=PIXELS)


def test_a_bad_page_fails_no_other() -> None:
    data = tiff(PAGES)
    sizes = [page.size[0] * page.size[1] for page in PAGES]
    kinds = [type(found) for found in split(data, max_pixels=sizes[2])]
    assert [TooLargeError, bytes, bytes] == kinds
    kinds = [type(found) for found in split(data[:-1500] + bytes(1500))]
    assert bytes is kinds[0]


def test_pages_are_counted_up_to_a_bound_and_in_a_circle_once() -> None:
    """The directories of a small file can name each other for ever, or millions of pages."""
    one = struct.pack("<HHHIII", 1, 256, 3, 1, 1, 8)
    assert 1 == count_pages(b"II*\0" + struct.pack("<I", 8) + one, max_pixels=PIXELS)
    many = b"".join(
        struct.pack("<HHHIII", 1, 256, 3, 1, 1, 8 + 18 * (place + 1))
        for place in range(MOST_PAGES + 100)
    )
    data = b"II*\0" + struct.pack("<I", 8) + many
    assert MOST_PAGES + 1 == count_pages(data, max_pixels=PIXELS)
    found = split(data)
    assert MOST_PAGES + 1 == len(found)
    assert isinstance(found[0], InvalidImageError)
    assert isinstance(found[-1], TooLargeError)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=200)
def test_no_damage_to_a_tiff_is_a_fault_of_ours(at: int, written: bytes) -> None:
    data = tiff(PAGES[:2])
    at %= len(data)
    for found in split(data[:4] + (data[4:at] + written + data[at + 1 :])):
        assert isinstance(found, bytes | FlaskapiError)
