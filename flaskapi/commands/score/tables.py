"""Parquet: images out of a column of bytes, and rows into files."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow
import pyarrow.parquet

from flaskapi.errors import InvalidRequestError, UnsupportedImageError
from flaskapi.reading.many import Route
from flaskapi.sources import Allowance, Item
from flaskapi.sources.zipped import Piece

MAGIC = b"PAR1"
_AT_ONCE, _AT_ONCE_BYTES = 64, 1 << 26  # rows in memory together, the smaller of the two
_IMAGES = ("image", "bytes", "content", "data", "png", "jpg")
_NAMES = ("name", "path", "file", "filename", "file_name", "key", "__key__", "id")


def read_images(file: IO[bytes], name: str, allowance: Allowance, piece: Piece) -> Iterator[Item]:
    """Read the images in a column of bytes: `image`, `bytes` or `content`, or the only one.

    They are called as a column `name` or `path` says, otherwise by their rows, counted from 1.

    Args:
        file: can be rewound.
        name: what the file is called.
        allowance: how many bytes an image may have.
        piece: read only this share of the row groups.

    Raises:
        FlaskapiError: it is no Parquet, or has no such column.
    """
    try:
        table = _open(file)
        schema, groups = table.schema_arrow, table.num_row_groups
        images, names = _find_column(schema, name), _find_names(schema)
        # One image that many rows have stays one in memory.
        is_struct = pyarrow.types.is_struct(schema.field(images).type)
        table = _open(file, [f"{images}.bytes" if is_struct else images])
        row = 0
        for group in range(groups):
            if group * piece.of // groups == piece.number:
                columns = [images, *([names] if names else [])]
                for called, content in _read_group(table, group, columns):
                    row += 1
                    is_small = len(content) <= allowance.image_bytes
                    yield Item(
                        f"{name}#{row}" if called is None else called,
                        content if is_small else allowance.too_large(),
                    )
            else:
                row += table.metadata.row_group(group).num_rows
    except (pyarrow.ArrowException, OSError) as error:  # as pyarrow has it
        reason = str(error).rstrip(".")
        raise InvalidRequestError(f"The Parquet file '{name}' is damaged: {reason}.") from error


def _open(file: IO[bytes], repeated: Sequence[str] = ()) -> Any:
    file.seek(0)
    return pyarrow.parquet.ParquetFile(
        file, buffer_size=1 << 20, pre_buffer=False, read_dictionary=list(repeated)
    )


def _read_group(table: Any, group: int, columns: list[str]) -> Iterator[tuple[str | None, bytes]]:
    """The name and the image of each row of a group; None where it has no name."""
    about = table.metadata.row_group(group)
    sizes = [about.column(place).total_uncompressed_size for place in range(about.num_columns)]
    at_once = min(_AT_ONCE, max(1, _AT_ONCE_BYTES * about.num_rows // max(1, sum(sizes))))
    for batch in table.iter_batches(at_once, [group], columns):
        images, *names = (batch.column(batch.schema.get_field_index(name)) for name in columns)
        if pyarrow.types.is_struct(images.type):
            images = images.field("bytes")
        for place, image in enumerate(images):
            yield _name_of(names[0][place]) if names else None, image.as_py() or b""


def _name_of(value: Any) -> str | None:
    """A value as a name; None where Python has none for it, as for years far off."""
    with contextlib.suppress(ValueError, OverflowError):
        name = value.as_py()
        return None if name is None else str(name)
    return None


def _find_column(schema: Any, name: str) -> str:
    found = [field.name for field in schema if _has_bytes(field.type)]
    for wanted in _IMAGES:
        if wanted in found:
            return wanted
    if len(found) != 1:
        raise UnsupportedImageError(
            f"'{name}' has {len(found)} columns of bytes; call the one with the images 'image'."
        )
    return str(found[0])


def _find_names(schema: Any) -> str | None:
    kinds = pyarrow.types
    for wanted in _NAMES:
        place = schema.get_field_index(wanted)
        if place >= 0 and not kinds.is_nested(kind := schema.field(place).type):
            return None if _has_bytes(kind) else wanted
    return None


def _has_bytes(kind: Any) -> bool:
    kinds = pyarrow.types
    if kinds.is_dictionary(kind):
        kind = kind.value_type
    if kinds.is_struct(kind):  # as data sets of Hugging Face have it
        place = kind.get_field_index("bytes")
        return place >= 0 and _has_bytes(kind.field(place).type)
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def make_schemas(route: Route) -> tuple[Any, Any]:
    """The columns of predictions and of failed images."""
    text, real = pyarrow.string(), pyarrow.float64()
    read = [("digit", pyarrow.int8())] if route == "digit" else [("number", text)]
    more = [("probabilities", pyarrow.list_(real))] if route == "digit" else []
    predictions = [
        *(("name", text), *read, ("confidence", real), ("uncertain", pyarrow.bool_()), *more),
        *(("model", text), ("generation", pyarrow.int64())),
    ]
    failed = [("name", text), ("error", text), ("detail", text)]
    return pyarrow.schema(predictions), pyarrow.schema(failed)


def encode_rows(rows: Sequence[dict[str, Any]], schema: Any) -> bytes:
    """A Parquet file with those members of the rows that the schema names."""
    buffer = io.BytesIO()
    table = pyarrow.Table.from_pylist(rows, schema)
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
