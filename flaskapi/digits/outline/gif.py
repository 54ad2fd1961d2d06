"""GIF: blocks and their sub-blocks (CompuServe, GIF89a)."""

from flaskapi.digits.outline.parts import MOST_PARTS, Outline, damaged, number, too_many

_HEADER_BYTES, _IMAGE, _EXTENSION, _END = 13, 0x2C, 0x21, 0x3B
_CONTROL = 0xF9  # the extension that says which colour is transparent


def read(data: bytes) -> Outline:
    """Read the blocks of a GIF. Of an animation the first frame counts."""
    width, height = number("<H", data, 6), number("<H", data, 8)
    start = place = _HEADER_BYTES + _table_bytes(data[10])
    control, frame, parts = b"", None, 0
    while place < len(data) and data[place] != _END:
        begun, parts = place, parts + 1
        if parts > MOST_PARTS:
            raise too_many("blocks", MOST_PARTS)
        if data[place] == _EXTENSION:
            kind = data[place + 1]
            place, parts = _skip_blocks(data, place + 2, parts)
            if kind == _CONTROL and frame is None:
                control = data[begun:place]
        elif data[place] == _IMAGE:
            table = _table_bytes(data[place + 9])
            place, parts = _skip_blocks(data, place + 10 + table + 1, parts)
            if frame is None:
                frame = begun, place
        else:
            place += 1
    if frame is None:
        raise damaged()
    left, top, across, down = (number("<H", data, frame[0] + 1 + 2 * n) for n in range(4))
    width, height = max(width, left + across), max(height, top + down)
    return Outline(
        "GIF",
        width,
        height,
        data[:start] + control + data[frame[0] : frame[1]] + b";",
        min(place + 1, len(data)),
        5 * width * height + len(data),
    )


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, place: int, parts: int) -> tuple[int, int]:
    """Where the sub-blocks end, and how many were read so far."""
    while place < len(data) and (length := data[place]):
        place += 1 + length
        parts += 1
        if parts > MOST_PARTS:
            raise too_many("blocks", MOST_PARTS)
    return min(place + 1, len(data)), parts
