"""TIFF: a directory of fields that say where the pixels lie (Adobe, TIFF 6.0)."""

import math
import struct
from itertools import zip_longest
from typing import NamedTuple

from flaskapi.digits.outline.parts import Outline, damaged, number, too_many
from flaskapi.errors import TooLargeError, UnsupportedImageError

_MOST_FIELDS, _MOST_PAGES = 1000, 1000
_MOST_STRIPS = 20_000
_MOST_FIELD_BYTES = 1 << 19  # of a field but the two of strips; a palette of 16 bits has 384 kB
_MOST_SAMPLES, _MOST_BITS = 8, 64
_PADDING, _PADDING_PIXELS = 1.25, 1_000_000  # tiles reach over the edge of a picture
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION, _SAMPLES = 256, 257, 258, 259, 274, 277
_STRIPS, _ROWS, _STRIP_BYTES, _PLANES = 273, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
# What a decoder needs besides: colours, order of bits, palettes, predictors, tables of JPEG.
_NEEDED = {
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _STRIPS, _ROWS, _STRIP_BYTES, _PLANES),
    *(_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES),
    *(262, 266, 292, 293, 317, 320, 332, 338, 339, 347, 529, 530, 531, 532),
}
_JPEG = 7
_COMPRESSIONS = {1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946, 34925, 50000}
_SCANS_OF_A_STRIP = 4
_MOST_ENDS = 100_000  # fields, strips and tiles that are followed, of all pages together


class _Field(NamedTuple):
    kind: int
    values: int
    place: int  # of its values
    entry: bytes


class _Directory(NamedTuple):
    fields: dict[int, _Field]
    end: int
    following: int


def read(data: bytes) -> Outline:
    """Read the first page of a TIFF. The picture's parts stay where they are in the file."""
    order = "<" if data.startswith(b"II") else ">"
    first = _directory(order, data, number(order + "L", data, 4))
    page = _Page(order, data, first.fields)
    page.check_pieces()
    entries = [first.fields[tag].entry for tag in sorted(first.fields) if tag in _NEEDED]
    place = len(data) + len(data) % 2
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    header = data[:4] + struct.pack(order + "L", place)
    orientation = page.value(_ORIENTATION, 1)
    return Outline(
        "TIFF",
        page.width,
        page.height,
        b"".join((header, memoryview(data)[8:], bytes(len(data) % 2), directory)),
        _last(order, data, first),
        page.memory() + len(data),
        orientation if 1 <= orientation <= 8 else 1,
        is_simple=False,
    )


def _directory(order: str, data: bytes, place: int) -> _Directory:
    count = number(order + "H", data, place)
    if count > _MOST_FIELDS:
        raise too_many("fields", _MOST_FIELDS)
    fields: dict[int, _Field] = {}
    for at in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind = number(order + "H", data, at), number(order + "H", data, at + 2)
        values = number(order + "L", data, at + 4)
        length = values * _SIZES.get(kind, 1)
        start = at + 8 if length <= 4 else number(order + "L", data, at + 8)
        fields.setdefault(tag, _Field(kind, values, start, data[at : at + 12]))
    end = place + 2 + 12 * count
    following = number(order + "L", data, end) if end + 4 <= len(data) else 0
    return _Directory(fields, end + 4, following)


class _Fields:
    """The integers in the fields of a page."""

    def __init__(self, order: str, data: bytes, fields: dict[int, _Field]) -> None:
        self._order, self._data, self._fields = order, data, fields

    def value(self, tag: int, default: int) -> int:
        """The first value of a field of integers."""
        return next(iter(self.values(tag, 1)), default)

    def values(self, tag: int, most: int) -> tuple[int, ...]:
        """At most this many values of a field of integers."""
        field = self._fields.get(tag)
        if field is None:
            return ()
        letter = {1: "B", 3: "H", 4: "L"}.get(field.kind)
        if letter is None:
            raise damaged()
        try:
            return struct.unpack_from(
                f"{self._order}{min(field.values, most)}{letter}", self._data, field.place
            )
        except struct.error:
            raise damaged() from None


