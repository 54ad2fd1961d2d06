"""Any image file that is read here, as a PNG that is read alike."""

import io

from PIL import Image as Pillow

from flaskapi.digits.decode import FORMATS, decode_image, media_type, read_layout

_ORIENTATION_TAG = 0x0112
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def convert_to_png(data: bytes) -> bytes:
    """Make a PNG of an image file that `decode_image` has read; one that is a PNG already is given
    as it is.

    No pixel changes, but where PNG has no such colours: CMYK and its like become RGB, greys of 32
    bits the 8 that `decode_image` makes of them. The greys that are seen of a JPEG in colours may
    differ by a little, and by more where a colour is at the end of its range. The pixels stay as
    they are stored, and what EXIF says of how they are turned goes along, for both are looked at;
    what else EXIF tells (where, when, by what) does not. Of an animation the first frame is taken.

    Raises:
        OSError: it cannot be decoded.
    """
    if media_type(data) == "image/png":
        return data
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
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif if len(exif) else b"", icc_profile=None)
    return buffer.getvalue()
