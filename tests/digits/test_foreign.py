import io
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from fakes import draw_digit, encode
from PIL import Image as Pillow

from flaskapi.digits.convert import convert_to_png
from flaskapi.digits.decode import decode_image, media_type
from flaskapi.digits.foreign import decode_foreign
from flaskapi.digits.formats import Foreign
from flaskapi.errors import InvalidImageError, TooLargeError

pytestmark = pytest.mark.process

DRAWN = draw_digit(7, side=100)[:, 20:80]
KINDS: dict[Foreign, str] = {"HEIC": "image/heic", "AVIF": "image/avif", "PDF": "application/pdf"}


@pytest.fixture(scope="module")
def files() -> dict[Foreign, bytes]:
    """The same drawing in each format; HEIC is made elsewhere, so that nothing here knows it."""
    picture = Pillow.fromarray(DRAWN)
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import io, sys, pillow_heif
                from PIL import Image
                pillow_heif.register_heif_opener()
                Image.open(io.BytesIO(sys.stdin.buffer.read())).save(sys.stdout.buffer, "HEIF")
            """),
        ],
        input=encode(picture),
        stdout=subprocess.PIPE,
        check=True,
    )
    return {
        "HEIC": made.stdout,
        "AVIF": encode(picture, "AVIF"),
        "PDF": encode(picture, "PDF", resolution=200),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_read_as_the_same_picture(
    kind: Foreign, files: dict[Foreign, bytes]
) -> None:
    data = files[kind]
    assert KINDS[kind] == media_type(data)
    decoded = decode_image(data, max_pixels=6000, max_side_px=1024)
    (view,) = decoded.views
    assert (60, 100, 1) == decoded.layout
    assert DRAWN.shape == view.shape
    assert float(np.abs(DRAWN.astype(int) - view).mean()) < 6
    converted = Pillow.open(io.BytesIO(convert_to_png(data))).convert("L")
    assert float(np.abs(DRAWN.astype(int) - np.asarray(converted)).mean()) < 6
    small = decode_image(data, max_pixels=6000, max_side_px=50).views[0]
    assert (50, 30) == small.shape


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_over_the_limit_or_damaged_is_refused(
    kind: Foreign, files: dict[Foreign, bytes]
) -> None:
    with pytest.raises(TooLargeError, match=r"60 x 100 pixels; at most 5,999"):
        decode_image(files[kind], max_pixels=5999, max_side_px=1024)
    with pytest.raises(InvalidImageError, match=kind):
        decode_image(files[kind][:60], max_pixels=6000, max_side_px=1024)


def test_the_colour_of_an_ink_is_seen(files: dict[Foreign, bytes]) -> None:
    paper = np.full((*DRAWN.shape, 3), (200, 200, 200), np.uint8)
    paper[DRAWN < 128] = (255, 170, 200)
    data = encode(Pillow.fromarray(paper), "AVIF", quality=100, subsampling="4:4:4")
    (view,) = decode_image(data, max_pixels=6000, max_side_px=1024, by_colour=True).views
    assert float(view[DRAWN < 10].mean()) > float(view[DRAWN > 250].mean()) + 30


def test_a_locked_pdf_and_a_page_that_is_not_there_are_named(
    files: dict[Foreign, bytes],
) -> None:
    with pytest.raises(InvalidImageError, match="does not have this page; it has 1"):
        decode_foreign(files["PDF"], "PDF", max_pixels=6000, max_side_px=99, page=2)
    locked = files["PDF"].replace(
        b"trailer\n<<",
        b"trailer\n<< /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /Length 40 "
        b"/O (" + b"o" * 32 + b") /U (" + b"u" * 32 + b") >> /ID [(a)(a)]",
    )
    assert locked != files["PDF"]
    with pytest.raises(InvalidImageError, match="password"):
        decode_image(locked, max_pixels=6000, max_side_px=99)


def test_a_picture_that_takes_too_much_is_refused_and_named(
    files: dict[Foreign, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flaskapi.digits.foreign.TIMEOUT_S", 0.01)
    with pytest.raises(TooLargeError, match="more memory or time"):
        decode_image(files["HEIC"], max_pixels=6000, max_side_px=99)


def test_no_other_process_loads_the_libraries_of_these_formats(
    files: dict[Foreign, bytes],
) -> None:
    """Not at its start, and not as it reads them."""
    code = """
        import sys
        import flaskapi.digits.decode as decode
        decode.decode_image(sys.stdin.buffer.read(), max_pixels=6000, max_side_px=99)
        loaded = [name for name in ("pillow_heif", "pypdfium2", "_avif") if name in sys.modules]
        assert not loaded, loaded
    """
    for kind in KINDS:
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], input=files[kind], check=True)
