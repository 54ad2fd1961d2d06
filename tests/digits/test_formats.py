import pytest
from fakes import draw_digit, encode

from flaskapi.digits.decode import decode_image
from flaskapi.digits.formats import is_image
from flaskapi.errors import UnsupportedImageError

OTHERS = {
    b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>': "SVG",
    b"  <svg width='9'></svg>": "SVG",
    b"<!DOCTYPE html><html></html>": "a page in HTML",
    b"<?xml version='1.0'?><a/>": "XML",
    b"%!PS-Adobe-3.0": "PostScript",
    b"8BPS\0\1": "a Photoshop document",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x0a\0\0": "JPEG XL",
    b"\0\0\1\0\1\0\x10\x10": "an icon (ICO)",
    b"\0\0\0\x18ftypisom\0\0": "a film",
    b"\x1aE\xdf\xa3": "a film",
    b"RIFF\0\0\0\0WAVE": "sound",
    b"{\\rtf1": "a text in RTF",
    b"II+\0\x08\0\0\0": "a BigTIFF",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"iVBORw0KGgoAAAANSUhEUg": "an image in base64",
}


@pytest.mark.parametrize(("data", "name"), OTHERS.items())
def test_what_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImageError, match=r"reads PNG, JPEG.*HEIC") as caught:
        decode_image(data, max_pixels=100, max_side_px=100)
    assert str(caught.value).startswith(f"This is {name}")


def test_an_image_is_known_by_its_first_bytes_and_a_text_is_none() -> None:
    for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"):
        assert is_image(encode(draw_digit(7), form)[:12])
    for text in (b"BM is a car", b"RIFF-RAFF is a man", b"GIF8", b"", b"ftypheic", *OTHERS):
        assert not is_image(text[:12])
