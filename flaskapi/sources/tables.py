"""Many small pictures in one file of bare pixels: a CSV in Kaggle's form, a NumPy array, MNIST's
own IDX files. Each picture is an item, named by its place, counted from 1.
"""

import re
import struct
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from flaskapi.errors import (
    FlaskapiError,
    InvalidRequestError,
    MissingImageError,
    UnsupportedImageError,
)
from flaskapi.sources import Allowance, Item, Readable
from flaskapi.sources.pixels import COUNT, SIDE_PX, write_png

TableKind = Literal["csv", "npy", "idx"]
_IDX_IMAGES, _IDX_LABELS = b"\0\0\x08\3", b"\0\0\x08\1"
_NPY = b"\x93NUMPY"
# A row of 784 pixels goes on for longer than the bytes that are looked at.
_CSV = re.compile(rb'\A(?:\xef\xbb\xbf)?(?:[\w ."+-]*[,;\t]){30}[\w ."+,;\t\r\n-]*\Z', re.ASCII)
_LONGEST_LINE, _BLOCK_BYTES = 1 << 16, 1 << 16
_LABELS = {"label", "class", "digit", "target", "y"}
_LONGEST_HEADER, _LARGEST_SIDE = 1 << 14, 1 << 12


def table_kind(head: bytes) -> TableKind | None:
    """Recognize a file of pixels by its first 512 bytes."""
    if head.startswith((_IDX_IMAGES, _IDX_LABELS)):
        return "idx"
    if head.startswith(_NPY):
        return "npy"
    return "csv" if _CSV.match(head) else None


def read_table(
    source: Readable, kind: TableKind, name: str, allowance: Allowance
) -> Iterator[Item]:
    """Read the pictures in a file of pixels, one after the other, each as a PNG.

    Values from 0 to 1 and from 0 to 255 are told apart picture by picture.

    Raises:
        FlaskapiError: no picture can be read; if the file breaks off later, or has a bad row, an
            item has the error.
    """
    read = {"csv": _read_csv, "npy": _read_npy, "idx": _read_idx}[kind]
    number = 0
    try:
        for number, content in enumerate(read(source), 1):
            allowance.take(len(content) if isinstance(content, bytes) else 0)
            yield Item(f"{name}#{number}", content)
        if not number:
            raise MissingImageError(f"'{name}' contains no picture.")
    except FlaskapiError as error:
        if not number:
            raise
        yield Item(name, error)


def _read_idx(source: Readable) -> Iterator[bytes]:
    """IDX files of unsigned bytes (format: the end of http://yann.lecun.com/exdb/mnist/)."""
    if (magic := _exactly(source, 4)) == _IDX_LABELS:
        raise UnsupportedImageError(
            "This is an IDX file of labels; the pictures are in the one with 'images' in its name."
        )
    if magic != _IDX_IMAGES:
        raise UnsupportedImageError("This is not an IDX file of pictures.")
    count, height, width = struct.unpack(">3I", _exactly(source, 12))
    _check_sides(height, width)
    for _ in range(count):
        yield write_png(_exactly(source, height * width), width, height)


class _Layout(NamedTuple):
    """How the pictures lie in an array."""

    pictures: int
    height: int
    width: int
    dtype: "np.dtype[np.generic]"


def _read_npy(source: Readable) -> Iterator[bytes]:
    """NumPy's format for one array. It is read as numbers, never as Python objects."""
    layout = _read_npy_header(source)
    size = layout.height * layout.width
    for _ in range(layout.pictures):
        values = np.frombuffer(_exactly(source, size * layout.dtype.itemsize), layout.dtype)
        yield write_png(to_grey(values), layout.width, layout.height)


def _read_npy_header(source: Readable) -> _Layout:
    class Limited:
        """NumPy's reader allocates what a header claims; this limits the claim to the size of a
        header.
        """

        left = _LONGEST_HEADER

        def read(self, size: int = -1, /) -> bytes:
            data = _exactly(source, min(size, self.left))
            self.left -= len(data)
            return data

    limited = Limited()
    try:
        version = np.lib.format.read_magic(limited)
        header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = header(limited)
    except FlaskapiError:
        raise
    except Exception as error:  # NumPy raises several kinds for a damaged header
        raise InvalidRequestError("The array's header is damaged.") from error
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UnsupportedImageError(f"The array contains {dtype.name}; it must contain numbers.")
    if is_fortran and len(shape) > 1:
        raise UnsupportedImageError(
            "The array is in column order; save it with np.save(file, np.ascontiguousarray(a))."
        )
    return _Layout(*_find_pictures(shape), dtype)


