"""Decode, reduce and make grey the pixels of an image file whose outline is known.

It imports Pillow and nothing of the package's face, since the separate process starts with it.
"""

import io
import math

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageChops,
    ImageStat,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    _webp,
)
from PIL import Image as Pillow

from flaskapi.errors import InvalidImageError, TooLargeError, UnsupportedImageError

# Pillow imports its readers when it meets an unknown file, and then all of them; these are the ones
# that may run here.
FORMATS = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        WebPImagePlugin.WebPImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
COLOURED = {"RGB", "RGBX", "P", "CMYK", "YCbCr", "LAB"}
# Of the side wanted: photographs of 4,000 pixels are then a quarter as large, and reduced no more.
_ENOUGH = 15 / 16
_BAND_PIXELS = 1_000_000  # that are converted at once, where the picture is reduced
_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


def unpack(
    data: bytes, *, format: str, max_pixels: int, max_side_px: int, by_colour: bool
) -> Pillow.Image | None:
    """Decode an image file of which only the needed parts are left.

    Args:
        data: such a file.
        format: Pillow's name of it; no other of Pillow's readers sees the file.
        max_pixels, max_side_px, by_colour: see `decode_image`.

    Returns:
        Grey pixels as stored: bytes, or floats of any range (mode F); None if it has no colour to
        decode it by.

    Raises:
        InvalidImageError: truncated or corrupt.
        TooLargeError: it has more pixels than its outline said, or needs too much memory.
    """
    try:
        image = _open_webp(data) if format == "WEBP" else _open(data, format)
        if image.width * image.height > max_pixels:
            raise too_many_pixels(image.width, image.height, max_pixels)
        if by_colour and (image.mode not in COLOURED or image.has_transparency_data):
            return None
        # A JPEG is decoded at 1/2, 1/4 or 1/8 where that is still enough.
        share = _ENOUGH * max_side_px / max(image.size)
        least = math.ceil(image.width * share), math.ceil(image.height * share)
        image.draft("RGB" if by_colour else "L", least)
        image.load()
        return make_grey(image, max_side_px, by_colour)
    except (TooLargeError, UnsupportedImageError):
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise TooLargeError(
            f"The image's header claims too many pixels; at most {max_pixels:,} are allowed."
        ) from error
    except MemoryError as error:
        raise TooLargeError(TOO_MUCH_MEMORY) from error
    # Pillow raises OSError, ValueError, TypeError, SyntaxError, struct.error and more for damaged
    # files.
    except Exception as error:
        raise InvalidImageError(
            "The image cannot be decoded completely: it is truncated or damaged."
        ) from error


def _open(data: bytes, format: str) -> Pillow.Image:
    return Pillow.open(io.BytesIO(data), formats=(format,))


def _open_webp(data: bytes) -> Pillow.Image:
    """The first frame, without Pillow's reader, which would keep four copies of it at once."""
    decoder = _webp.WebPAnimDecoder(data)
    size, _, _, _, mode = decoder.get_info()
    frame = decoder.get_next()
    if frame is None:
        raise OSError("the first frame cannot be decoded")
    return Pillow.frombuffer(mode, size, frame[0], "raw", mode, 0, 1)


TOO_MUCH_MEMORY = (
    "The image takes more memory to decode than this service allows for one image; send it "
    "smaller, or in another format."
)


def too_many_pixels(width: int, height: int, max_pixels: int) -> TooLargeError:
    """The error for an image of too many pixels."""
    return TooLargeError(
        f"The image has {width} x {height} pixels; at most {max_pixels:,} pixels are allowed."
    )


def turn(image: Pillow.Image, orientation: int) -> Pillow.Image:
    """Turn pixels as EXIF says (EXIF 2.32, orientation)."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def make_grey(image: Pillow.Image, max_side_px: int, by_colour: bool) -> Pillow.Image:
    """The luminance, reduced, of an image in any of Pillow's modes."""
    if image.has_transparency_data:
        return _compose(_reduce(image, "RGBA", max_side_px))
    if image.mode in ("1", "P"):
        image = _reduce(image, "RGB" if by_colour else "L", max_side_px)
    else:
        image = _reduce(image, "I" if image.mode.startswith("I;16") else image.mode, max_side_px)
    if image.mode.startswith(("I", "F")):
        return image.convert("F")
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if by_colour and image.mode == "RGB":
        return max(image.split(), key=lambda channel: ImageStat.Stat(channel).stddev)
    return image if image.mode == "L" else image.convert("L")


def _reduce(image: Pillow.Image, mode: str, max_side_px: int) -> Pillow.Image:
    """Convert to a mode and reduce by area, so that thin strokes become fainter and do not break.

    It is done band by band: a conversion of the whole picture would need its memory twice.
    """
    width, height = image.size
    scale = max_side_px / max(width, height)
    if scale >= 1:
        return image if image.mode == mode else image.convert(mode)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    # Fewer pixels at the first step, where that changes nothing but the time.
    if image.mode == mode and mode != "RGBA":
        return image.resize((across, down), Pillow.Resampling.BOX, reducing_gap=1)
    reduced = Pillow.new(mode, (across, down))
    rows = max(1, _BAND_PIXELS * down // (width * height))  # of the reduced picture, to a band
    for top in range(0, down, rows):
        bottom = min(top + rows, down)
        begin, end = top * height / down, bottom * height / down
        first, last = int(begin), min(height, int(end) + 1)
        band = image.crop((0, first, width, last)).convert(mode)
        reduced.paste(
            band.resize(
                (across, bottom - top),
                Pillow.Resampling.BOX,
                box=(0, begin - first, width, min(end - first, band.height)),
                reducing_gap=1,
            ),
            (0, top),
        )
    return reduced


def _compose(image: Pillow.Image) -> Pillow.Image:
    """Compose a picture with transparent parts on a ground on which its visible part can be
    seen.
    """
    alpha = image.getchannel("A")
    shown, opacity = ImageChops.multiply(image.convert("L"), alpha), ImageStat.Stat(alpha)
    least, _ = opacity.extrema[0]
    is_light = least < 128 and ImageStat.Stat(shown).mean[0] > 0.5 * opacity.mean[0]
    return shown if is_light else ImageChops.add(shown, ImageChops.invert(alpha))
