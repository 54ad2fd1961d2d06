"""Write results as CSV, NDJSON or Parquet, in batches, so that the output is complete whenever it
stops.
"""

import csv
import io
from collections.abc import Callable, Sequence
from typing import IO, Any, Literal, Protocol

from flaskapi.contract.answers import encode_result
from flaskapi.errors import FlaskapiError
from flaskapi.reading.many import Route

Form = Literal["csv", "ndjson", "parquet"]
Result = dict[str, Any]
ROW_GROUP = 10_000  # rows that Parquet holds in memory and writes together
PARQUET_EXTRA = (
    "This needs the extra 'parquet': .venv/bin/pip install --constraint requirements.txt "
    "--editable '.[parquet]'"
)


class RowWriter(Protocol):
    """Writes batches of results; after `close` the output is a valid file."""

    def write(self, results: Sequence[Result]) -> None: ...

    def close(self) -> None: ...


def check_form(form: Form) -> None:
    """Check that a format can be written. Libraries that take a second to import are imported here,
    before the output file is opened.

    Raises:
        FlaskapiError: Parquet is requested, but pyarrow is not installed.
    """
    if form == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401 only to have it
        except ModuleNotFoundError as error:
            raise FlaskapiError(
                f"Parquet cannot be written: pyarrow is not installed. {PARQUET_EXTRA}"
            ) from error


def make_writer(form: Form, file: IO[bytes], route: Route) -> RowWriter:
    """Make the writer of a format; the caller closes the file."""
    if form == "parquet":
        return _ParquetWriter(file, route)
    return _LineWriter(file, _csv_lines(route) if form == "csv" else _ndjson_lines)


def _row(result: Result, route: Route) -> tuple[Any, ...]:
    """The columns of a row: the name, the digit or the number, its confidence, whether it is
    uncertain, the text of an error.
    """
    error = result.get("error")
    return (
        result["name"],
        result.get(route),
        result.get("confidence"),
        result.get("uncertain"),
        error["detail"] if error else None,
    )


def _ndjson_lines(results: Sequence[Result]) -> bytes:
    return "".join(encode_result(result) + "\n" for result in results).encode()


def _csv_lines(route: Route) -> Callable[[Sequence[Result]], bytes]:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", route, "confidence", "uncertain", "error"))

    def lines(results: Sequence[Result]) -> bytes:
        for result in results:
            name, read, confidence, uncertain, error = _row(result, route)
            writer.writerow(
                (
                    name,
                    read,
                    confidence,
                    uncertain if uncertain is None else str(uncertain).lower(),
                    error,
                )
            )
        written = text.getvalue()
        text.seek(0)
        text.truncate()
        return written.encode("utf-8", "replace")

    return lines


class _LineWriter:
    def __init__(self, file: IO[bytes], lines: Callable[[Sequence[Result]], bytes]) -> None:
        self._file, self._lines = file, lines
        self.write([])  # the header of the CSV, even if no row follows

    def write(self, results: Sequence[Result]) -> None:
        self._file.write(self._lines(results))
        self._file.flush()

    def close(self) -> None:
        pass


class _ParquetWriter:
    def __init__(self, file: IO[bytes], route: Route) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow, self._route, self._rows = pyarrow, route, list[tuple[Any, ...]]()
        read = pyarrow.int8() if route == "digit" else pyarrow.string()
        kinds = {
            "name": pyarrow.string(),
            route: read,
            "confidence": pyarrow.float64(),
            "uncertain": pyarrow.bool_(),
            "error": pyarrow.string(),
        }
        self._schema = pyarrow.schema(list(kinds.items()))
        self._writer = pyarrow.parquet.ParquetWriter(_Counted(file), self._schema)

    def write(self, results: Sequence[Result]) -> None:
        self._rows += (_row(result, self._route) for result in results)
        if len(self._rows) >= ROW_GROUP:
            self._write_group()

    def close(self) -> None:
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            self._writer.write_table(self._arrow.table(columns, schema=self._schema))
            self._rows = []


class _Counted:
    """A file that counts its bytes: Parquet asks for the position, and pipes have none."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._written = file, 0

    def write(self, data: bytes) -> int:
        self._written += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()  # the caller closes it
