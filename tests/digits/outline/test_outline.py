import io
import struct

import numpy as np
import pytest
from fakes import encode
from hostile import DRAWN, png_chunk, png_with
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from flaskapi.digits.decode import decode_image
from flaskapi.digits.outline import cut, read_outline
from flaskapi.errors import InvalidImageError, TooLargeError, UnsupportedImageError

FORMS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]
FILES = [encode(DRAWN, form) for form in FORMS]
OTHER = 255 - DRAWN


def pixels(data: bytes) -> np.ndarray:
    return decode_image(data, max_pixels=10**6, max_side_px=1024).views[0]


@pytest.mark.parametrize("form", FORMS)
def test_the_size_is_the_pictures_own(form: str) -> None:
    outline = read_outline(encode(DRAWN[:, 20:80], form))
    assert outline is not None
    assert (60, 100) == (outline.width, outline.height)


@pytest.mark.parametrize(("form", "data"), [*zip(FORMS, FILES, strict=True)])
def test_what_follows_the_picture_is_cut(form: str, data: bytes) -> None:
    assert data == cut(data), "a picture alone stays as it is"
    longer = data + b"\0" * 1000 + b"anything"
    assert data == cut(longer)
    np.testing.assert_array_equal(pixels(data), pixels(longer))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_all_frames_belong_to_the_picture(form: str) -> None:
    # New ones, for Pillow leaves on an image how it was last written.
    others = [Pillow.fromarray(OTHER) for _ in range(2)]
    data = encode(DRAWN, form, save_all=True, append_images=others)
    whole = cut(data + b"behind")
    assert data[: len(whole)] == whole
    frames = Pillow.open(io.BytesIO(whole))
    frames.seek(1)
    np.testing.assert_allclose(255 - DRAWN, np.asarray(frames.convert("L")), atol=40)


def test_of_two_pictures_in_one_jpeg_the_second_is_cut() -> None:
    """Telephones put films and maps of light behind a photograph."""
    data = encode(DRAWN, "JPEG")
    assert data == cut(data + encode(OTHER, "JPEG"))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpegs_end_is_found_after_its_last_scan(progressive: bool) -> None:
    colours = Pillow.fromarray(DRAWN).convert("RGB")
    data = encode(colours, "JPEG", progressive=progressive)
    assert data == cut(data + b"\xff\xd9")


def test_text_and_profiles_are_left_out_of_what_is_decoded() -> None:
    outline = read_outline(png_with(png_chunk(b"tEXt", b"Comment\0" + b"a" * 1000)))
    assert outline is not None
    assert b"Comment" not in outline.data
    np.testing.assert_array_equal(DRAWN, pixels(outline.data))


def test_a_png_in_many_pieces_is_joined() -> None:
    data = encode(DRAWN)
    start = data.index(b"IDAT")
    length = struct.unpack_from(">L", data, start - 4)[0]
    content = data[start + 4 : start + 4 + length]
    pieces = b"".join(png_chunk(b"IDAT", content[at : at + 1]) for at in range(length))
    whole = data[: start - 4] + pieces + data[start + 8 + length :]
    np.testing.assert_array_equal(DRAWN, pixels(whole))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("where", ["exif", "xmp"])
def test_the_orientation_is_read_from_exif_or_xmp(form: str, where: str) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    if where == "exif":
        data = encode(DRAWN, form, exif=exif)
    elif form == "PNG":
        data = png_with(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    else:
        data = encode(DRAWN, form, xmp=packet)
    outline = read_outline(data)
    assert outline is not None
    assert outline.orientation == 6


def test_imagemagicks_raw_profile_tells_the_orientation() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x08\0\0\0\0\0\0\0"
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    outline = read_outline(png_with(png_chunk(b"tEXt", b"Raw profile type exif\0" + text)))
    assert outline is not None
    assert outline.orientation == 8


def test_another_format_has_no_outline() -> None:
    assert read_outline(b"%PDF-1.7") is None


@given(
    st.sampled_from(FILES),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=8
    ),
)
@settings(deadline=None, max_examples=300)
def test_no_damage_raises_anything_but_the_three_errors(
    data: bytes, damages: list[tuple[float, bytes]]
) -> None:
    damaged = bytearray(data)
    for place, put in damages:
        at = int(place**2 * len(data))  # more often near the beginning, where the headers are
        damaged[at : at + len(put)] = put
    try:
        outline = read_outline(bytes(damaged))
    except (InvalidImageError, TooLargeError, UnsupportedImageError):
        return
    if outline is not None:
        assert 0 <= outline.end <= len(damaged)
        assert len(outline.data) <= len(damaged) + 1000
