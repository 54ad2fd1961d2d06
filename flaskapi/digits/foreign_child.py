"""Decodes one picture of a format whose library is large and written in C or C++, in a separate
process: `foreign_child.py KIND MAX_PIXELS MAX_SIDE PAGE`, the file in standard input.

The effects of a stranger's file end with the process, and the system limits its memory and time.
The program imports nothing of this project, so that it starts in the time of its libraries.

The answer in standard output is a letter and its data. `P` is followed by six numbers of 32 bits
(width and height of the picture, of the pixels that follow, their channels, the number of pages)
and the pixels, row by row. `T` (too large), `D` (damaged), `L` (locked), `N` (no such page) and `M`
(a library is missing) are followed by a text.
"""

import io
import resource
import struct
import sys
from typing import Any

from PIL import Image

MEMORY_BYTES, CPU_S = 2 << 30, 20
DOTS_PER_INCH, POINTS_PER_INCH = 200, 72


class RefusalError(Exception):
    """Ends the program with a letter and a text."""


def main(kind: str, max_pixels: int, max_side_px: int, page: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # the caller's own limit holds
    data = sys.stdin.buffer.read()
    try:
        if kind == "PDF":
            image, size, pages = render(data, max_pixels, max_side_px, page)
        else:
            image, pages = open_image(kind, data), 1
            size = image.size
            check(size, max_pixels)
            image.draft("RGB", (max_side_px, max_side_px))
            image = reduce(flatten(image), max_side_px)
    except RefusalError as refusal:
        letter, text = refusal.args
        sys.stdout.buffer.write(letter + text.encode())
        return
    except ModuleNotFoundError as error:
        sys.stdout.buffer.write(b"M" + str(error.name).encode())
        return
    except MemoryError:
        return  # without an answer, as where the time is over
    except Exception as error:  # each library has its own for damaged files
        sys.stdout.buffer.write(b"D" + str(error)[:200].encode("utf-8", "replace"))
        return
    channels = len(image.getbands())
    sys.stdout.buffer.write(
        b"P" + struct.pack(">6I", *size, *image.size, channels, pages) + image.tobytes()
    )


def open_image(kind: str, data: bytes) -> Image.Image:
    if kind == "AVIF":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # processes use the cores
        return Image.open(io.BytesIO(data), formats=("AVIF",))
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.register_heif_opener(thumbnails=False)
    return Image.open(io.BytesIO(data), formats=("HEIF",))


def check(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise RefusalError(
            b"T",
            f"The image has {size[0]} x {size[1]} pixels; at most {max_pixels:,} pixels are "
            f"allowed.",
        )


def flatten(image: Image.Image) -> Image.Image:
    """Convert to grey, to colours, or to colours with transparency."""
    image.load()
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def reduce(image: Image.Image, max_side_px: int) -> Image.Image:
    scale = max_side_px / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=1)


def render(
    data: bytes, max_pixels: int, max_side_px: int, page: int
) -> tuple[Image.Image, tuple[int, int], int]:
    """Draw a page of a PDF at its printed size and DOTS_PER_INCH, or smaller."""
    import pypdfium2

    try:
        document: Any = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise RefusalError(b"L", "") from error
        raise
    pages = len(document)
    if page == 0:  # only the count is asked for
        return Image.new("L", (1, 1)), (1, 1), pages
    if not 1 <= page <= pages:
        raise RefusalError(b"N", str(pages))
    sheet = document[page - 1]
    scale = DOTS_PER_INCH / POINTS_PER_INCH
    width, height = (max(1, round(side * scale)) for side in sheet.get_size())
    check((width, height), max_pixels)
    drawn = min(1.0, max_side_px / max(width, height))
    # PDFium rounds up, and what is left of a whole number by its arithmetic too.
    bitmap = sheet.render(scale=scale * drawn * (1 - 1e-6))
    return flatten(bitmap.to_pil()), (width, height), pages


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