def _find_pictures(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The number of pictures in an array of a shape, and their height and width."""
    sides = shape[:1] + tuple(side for side in shape[1:] if side != 1) if len(shape) > 2 else shape
    if len(sides) == 3:
        count, height, width = sides
    elif len(sides) == 2 and sides[1] == COUNT:
        count, height, width = sides[0], SIDE_PX, SIDE_PX
    elif len(sides) == 2:
        count, (height, width) = 1, sides
    elif sides == (COUNT,):
        count, height, width = 1, SIDE_PX, SIDE_PX
    else:
        raise UnsupportedImageError(
            f"The array has the shape {shape}; it must be (n, 28, 28), (n, 784) or (28, 28)."
        )
    _check_sides(height, width)
    return count, height, width


def _read_csv(source: Readable) -> Iterator[bytes | FlaskapiError]:
    """Rows of 784 numbers, with or without a label before or after them. The first line may have
    names.
    """
    label_at: int | None = 0
    for number, line in enumerate(_lines(source)):
        if not line.strip():
            continue
        cells = re.split(r"[,;\t]", line.strip().replace('"', ""))
        if number == 0:
            label_at = _find_label(cells)
            if not _is_number(cells[-1]) or not _is_number(cells[0]):
                continue
        if len(cells) == COUNT + 1 and label_at is not None:
            del cells[label_at]
        yield _read_row(cells)


def _find_label(cells: list[str]) -> int | None:
    """Find the label's column from the first row, which may have names.

    Raises:
        UnsupportedImageError: the rows are not pixels.
    """
    if len(cells) == COUNT:
        return None
    if len(cells) != COUNT + 1:
        raise UnsupportedImageError(
            f"This table has {len(cells)} columns; it must have {COUNT} of pixels, and optionally "
            f"one of labels."
        )
    return len(cells) - 1 if cells[-1].strip().lower() in _LABELS else 0


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_row(cells: list[str]) -> bytes | FlaskapiError:
    if len(cells) != COUNT:
        return InvalidRequestError(f"The row has {len(cells)} pixels, not {COUNT}.")
    try:
        return write_png(to_grey(np.array(cells, np.float64)))
    except ValueError:
        return InvalidRequestError("The row contains something that is not a number.")
    except InvalidRequestError as error:
        return error


def to_grey(numbers: "np.ndarray[tuple[int, ...], np.dtype[Any]]") -> bytes:
    """Convert numbers, from 0 to 1 or from 0 to 255, to grey values.

    Raises:
        InvalidRequestError: a number is outside the range.
    """
    with np.errstate(invalid="ignore"):  # a NaN that signals; it is refused below
        values = numbers.astype(np.float64)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not 0 <= low <= high <= 255:
        raise InvalidRequestError(
            f"The numbers are from {low:g} to {high:g}; they must be from 0 to 1 or from 0 to 255."
        )
    return np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8).tobytes()


def _check_sides(height: int, width: int) -> None:
    if not (1 <= height <= _LARGEST_SIDE and 1 <= width <= _LARGEST_SIDE):
        raise UnsupportedImageError(
            f"The pictures have {width} x {height} pixels; each side must be 1 to {_LARGEST_SIDE}."
        )


def _exactly(source: Readable, size: int) -> bytes:
    data = source.read(size)
    while len(data) < size and (more := source.read(size - len(data))):
        data += more
    if len(data) < size:
        raise InvalidRequestError("The file is truncated: bytes are missing at its end.")
    return data


def _lines(source: Readable) -> Iterator[str]:
    """The lines of a text. None may be longer than a row of pixels can be."""
    rest = b""
    while block := source.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).splitlines(keepends=True) or [b""]
        if rest.endswith((b"\n", b"\r")):
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield line.decode("utf-8-sig", "replace")
        if len(rest) > _LONGEST_LINE:
            raise InvalidRequestError("A row of the table is too long for a row of pixels.")
    if rest:
        yield rest.decode("utf-8-sig", "replace")
