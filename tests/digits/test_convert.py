"""What was sent, as a PNG in which the same is seen."""

import io

import numpy as np
import pytest
from fakes import draw_digit, encode
from PIL import Image

from flaskapi.digits.convert import convert_to_png
from flaskapi.digits.decode import decode_image

GREY = Image.fromarray(draw_digit(7, side=40))
COLOUR = Image.merge("RGB", (GREY, GREY.point(lambda value: value // 2), GREY))
MILD = COLOUR.point(lambda value: 60 + value // 2)  # its colours stay within their range in a JPEG
CLEAR = COLOUR.copy()
CLEAR.putalpha(GREY.point(lambda value: 255 - value))


def views(data: bytes) -> list[np.ndarray]:
    return [
        view
        for by_colour in (False, True)
        for view in decode_image(
            data, max_pixels=10_000, max_side_px=1024, by_colour=by_colour
        ).views
    ]


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "the maker of a telephone"
    return encode(image, "JPEG", exif=exif)


SENT = {
    "jpeg": encode(GREY, "JPEG"),
    "colour": encode(MILD, "JPEG"),
    "cmyk": encode(COLOUR.convert("CMYK"), "JPEG"),
    "turned": turned(MILD),
    "gif": encode(COLOUR, "GIF"),
    "clear gif": encode(GREY, "GIF", transparency=255),
    "bmp": encode(COLOUR, "BMP"),
    "webp": encode(COLOUR, "WEBP"),
    "clear webp": encode(CLEAR, "WEBP", lossless=True),
    "bilevel": encode(GREY.convert("1"), "TIFF"),
    "clear tiff": encode(CLEAR, "TIFF"),
    "lab": encode(COLOUR.convert("LAB"), "TIFF"),
    "16 bit": encode(Image.fromarray(np.asarray(GREY).astype(np.uint16) * 200), "TIFF"),
    "32 bit": encode(Image.fromarray(np.asarray(GREY).astype(np.int32) * 70_000), "TIFF"),
    "float": encode(Image.fromarray(np.asarray(GREY).astype(np.float32) / 255), "TIFF"),
}


@pytest.mark.parametrize("name", SENT)
def test_in_the_png_the_same_is_seen(name: str) -> None:
    """A JPEG in colours has its luminance in it, which is rounded otherwise than that of the
    colours which come of it.
    """
    png, most = convert_to_png(SENT[name]), 2 if name in ("colour", "turned") else 0
    assert png.startswith(b"\x89PNG")
    before, after = views(SENT[name]), views(png)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).max() <= most


def test_a_png_stays_as_it_was_sent() -> None:
    sent = encode(GREY, compress_level=0)
    assert sent == convert_to_png(sent)


def test_of_exif_only_how_it_is_turned_goes_along() -> None:
    png = convert_to_png(turned(COLOUR))
    assert {0x0112: 6} == dict(Image.open(io.BytesIO(png)).getexif())
    assert b"telephone" not in png


def test_of_an_animation_the_first_frame_is_taken() -> None:
    animation = encode(
        GREY, "GIF", save_all=True, append_images=[Image.new("L", GREY.size)], duration=100
    )
    assert 1 == getattr(Image.open(io.BytesIO(convert_to_png(animation))), "n_frames", 1)
    assert np.array_equal(views(animation)[0], views(convert_to_png(animation))[0])
