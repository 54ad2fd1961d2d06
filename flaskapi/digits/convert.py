"""Any image file that is read here, as a PNG that is read alike."""

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
    """Make a PNG of an image file that `decode_image` has read; one that is a PNG already is given
    as it is.

    No pixel changes, but where PNG has no such colours: CMYK and its like become RGB, greys of 32
    bits the 8 that `decode_image` makes of them. The greys that are seen of a JPEG in colours may
    differ by a little, and by more where a colour is at the end of its range. The pixels stay as
    they are stored, and what EXIF says of how they are turned goes along, for both are looked at;
    what else EXIF tells (where, when, by what) does not. Of an animation the first frame is taken,
    of a PDF the first page, of HEIC and AVIF the picture upright.

    Raises:
        OSError: it cannot be decoded.
        FlaskapiError: one of HEIC, AVIF or PDF cannot be.
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
    """Write a picture as a PNG, with what EXIF data there are."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif if exif else b"", icc_profile=None)
    return buffer.getvalue()