class _Page(_Fields):
    """The first page, checked."""

    def __init__(self, order: str, data: bytes, fields: dict[int, _Field]) -> None:
        super().__init__(order, data, fields)
        self.width, self.height = self.value(_WIDTH, 0), self.value(_HEIGHT, 0)
        self._samples = self.value(_SAMPLES, 1)
        self._bits = max(self.values(_BITS, _MOST_SAMPLES), default=1)
        if not (self.width and self.height) or self._samples > _MOST_SAMPLES:
            raise damaged()
        if self._bits > _MOST_BITS or not self._bits:
            raise damaged()
        self._compression = self.value(_COMPRESSION, 1)
        if self._compression not in _COMPRESSIONS:
            raise UnsupportedImageError(
                f"The image is a TIFF with compression {self._compression}, which is not supported."
            )
        for tag in _NEEDED & fields.keys() - {_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES}:
            field = fields[tag]
            if field.values * _SIZES.get(field.kind, 1) > _MOST_FIELD_BYTES:
                raise damaged()

    @property
    def _is_tiled(self) -> bool:
        return _TILES in self._fields and _STRIPS not in self._fields

    def _piece(self) -> tuple[int, int]:
        """Width and height of a tile, or of a strip."""
        if self._is_tiled:
            across, down = self.value(_TILE_WIDTH, 0), self.value(_TILE_HEIGHT, 0)
        else:
            across = self.width
            down = min(self.value(_ROWS, self.height), self.height)
        if not (across and down):
            raise damaged()
        return across, down

    def check_pieces(self) -> None:
        """Check the number of strips or tiles, their size, and their place in the file.

        Raises:
            TooLargeError: there are too many pieces, or they are much larger than the picture.
        """
        across, down = self._piece()
        pieces = math.ceil(self.width / across) * math.ceil(self.height / down)
        pixels = pieces * across * down
        if self._is_tiled and pixels > _PADDING * self.width * self.height + _PADDING_PIXELS:
            raise TooLargeError(
                f"The image is a TIFF of {self.width} x {self.height} pixels in tiles of "
                f"{across} x {down}; tiles count as pixels."
            )
        self._check_bytes(pieces * (self._samples if self.value(_PLANES, 1) == 2 else 1))

    def _check_bytes(self, pieces: int) -> None:
        tags = (_TILES, _TILE_BYTES) if self._is_tiled else (_STRIPS, _STRIP_BYTES)
        for tag in tags:
            if tag in self._fields and self._fields[tag].values > _MOST_STRIPS:
                raise too_many("strips or tiles", _MOST_STRIPS)
        if pieces > _MOST_STRIPS:
            raise too_many("strips or tiles", _MOST_STRIPS)
        starts, lengths = (self.values(tag, _MOST_STRIPS) for tag in tags)
        if sum(lengths) > len(self._data) or any(
            start + length > len(self._data)
            for start, length in zip_longest(starts, lengths, fillvalue=0)
        ):
            raise damaged()
        if self._compression == _JPEG:
            scans = self._data.count(b"\xff\xda")
            if scans > _SCANS_OF_A_STRIP * pieces:
                raise too_many("scans", _SCANS_OF_A_STRIP * pieces)

    def memory(self) -> int:
        """Bytes of the picture, and of one piece while it is unpacked."""
        across, down = self._piece()
        samples = 1 if self.value(_PLANES, 1) == 2 else self._samples
        channels = 4 if self._samples > 1 else max(1, min(self._bits, 32) // 8)
        unpacked = across * down * samples * self._bits // 8
        return self.width * self.height * channels + unpacked


def _last(order: str, data: bytes, first: _Directory) -> int:
    """Where the last byte of all pages is."""
    end, page, seen, left = first.end, first, set(), _MOST_ENDS
    for _ in range(_MOST_PAGES):
        pieces = (page.fields[tag].values for tag in (_STRIPS, _TILES) if tag in page.fields)
        left -= len(page.fields) + sum(pieces)
        if left < 0:
            return len(data)  # many pages may share one array of strips; then nothing is cut
        for field in page.fields.values():
            end = max(end, field.place + field.values * _SIZES.get(field.kind, 1))
        end = max(end, *_ends(order, data, page, _STRIPS, _STRIP_BYTES), 0)
        end = max(end, *_ends(order, data, page, _TILES, _TILE_BYTES), 0)
        if not page.following or page.following in seen or end >= len(data):
            break
        seen.add(page.following)
        page = _directory(order, data, page.following)
    return min(end, len(data))


def _ends(order: str, data: bytes, page: _Directory, tag: int, bytes_tag: int) -> list[int]:
    if tag not in page.fields:
        return []
    fields = _Fields(order, data, page.fields)
    starts = fields.values(tag, _MOST_STRIPS)
    lengths = fields.values(bytes_tag, _MOST_STRIPS)
    if len(lengths) < len(starts):  # old writers leave it out; then nobody knows where they end
        return [len(data)]
    return [start + length for start, length in zip(starts, lengths, strict=False)]
