"""Pictures in a tensor of the Open Inference Protocol: pixels, or whole image files. Pixels become
grey PNGs, which every reader of image files can read.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from flaskapi.errors import InvalidRequestError, TooLargeError
from flaskapi.sources.pixels import COUNT, encode_numbers, flatten_numbers, write_png
from flaskapi.sources.tables import to_grey

FILES = "BYTES"  # the datatype of whole files
# Raw tensors are little-endian and row by row.
_TYPES = {
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
}
_PICTURES = ((28, 28, 1), (1, 28, 28), (28, 28), (COUNT,))
_FILE_SHAPES: tuple[tuple[int, ...], ...] = ((), (1,))
_LENGTH_BYTES = 4


class Tensor(NamedTuple):
    """A request's description of its input; `check_tensor` has checked `datatype` and `shape`."""

    name: str  # for messages
    datatype: str
    shape: tuple[int, ...]

    @property
    def pictures(self) -> int:
        """The number of pictures."""
        return self.shape[0]


def check_tensor(tensor: Tensor, most: int) -> None:
    """Check that a tensor contains pictures.

    Args:
        tensor: its description in the request.
        most: how many pictures one request may have.

    Raises:
        InvalidRequestError: it is of another datatype or shape.
        TooLargeError: there are more pictures.
    """
    name, datatype, shape = tensor
    if datatype != FILES and datatype not in _TYPES:
        raise InvalidRequestError(
            f"{name} is of the datatype {datatype[:20]!r}; it can be FP32 or UINT8, for pixels, or "
            "BYTES, for image files."
        )
    shapes = _FILE_SHAPES if datatype == FILES else _PICTURES
    if shape[1:] not in shapes or not shape or shape[0] < 1:
        needed = " or ".join(str(["n", *one]).replace("'", "") for one in shapes)
        raise InvalidRequestError(
            f"{name} has the shape {str(list(shape))[:60]}; of {datatype} it must be {needed}."
        )
    if tensor.pictures > most:
        raise TooLargeError(
            f"{name} holds {tensor.pictures:,} images; at most {most:,} go together. "
            "POST /predict/batch takes more."
        )


def read_numbers(tensor: Tensor, data: list[Any]) -> Iterator[bytes]:
    """Return the pictures in JSON's numbers, nested as the shape says or flat, each as a PNG.

    Values from 0 to 1 and from 0 to 255 are told apart picture by picture.

    Raises:
        InvalidRequestError: a value is no number in a range, or there are too few or too many.
    """
    size = tensor.pictures * COUNT
    flat = list(flatten_numbers(data, tensor.name, size))
    if len(flat) != size:
        found = f"more than {size:,}" if len(flat) > size else f"{len(flat):,}"
        raise InvalidRequestError(
            f"{tensor.name} has {found} numbers; its shape {list(tensor.shape)} holds {size:,}."
        )
    for place in range(tensor.pictures):
        picture = flat[place * COUNT : (place + 1) * COUNT]
        yield encode_numbers(picture, _name(tensor, place))


def read_raw(tensor: Tensor, raw: bytes) -> Iterator[bytes]:
    """Return the pictures of a raw tensor: files as they are, pixels as PNGs.

    Raises:
        InvalidRequestError: a number is outside the range, or there are too few or too many bytes.
    """
    if tensor.datatype == FILES:
        yield from _split_files(tensor, raw)
        return
    dtype = np.dtype(_TYPES[tensor.datatype])
    size = math.prod(tensor.shape) * dtype.itemsize
    if len(raw) != size:
        raise InvalidRequestError(
            f"{tensor.name} has {len(raw):,} bytes; {tensor.datatype} of the shape "
            f"{list(tensor.shape)} has {size:,}."
        )
    for place, picture in enumerate(np.frombuffer(raw, dtype).reshape(-1, COUNT)):
        try:
            yield write_png(to_grey(picture))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{_name(tensor, place)}: {error}") from None


def _split_files(tensor: Tensor, raw: bytes) -> Iterator[bytes]:
    """Split the files: before each is its length, 32 bits, little-endian."""
    start = 0
    for place in range(tensor.pictures):
        begin = start + _LENGTH_BYTES
        start = begin + int.from_bytes(raw[begin - _LENGTH_BYTES : begin], "little")
        if begin > len(raw) or start > len(raw):
            raise InvalidRequestError(
                f"{_name(tensor, place)} is cut off: {tensor.name} has {len(raw):,} bytes."
            )
        yield raw[begin:start]
    if start != len(raw):
        raise InvalidRequestError(
            f"{tensor.name} has {len(raw) - start:,} bytes behind its {tensor.pictures} images."
        )


def _name(tensor: Tensor, place: int) -> str:
    return f"{tensor.name}[{place}]"
