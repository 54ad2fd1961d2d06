import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import draw_digit, encode
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from flaskapi.digits import Image
from flaskapi.digits.apart import Bounds
from flaskapi.digits.decode import ImageFile, decode_image
from flaskapi.errors import InvalidImageError, TooLargeError, UnsupportedImageError

# Taller than wide and without symmetry: each way of turning it is another picture.
DRAWN = draw_digit(7, side=100)[:, 20:80]
MODES = {
    "PNG": ["L", "1", "P", "RGB", "RGBA", "LA", "I;16"],
    "JPEG": ["L", "RGB", "CMYK"],
    "GIF": ["L", "1", "P", "RGB"],
    "BMP": ["L", "1", "P", "RGB", "RGBA"],
    "WEBP": ["L", "RGB", "RGBA"],
    "TIFF": ["L", "1", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"],
}
FILES = [encode(DRAWN, form) for form in MODES]


def decode(data: bytes, *, max_pixels: int = 1_000_000, max_side_px: int = 1024) -> Image:
    return decode_image(data, max_pixels=max_pixels, max_side_px=max_side_px).views[0]


def in_mode(mode: str) -> Pillow.Image:
    """The drawn digit in one of Pillow's modes, 16 bit and 32 bit ones over their range."""
    wide: dict[str, npt.NDArray[Any]] = {
        "I;16": DRAWN.astype(np.uint16) * 257,
        "I": DRAWN.astype(np.int32) * 65537,
        "F": DRAWN.astype(np.float32) / 255,
    }
    if mode in wide:
        return Pillow.fromarray(wide[mode])
    if mode == "LA":
        return Pillow.merge(
            "LA", (Pillow.fromarray(DRAWN), Pillow.new("L", DRAWN.shape[::-1], 255))
        )
    return Pillow.fromarray(DRAWN).convert(mode)


def assert_alike(expected: Image, actual: Image) -> None:
    """The same picture but for what lossy formats and dithering change."""
    assert (np.uint8, expected.shape) == (actual.dtype, actual.shape)
    assert float(np.abs(expected.astype(int) - actual).mean()) < 3


@pytest.mark.parametrize(
    ("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes]
)
def test_every_format_and_mode_decodes_to_the_same_grey_picture(form: str, mode: str) -> None:
    assert_alike(DRAWN, decode(encode(in_mode(mode), form)))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_exif_says_is_turned_comes_out_upright(form: str, orientation: int) -> None:
    """The table is EXIF 2.3's: where the stored picture's first row and column are in the upright
    one.
    """
    stored = {
        1: DRAWN,
        2: DRAWN[:, ::-1],
        3: DRAWN[::-1, ::-1],
        4: DRAWN[::-1],
        5: DRAWN.T,
        6: np.rot90(DRAWN),
        7: DRAWN[::-1, ::-1].T,
        8: np.rot90(DRAWN, -1),
    }
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(stored[orientation]), form, exif=exif)
    assert_alike(DRAWN, decode(data))
    as_stored = decode_image(data, max_pixels=10**6, max_side_px=1024).views[1:]
    assert (orientation != 1 and form != "TIFF") == len(as_stored), (
        "Pillow turns TIFF itself, and no telephone writes it"
    )
    for image in as_stored:
        assert_alike(np.ascontiguousarray(stored[orientation]), image)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("hidden", [0, 255])
@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_a_transparent_ground_is_visible(ink: int, hidden: int, form: str) -> None:
    """Black ink or white, whatever the colour that nobody sees under the transparent pixels."""
    opacity = 255 - DRAWN
    grey = np.where(opacity > 0, np.uint8(ink), np.uint8(hidden))
    picture = Pillow.merge(
        "RGBA", [Pillow.fromarray(plane) for plane in (grey, grey, grey, opacity)]
    )
    assert_alike(255 - DRAWN if ink else DRAWN, decode(encode(picture, form)))


@pytest.mark.parametrize("form", ["PNG", "GIF"])
@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_the_transparent_entry_of_a_palette_is_visible(form: str, ink: int) -> None:
    is_ink = DRAWN < 128
    picture = Pillow.fromarray(is_ink.astype(np.uint8)).convert("P")
    picture.putpalette([100, 100, 100, *[ink] * 3])
    shown = np.where(is_ink, ink, 255 - ink).astype(np.uint8)
    assert_alike(shown, decode(encode(picture, form, transparency=0)))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_is_taken(form: str) -> None:
    other = Pillow.fromarray(255 - DRAWN)
    assert_alike(DRAWN, decode(encode(DRAWN, form, save_all=True, append_images=[other, other])))


def test_pixels_over_the_limit_are_refused_and_the_limit_named() -> None:
    assert (100, 60) == decode(FILES[0], max_pixels=6000).shape
    with pytest.raises(TooLargeError, match="60 x 100 pixels; at most 5,999"):
        decode(FILES[0], max_pixels=5999)


def png_of(width: int, height: int) -> bytes:
    """Header and end of a PNG, which claims a size and holds no pixels at all."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )


@pytest.mark.parametrize("side", [1001, 10_000, 60_000, 2**31 - 1])
def test_a_header_that_claims_too_many_pixels_is_refused_before_anything_is_decoded(
    side: int,
) -> None:
    with pytest.raises(TooLargeError, match="1,000,000"):
        decode(png_of(side, side))
    with pytest.raises(InvalidImageError):
        decode(png_of(1000, 1000))  # within the limit it is decoded, and found empty


@pytest.mark.parametrize("form", MODES)
@pytest.mark.parametrize(
    ("shape", "reduced"),
    [
        ((200, 50), (100, 25)),
        ((90, 300), (30, 100)),
        ((3000, 1), (100, 1)),
        ((100, 100), (100, 100)),
    ],
)
def test_a_larger_picture_is_reduced_to_the_longer_side_asked_for(
    shape: tuple[int, int], reduced: tuple[int, int], form: str
) -> None:
    assert reduced == decode(encode(np.full(shape, 200, np.uint8), form), max_side_px=100).shape


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_a_stroke_of_one_pixel_survives_reduction(mode: str) -> None:
    picture = np.full((1000, 1000), 255, np.uint8)
    picture[:, 500] = 0
    wide = (
        Pillow.fromarray(picture.astype(np.uint16) * 257)
        if mode == "I;16"
        else Pillow.fromarray(picture).convert(mode)
    )
    assert decode(encode(wide), max_side_px=250)[:, 125].max() < 210


@pytest.mark.parametrize("data", FILES, ids=MODES)
def test_a_truncated_file_is_an_invalid_image_unless_all_of_it_is_there(data: bytes) -> None:
    whole, refused = decode(data), 0
    for length in range(10, len(data), 10):
        try:
            np.testing.assert_array_equal(whole, decode(data[:length]))
        except InvalidImageError:
            refused += 1
    assert refused > 0.9 * (len(data) // 10)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"words",
        b"%!PS-Adobe-3.0",
        b"<svg/>",
        b"\0" * 100,
        encode(DRAWN, "PPM"),
        encode(DRAWN, "PCX"),
    ],
)
def test_what_is_no_image_of_a_format_that_is_read_is_unsupported(data: bytes) -> None:
    with pytest.raises(
        UnsupportedImageError, match="PNG, JPEG, GIF, BMP, WebP, TIFF, HEIC, AVIF or PDF"
    ):
        decode(data)


def assert_answers(data: bytes) -> None:
    """Whatever the bytes: a picture, or one of the three errors."""
    try:
        image = decode(data, max_side_px=64)
    except (InvalidImageError, TooLargeError, UnsupportedImageError):
        return
    assert (np.uint8, 2) == (image.dtype, image.ndim)
    assert 1 <= min(image.shape) <= max(image.shape) <= 64


@pytest.mark.process  # a foreign format is decoded in one
@given(st.binary(max_size=200), st.sampled_from([b"", *(data[:8] for data in FILES)]))
@settings(deadline=None, max_examples=200)
def test_no_bytes_raise_anything_else(data: bytes, start: bytes) -> None:
    assert_answers(start + data)


@given(
    st.sampled_from(FILES),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=8
    ),
)
@example(FILES[0], [])
@settings(deadline=None, max_examples=300)
def test_no_damage_to_a_file_raises_anything_else(
    data: bytes, damages: list[tuple[float, bytes]]
) -> None:
    damaged = bytearray(data)
    for place, put in damages:
        at = int(place**2 * len(data))  # more often near the beginning, where the headers are
        damaged[at : at + len(put)] = put
    assert_answers(bytes(damaged))


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "RGBA", "LA"])
def test_what_has_no_colour_or_is_transparent_is_not_decoded_for_its_colours(mode: str) -> None:
    data = encode(in_mode(mode), "TIFF" if mode == "LA" else "PNG")
    assert () == decode_image(data, max_pixels=10**6, max_side_px=1024, by_colour=True).views


@pytest.mark.parametrize("side", [4000, 4032, 4096, 8160])
def test_photograph_is_decoded_in_its_own_halves_where_that_is_enough(side: int) -> None:
    """Nothing is reduced after that: it took as long as decoding."""
    data = encode(np.full((side * 3 // 4, side), 200, np.uint8), "JPEG")
    shown = decode(data, max_pixels=10**8)
    assert max(shown.shape) in {side // 4, side // 8}
    assert 960 <= max(shown.shape) <= 1024


def test_photograph_of_another_size_is_reduced_to_the_side_that_is_asked_for() -> None:
    data = encode(np.full((2250, 3000), 200, np.uint8), "JPEG")
    assert decode(data, max_pixels=10**8).shape == (768, 1024)


@pytest.mark.parametrize(("cpu_s", "again"), [(0.14, True), (0.16, False)])
def test_a_costly_picture_is_not_decoded_again_by_its_colours(
    cpu_s: float, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked at a second time would take as long again."""

    class Taking:
        bounds = Bounds(cpu_s=0.6)

        def decode(self, *_: object, **asked: object) -> tuple[Pillow.Image, float]:
            return Pillow.fromarray(DRAWN), cpu_s

    monkeypatch.setattr("flaskapi.digits.decode.decoder", Taking)
    monkeypatch.setattr("flaskapi.digits.outline.parts.Outline.is_cheap", False)
    file = ImageFile(encode(DRAWN), max_pixels=10**6)
    assert file.decode(1024).views
    assert again == bool(file.decode(1024, by_colour=True).views)
