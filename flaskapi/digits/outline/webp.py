"""WebP: chunks of a RIFF file (RFC 9649)."""

import struct

from flaskapi.digits.outline.exif import read_orientation
from flaskapi.digits.outline.parts import MOST_SEGMENTS, Outline, damaged, number, too_many

_HEADER_BYTES = 12
_ALPHA, _ANIMATION = 0x10, 0x02
_BYTES_PER_PIXEL = 12  # three pictures of red, green, blue and opacity


def read(data: bytes) -> Outline:
    """Read the chunks of a WebP. Of an animation the first frame counts."""
    if data[8:12] != b"WEBP":
        raise damaged()
    chunks, end = _walk(data)
    if not chunks:
        raise damaged()
    kind, start, _ = chunks[0]
    if kind == b"VP8X":
        flags = data[start] & (_ALPHA | _ANIMATION)
        width = 1 + int.from_bytes(data[start + 4 : start + 7], "little")
        height = 1 + int.from_bytes(data[start + 7 : start + 10], "little")
        needed = _needed(chunks, bool(flags & _ANIMATION))
        canvas = chunk(b"VP8X", bytes([flags]) + data[start + 1 : start + 10])
    elif kind == b"VP8 ":
        width = number("<H", data, start + 6) & 0x3FFF
        height = number("<H", data, start + 8) & 0x3FFF
        needed, canvas = chunks[:1], b""
    elif kind == b"VP8L":
        bits = number("<L", data, start + 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        needed, canvas = chunks[:1], b""
    else:
        raise damaged()
    body = b"".join((b"WEBP", canvas, *(chunk(one, data[at:to]) for one, at, to in needed)))
    found = {one: data[at:to] for one, at, to in reversed(chunks) if one in (b"EXIF", b"XMP ")}
    return Outline(
        "WEBP",
        width,
        height,
        b"RIFF" + struct.pack("<L", len(body)) + body,
        end,
        _BYTES_PER_PIXEL * width * height + 2 * len(data),
        read_orientation(found.get(b"EXIF"), found.get(b"XMP ")),
    )


def _walk(data: bytes) -> tuple[list[tuple[bytes, int, int]], int]:
    """Kind, start and end of each chunk's content, and where the chunks end."""
    chunks, place = [], _HEADER_BYTES
    end = min(8 + number("<L", data, 4), len(data))
    while place + 8 <= end:
        kind, length = struct.unpack_from("<4sL", data, place)
        chunks.append((kind, place + 8, min(place + 8 + length, end)))
        place += 8 + length + length % 2
        if len(chunks) > MOST_SEGMENTS:
            raise too_many("chunks", MOST_SEGMENTS)
    return chunks, end


def _needed(
    chunks: list[tuple[bytes, int, int]], is_animated: bool
) -> list[tuple[bytes, int, int]]:
    kinds = (b"ANIM", b"ANMF") if is_animated else (b"ALPH", b"VP8 ", b"VP8L")
    first: dict[bytes, tuple[bytes, int, int]] = {}
    for one in chunks:
        if one[0] in kinds:
            first.setdefault(one[0], one)
    return list(first.values())


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length, padded to an even one."""
    return kind + struct.pack("<L", len(content)) + content + b"\0" * (len(content) % 2)
