"""Pictures that are cheap to send and dear to read, each of a kind; benchmarks send them too."""

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np

try:
    from tests.fakes import draw_digit, encode
except ImportError:
    from fakes import draw_digit, encode
from PIL import Image as Pillow

DRAWN = draw_digit(7, side=100)
Maker = Callable[[], bytes]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", check)


def zeros(count: int) -> bytes:
    """So many zeros, deflated."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(min(1 << 20, count - at))) for at in range(0, count, 1 << 20)]
    return b"".join((*parts, packer.flush()))


def png(width: int, height: int, *, bits: int = 8, colours: int = 0, rows: bytes = b"") -> bytes:
    """A black PNG of any size."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    header = struct.pack(">2L5B", width, height, bits, colours, 0, 0, 0)
    rows = rows or zeros((1 + -(-width * channels * bits // 8)) * height)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*one) for one in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )


def claiming(kind: bytes) -> bytes:
    """A small grey PNG, one of whose chunks says that it has 2 GB."""
    whole = png_with(png_chunk(b"tIME", bytes(7)))
    at = whole.index(kind) - 4
    return whole[:at] + struct.pack(">L", (1 << 31) + 150) + whole[at + 4 :]


def png_with(*chunks: bytes) -> bytes:
    """A drawn digit as a PNG, with more chunks behind its header."""
    data = encode(DRAWN)
    return data[:33] + b"".join(chunks) + data[33:]


def directory(fields: list[tuple[int, int, int, int]]) -> bytes:
    """A TIFF's directory: tag, kind, count and value of each field."""
    packed = b"".join(struct.pack("<HHLL", *field) for field in fields)
    return struct.pack("<H", len(fields)) + packed + bytes(4)


def tiff(width: int, height: int, body: bytes, *more: tuple[int, int, int, int]) -> bytes:
    """A grey TIFF whose fields stand behind its body, which begins at byte 8."""
    fields = {
        256: (256, 4, 1, width),
        257: (257, 4, 1, height),
        258: (258, 3, 1, 8),
        262: (262, 3, 1, 1),
        277: (277, 3, 1, 1),
    } | {field[0]: field for field in more}
    ordered = [fields[tag] for tag in sorted(fields)]
    return b"II*\0" + struct.pack("<L", 8 + len(body)) + body + directory(ordered)


def strip(body: bytes, compression: int = 1) -> list[tuple[int, int, int, int]]:
    return [(259, 3, 1, compression), (273, 4, 1, 8), (279, 4, 1, len(body))]


def tiff_of_tiles(side: int) -> bytes:
    body = zeros(side * side)
    tiles = [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, len(body))]
    return tiff(28, 28, body, (259, 3, 1, 8), *tiles)


def tiff_of_pages_that_share(pages: int, strips: int) -> bytes:
    """A sound page, followed by pages whose strips all stand in the same two lists."""
    first = tiff(28, 28, bytes(784), *strip(bytes(784)))
    lists = len(first)
    starts = lists + 4 * strips
    further = b""
    for page in range(pages):
        at = starts + 30 * page
        entries = struct.pack("<HHLL", 273, 4, strips, lists) + struct.pack(
            "<HHLL", 279, 4, strips, lists
        )
        following = at + 30 if page + 1 < pages else 0
        further += struct.pack("<H", 2) + entries + struct.pack("<L", following)
    return first[:-4] + struct.pack("<L", starts) + bytes(4 * strips) + further


def tiff_of_strips(count: int) -> bytes:
    """One row each, and all at one place."""
    body = bytes(1000) + struct.pack(f"<{count}L", *[8] * count)
    body += struct.pack(f"<{count}L", *[1000] * count)
    offsets, lengths = 1008, 1008 + 4 * count
    strips = [(273, 4, count, offsets), (278, 4, 1, 1), (279, 4, count, lengths)]
    return tiff(1000, count, body, *strips)


def scans(count: int, side: int = 2000) -> bytes:
    """A grey progressive JPEG with so many scans in which nothing changes."""
    blocks = (-(-side // 8)) ** 2
    tables = b"\xff\xdb\0\x43\0" + b"\1" * 64
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\1\x11\0"
    direct = b"\xff\xc4\0\x14\0\1" + bytes(15) + b"\0"
    other = b"\xff\xc4\0\x14\x10\1" + bytes(15) + b"\xe0"  # a run of 2 to the 14th blocks or more
    runs, left = "", blocks
    while left > 0:
        runs += "0" + format(max(0, min(left, 32767) - 16384), "014b")
        left -= 32767
    first = b"\xff\xda\0\x08\1\1\0\0\0\0" + bits("0" * blocks)
    again = b"\xff\xda\0\x08\1\1\0\1\x3f\0" + bits(runs)
    return b"\xff\xd8" + tables + frame + direct + other + first + again * count + b"\xff\xd9"


def bits(text: str) -> bytes:
    text += "1" * (-len(text) % 8)
    packed = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
    return packed.replace(b"\xff", b"\xff\0")


def jpeg_with(segment: bytes) -> bytes:
    data = encode(DRAWN, "JPEG")
    return data[:2] + segment + data[2:]


def gif_with(blocks: bytes) -> bytes:
    data = encode(DRAWN, "GIF")
    start = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    return data[:start] + blocks + data[start:]


def gif_of_frames(count: int) -> bytes:
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame * count + b";"


def bmp_of_runs(side: int, *, four_bits: bool = False, length: int = 0) -> bytes:
    """One pixel in each row, and the end of the row."""
    body = b"\1\0\0\0" * side + b"\0\1"
    body = body if length == 0 else (b"\1\0" * (length // 2))
    colours, bits_each, kind = (16, 4, 2) if four_bits else (256, 8, 1)
    palette = b"".join(bytes([n, n, 255 - n, 0]) for n in range(colours))
    offset = 54 + len(palette)
    head = b"BM" + struct.pack("<LHHL", offset + len(body), 0, 0, offset)
    about = (40, side, side, 1, bits_each, kind, len(body), 0, 0, colours, 0)
    return head + struct.pack("<LllHHLLllLL", *about) + palette + body


def webp_chunks(count: int) -> bytes:
    data = encode(DRAWN, "WEBP") + b"JUNK\0\0\0\0" * count
    return data[:4] + struct.pack("<L", len(data) - 8) + data[8:]


def exif_of_tags(count: int, fill: int) -> bytes:
    """EXIF data whose fields all have all of them as their value."""
    total = 8 + fill + 2 + 12 * count + 4
    fields = [(40000 + place, 7, total, 0) for place in range(count)]
    return b"II*\0" + struct.pack("<L", 8 + fill) + bytes(fill) + directory(fields)


def noise(width: int, height: int) -> Pillow.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling.BICUBIC)


ZTXT, ITXT = b"Comment\0\0", b"Comment\0\1\0\0\0"
# The parts of a file are more than any honest picture has: it is refused before it is decoded.
REFUSED: dict[str, Maker] = {
    "png-chunks": lambda: png_with(png_chunk(b"abCd", b"") * 300_000),
    "png-pieces": lambda: png_with(png_chunk(b"IDAT", b"") * 300_000),
    "png-16-bit": lambda: png(5000, 5000, bits=16, colours=6),
    "jpeg-scans": lambda: scans(1000),
    "jpeg-exif-segments": lambda: jpeg_with(b"\xff\xe1\0\x0aExif\0\0MM" * 200_000),
    "jpeg-comments": lambda: jpeg_with(b"\xff\xfe\0\2" * 1_000_000),
    "jpeg-tables": lambda: jpeg_with((b"\xff\xdb\0\x43\0" + b"\1" * 64) * 20_000),
    "gif-comments": lambda: gif_with(b"\x21\xfe\0" * 1_000_000),
    "gif-blocks": lambda: gif_with(b"\x21\xfe" + b"\1a" * 1_000_000 + b"\0"),
    "gif-frames": lambda: gif_of_frames(300_000),
    "bmp-runs-8": lambda: bmp_of_runs(5000),
    "bmp-runs-4": lambda: bmp_of_runs(5000, four_bits=True),
    "bmp-runs-long": lambda: bmp_of_runs(1000, length=4_000_000),
    "webp-chunks": lambda: webp_chunks(300_000),
    "tiff-tile": lambda: tiff_of_tiles(32768),
    "tiff-strips": lambda: tiff_of_strips(100_000),
    "tiff-strips-in-one": lambda: tiff_of_strips(10_000),
    "tiff-fields": lambda: tiff(
        28,
        28,
        bytes(784),
        *strip(bytes(784)),
        *((40000 + place, 7, 500, 0) for place in range(5000)),
    ),
}
# Each may be answered in any way, within the bounds.
BOUNDED: dict[str, Maker] = {
    "png-claims-rows": lambda: claiming(b"IDAT"),
    "png-claims-end": lambda: claiming(b"IEND"),
    "png-claims-time": lambda: claiming(b"tIME"),
    "png-ztxt": lambda: png_with(png_chunk(b"zTXt", ZTXT + zeros(100 << 20))),
    "png-ztxt-many": lambda: png_with(png_chunk(b"zTXt", ZTXT + zeros(1 << 20)) * 64),
    "png-itxt": lambda: png_with(png_chunk(b"iTXt", ITXT + zeros(100 << 20))),
    "png-raw-profiles": lambda: png_with(
        png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\n" * (1 << 20), 9))
        * 5000
    ),
    "png-raw-profile": lambda: png_with(
        png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zeros(100 << 20)) * 20
    ),
    "png-profile": lambda: png_with(png_chunk(b"iCCP", b"k\0\0" + zeros(100 << 20))),
    "png-exif": lambda: png_with(png_chunk(b"eXIf", exif_of_tags(1000, 1_000_000))),
    "png-behind-the-rows": lambda: png(28, 28, rows=zeros(200 << 20)),
    "png-one-row": lambda: png(25_000_000, 1),
    "png-one-column": lambda: png(1, 25_000_000),
    "png-rgba": lambda: png(5000, 5000, colours=6),
    "png-grey-16": lambda: png(5000, 5000, bits=16),
    "jpeg-scans-allowed": lambda: scans(60, 5000),
    "jpeg-fill": lambda: jpeg_with(b"\xff" * 4_000_000),
    "jpeg-junk": lambda: jpeg_with(b"\0" * 4_000_000),
    "jpeg-markers": lambda: encode(DRAWN, "JPEG", progressive=True)[:-2] + b"\xff\xd0" * 2_000_000,
    "jpeg-exif": lambda: jpeg_with(
        b"\xff\xe1" + struct.pack(">H", 60_000) + b"Exif\0\0" + exif_of_tags(900, 49_000)[:59_992]
    ),
    "gif-canvas": lambda: (
        gif_of_frames(1)[:6] + struct.pack("<HH", 5000, 5000) + gif_of_frames(1)[10:]
    ),
    "bmp-runs-allowed": lambda: bmp_of_runs(1400),
    "tiff-deflate": lambda: tiff(5000, 5000, zeros(25_000_000), *strip(zeros(25_000_000), 8)),
    "tiff-shared": lambda: tiff_of_pages_that_share(999, 20_000),
    "tiff-loop": lambda: tiff(28, 28, bytes(784), *strip(bytes(784)))[:-4] + struct.pack("<L", 792),
}


def ramp(side: int) -> np.ndarray:
    """Slow greys, `uint8 (side, side)`."""
    return (np.add.outer(np.arange(side), np.arange(side)) // 64).astype(np.uint8)


def largest(form: str, mode: str, side: int = 4990, **options: object) -> bytes:
    """A picture of just under 25 million pixels."""
    grey = ramp(side)
    if mode == "I;16":
        picture = Pillow.fromarray(grey.astype(np.uint16) * 200)
    elif mode == "F":
        picture = Pillow.fromarray(grey.astype(np.float32))
    elif mode in ("L", "P"):
        picture = Pillow.fromarray(grey).convert(mode)
    else:
        picture = Pillow.merge(mode, [Pillow.fromarray(grey)] * len(mode))
    return encode(picture, form, **options)


def page(kind: str, *, is_turned: bool = False) -> bytes:
    """A page of 1,024 x 1,024 pixels on which very much may be a digit."""
    random, side = np.random.default_rng(0), 1024
    if kind == "noise":
        pixels = random.random((side, side)) < 0.5
    elif kind == "blobs":
        pixels = cv2.GaussianBlur(random.normal(0, 1, (side, side)), (0, 0), 2) > 0.05
    else:
        ink = np.zeros((side, side), np.uint8)
        for _ in range(800):
            steps = np.cumsum(random.integers(-15, 16, (6, 2)), axis=0)
            stroke = (random.integers(0, side, 2) + steps).astype(np.int32)
            cv2.polylines(ink, [stroke], False, 255, 2)
        pixels = ink == 0
    exif = Pillow.Exif()
    if is_turned:
        exif[0x0112] = 6
    return encode(pixels.astype(np.uint8) * 255, "PNG", exif=exif)


# As large as is read, or a little larger, in the modes that take most.
LARGEST: dict[str, Maker] = {
    "png-largest-rgba": lambda: largest("PNG", "RGBA", compress_level=1),
    "png-largest-rgb": lambda: largest("PNG", "RGB", compress_level=1),
    "png-largest-16": lambda: largest("PNG", "I;16", compress_level=1),
    "png-largest-palette": lambda: largest("PNG", "P", transparency=3, compress_level=1),
    "png-noise": lambda: encode(noise(2000, 2000), compress_level=1),
    "jpeg-largest": lambda: largest("JPEG", "RGB", subsampling=0, quality=95),
    "jpeg-largest-progressive": lambda: largest("JPEG", "RGB", subsampling=0, progressive=True),
    "jpeg-largest-cmyk": lambda: largest("JPEG", "CMYK", progressive=True),
    "jpeg-noise": lambda: encode(noise(4992, 4992), "JPEG", quality=85, subsampling=0),
    "jpeg-noise-progressive": lambda: encode(
        noise(4992, 4992), "JPEG", quality=60, progressive=True, subsampling=0
    ),
    "gif-largest": lambda: largest("GIF", "P"),
    "bmp-largest": lambda: largest("BMP", "L", 4000),
    "webp-largest": lambda: largest("WEBP", "RGB", method=0),
    "webp-noise": lambda: encode(noise(3900, 3900), "WEBP", quality=60, method=0),
    "webp-noise-lossless": lambda: encode(noise(3000, 1600), "WEBP", lossless=True, method=0),
    "tiff-largest-float": lambda: largest("TIFF", "F", compression="tiff_adobe_deflate"),
    "tiff-largest-cmyk": lambda: largest("TIFF", "CMYK", compression="tiff_adobe_deflate"),
    "tiff-largest-lzw": lambda: largest("TIFF", "RGBA", compression="tiff_lzw"),
    "tiff-largest-lzma": lambda: largest("TIFF", "RGB", compression="lzma"),
}
# Cheap to decode, dear to read as numbers.
PAGES: dict[str, Maker] = {
    f"png-page-{kind}{'-turned' * is_turned}": lambda kind=kind, is_turned=is_turned: page(  # type: ignore[misc]
        kind, is_turned=is_turned
    )
    for kind in ("noise", "blobs", "strokes")
    for is_turned in (False, True)
}
