"""Convert any readable image file to a PNG that gives the same answer."""

import io

from PIL import Image as Pillow

from flaskapi.digits.decode import FORMATS, decode_image, media_type, read_layout
from flaskapi.digits.foreign import decode_foreign
from flaskapi.digits.formats import HEAD_BYTES, foreign_kind

_ORIENTATION_TAG = 0x0112
# What is converted was read before, within the limits of then.
_ANY_PIXELS, _ANY_SIDE_PX = 1 << 30, 1 << 15
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def convert_to_png(data: bytes) -> bytes:
    """Convert an image file that `decode_image` has read to a PNG. A PNG is returned unchanged.

    No pixel changes, except where PNG lacks the colours: CMYK and similar modes become RGB, and
    greys of 32 bits become the 8 bits that `decode_image` makes of them. The greys that are seen of
    a JPEG in colours may differ by a little, and by more where a colour is at the end of its range.

    The pixels stay as they are stored, with their EXIF orientation, since both are looked at. Other
    EXIF data (place, time, device) are left out. Of an animation the first frame is converted, of a
    PDF the first page, and of HEIC and AVIF the upright picture.

    Raises:
        OSError: it cannot be decoded.
        FlaskapiError: a HEIC, AVIF or PDF file cannot be decoded.
    """
    if media_type(data) == "image/png":
        return data
    if kind := foreign_kind(data[:HEAD_BYTES]):
        whole = decode_foreign(data, kind, max_pixels=_ANY_PIXELS, max_side_px=_ANY_SIDE_PX)
        return save_png(whole.image)
    image: Pillow.Image = Pillow.open(io.BytesIO(data), formats=FORMATS)
    image.load()
    if image.mode not in _PNG_MODES:
        if image.has_transparency_data:
            image = image.convert("RGBA")
        elif image.mode.startswith(("I", "F")):
            image = Pillow.fromarray(
                decode_image(
                    data, max_pixels=image.width * image.height, max_side_px=max(image.size)
                ).views[-1]
            )
        else:
            image = image.convert("RGB")
    exif = Pillow.Exif()
    if (orientation := read_layout(data).orientation) != 1:
        exif[_ORIENTATION_TAG] = orientation
    return save_png(image, exif)


def save_png(image: Pillow.Image, exif: Pillow.Exif | None = None) -> bytes:
    """Write a picture as a PNG, with its EXIF data if there are any."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif if exif else b"", icc_profile=None)
    return buffer.getvalue()
