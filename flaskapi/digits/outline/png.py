"""PNG: chunks (W3C, PNG, third edition, 5)."""

import struct
import zlib

from flaskapi.digits.outline.exif import read_orientation
from flaskapi.digits.outline.parts import (
    MOST_TEXT_BYTES,
    Outline,
    damaged,
    too_many,
)

_START = 8
_MOST_CHUNKS = 10_000
_FEW_CHUNKS = 64  # of which none need be left out or joined
_NEEDED = {b"IHDR", b"PLTE", b"tRNS"}
_HARMLESS = {b"gAMA", b"sRGB", b"pHYs", b"cHRM", b"tIME", b"bKGD", b"sBIT", b"IDAT", b"IEND"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def read(data: bytes) -> Outline:
    """Read the chunks of a PNG. Of an animated one the first picture counts."""
    chunks, is_as_needed, place = _walk(data)
    is_whole = chunks[-1][0] == b"IEND" and place <= len(data)
    end = min(place, len(data))
    if chunks[0][0] != b"IHDR" or chunks[0][2] - chunks[0][1] < 13:
        raise damaged()
    width, height = struct.unpack_from(">2L", data, _START + 8)
    wide, colours = data[_START + 16] == 16, data[_START + 17]
    channels = 4 if _CHANNELS.get(colours, 4) > 1 else 1
    return Outline(
        "PNG",
        width,
        height,
        data[:end] if is_as_needed else _needed(data, chunks),
        end,
        width * height * channels * (2 if wide else 1) + len(data),
        _orientation(data, chunks),
        # 8 bits, luminance alone, not interlaced; and whole: OpenCV makes room for as much as a
        # chunk says that it has, be it 2 GB in a file of 300 bytes.
        is_grey=(data[_START + 16], colours, data[_START + 20]) == (8, 0, 0)
        and is_whole
        and all(kind != b"tRNS" for kind, _, _ in chunks),
    )


def _walk(data: bytes) -> tuple[list[tuple[bytes, int, int]], bool, int]:
    """Kind, start and end of each chunk's content, whether all chunks are needed, and where they
    end, as they say.
    """
    chunks, place, is_as_needed = [], _START, True
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, place)
        chunks.append((kind, place + 8, min(place + 8 + length, len(data))))
        is_as_needed = is_as_needed and (kind in _HARMLESS or kind in _NEEDED)
        place += 12 + length
        if kind == b"IEND":
            break
        if len(chunks) > _MOST_CHUNKS:
            raise too_many("chunks", _MOST_CHUNKS)
    if not chunks:
        raise damaged()
    return chunks, is_as_needed and len(chunks) <= _FEW_CHUNKS, place


def _needed(data: bytes, chunks: list[tuple[bytes, int, int]]) -> bytes:
    """The same picture in as few chunks as possible."""
    view = memoryview(data)
    first: dict[bytes, memoryview] = {}
    for kind, start, end in chunks:
        if kind in _NEEDED:
            first.setdefault(kind, view[start - 8 : end + 4])
    pixels = b"".join(view[start:end] for kind, start, end in chunks if kind == b"IDAT")
    return b"".join((data[:_START], *first.values(), chunk(b"IDAT", pixels), chunk(b"IEND", b"")))


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    check = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", check)


def _orientation(data: bytes, chunks: list[tuple[bytes, int, int]]) -> int:
    exif = xmp = None
    for kind, start, end in chunks:
        if kind == b"eXIf":
            exif = exif or data[start:end]
        elif kind in _TEXTS:
            name, _, text = data[start:end].partition(b"\0")
            if name == b"XML:com.adobe.xmp" and kind == b"iTXt":
                xmp = xmp or text
            elif name == b"Raw profile type exif" and kind != b"iTXt" and exif is None:
                # Only the first: each may unpack to a megabyte, and a file may have thousands.
                exif = _raw_profile(_inflated(text[1:]) if kind == b"zTXt" else text) or b""
    return read_orientation(exif, xmp)


def _inflated(text: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(text, MOST_TEXT_BYTES)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes | None:
    """EXIF data in ImageMagick's form: a name, a length, and hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text[:MOST_TEXT_BYTES].decode("latin-1").split("\n")[3:]))
    except ValueError:
        return None
