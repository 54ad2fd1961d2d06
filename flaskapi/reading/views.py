"""The views of a picture: turned by EXIF and as stored; by lightness, then by colour."""

from collections.abc import Iterator
from typing import NamedTuple

from flaskapi.digits import Image
from flaskapi.digits.decode import ImageFile, Layout, decode_image
from flaskapi.digits.formats import HEAD_BYTES, foreign_kind
from flaskapi.steps import step

# Larger pictures are reduced to this while they are decoded; a digit a fortieth as high still has
# 25 pixels.
DECODED_SIDE_PX = 1024


class View(NamedTuple):
    """One view of a picture."""

    pixels: Image  # `uint8 (height, width)`, 255 the lightest
    layout: Layout  # of the picture's own pixels
    is_stored: bool  # as stored, if EXIF says that the picture is turned


def find_views(image: bytes, max_pixels: int) -> Iterator[list[View]]:
    """Give the views of a picture by its lightness, then those by its colours, if it has any.

    The colours are for a caller who found nothing by lightness: ink may be as light as its paper.

    Args:
        image: a whole image file.
        max_pixels: see `decode_image`.

    Raises:
        FlaskapiError: the errors of `decode_image`.
    """
    is_foreign = foreign_kind(image[:HEAD_BYTES]) is not None
    picture = None
    for by_colour in (False, True):
        with step("decode"):
            if picture is None and not is_foreign:
                picture = ImageFile(image, max_pixels=max_pixels)
            if picture is None:
                decoded = decode_image(
                    image, max_pixels=max_pixels, max_side_px=DECODED_SIDE_PX, by_colour=by_colour
                )
            else:
                decoded = picture.decode(DECODED_SIDE_PX, by_colour=by_colour)
        yield [
            View(pixels, decoded.layout, is_stored=place > 0)
            for place, pixels in enumerate(decoded.views)
        ]
