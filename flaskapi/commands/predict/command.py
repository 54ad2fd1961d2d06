"""`python -m flaskapi predict`: images in, rows out, errors to standard error."""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from flaskapi.commands.predict.workers import load_reader, read_by_workers
from flaskapi.commands.predict.writers import Form, Result, RowWriter, check_form, make_writer
from flaskapi.contract.answers import to_result
from flaskapi.errors import FlaskapiError
from flaskapi.reading.many import Route
from flaskapi.reading.reader import Reader
from flaskapi.sources import Allowance, Item
from flaskapi.sources.paths import count_images, read_paths

INTERRUPTED, READER_GONE = 130, 141  # 128 and the signal's number, as in shells
_BATCH, _BATCH_S = 64, 0.1
_REPEATED_S = 0.5


class PredictOrder(NamedTuple):
    """The options of the command; `to` is None for standard output."""

    paths: list[str]
    route: Route
    form: Form
    to: Path | None
    workers: int


def predict_paths(order: PredictOrder) -> int:
    """Read the images at the paths and write a row for each. Returns the exit status.

    Raises:
        FlaskapiError: nothing can be read or written at all.
    """
    check_form(order.form)
    if order.form == "parquet" and order.to is None and sys.stdout.isatty():
        raise FlaskapiError("A terminal cannot show Parquet: add --to FILE, or use a pipe.")
    if order.to and not order.to.absolute().parent.is_dir():
        raise FlaskapiError(f"{order.to}: the folder for this file does not exist.")
    reader, config = load_reader(order.route)
    items = read_paths(order.paths, sys.stdin.buffer, Allowance(config["MAX_REQUEST_BYTES"]))
    with (
        _Interrupts() as interrupts,
        closing(_read(items, reader, order)) as results,
        _make_progress(order.paths) as progress,
    ):
        try:
            with _open_output(order.to) as output:
                writer = make_writer(order.form, output.file, order.route)
                failed = _Passage(writer, output, interrupts, progress).pass_on(results)
        except KeyboardInterrupt:
            interrupts.come_no_more()
            progress.close()
            print("Interrupted. The rows so far are written.", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:  # the reader, such as `head`, has enough
            _forget_standard_output()
            return READER_GONE
    if failed:
        print(f"Images without an answer: {failed:,}.", file=sys.stderr)
    return 1 if failed else 0


def _read(items: Iterator[Item], reader: Reader, order: PredictOrder) -> Generator[Result]:
    if order.workers > 1:
        yield from read_by_workers(items, order.route, order.workers)
    else:
        yield from map(to_result, reader.many(items, order.route))


def _make_progress(paths: list[str]) -> "tqdm[Any]":
    """A progress bar on a terminal, nothing elsewhere."""
    return tqdm(
        total=count_images(paths) if sys.stderr.isatty() else None, unit=" images", disable=None
    )


class _Output:
    """A file to write to, and whether its content is complete enough to keep; until this is set it
    is not.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.is_whole = file, False


class _Passage:
    """Pass results on to a writer, in batches. At Ctrl-C each batch is written completely or not
    at all.
    """

    def __init__(
        self, writer: RowWriter, output: _Output, interrupts: "_Interrupts", progress: "tqdm[Any]"
    ) -> None:
        self._writer, self._output, self._interrupts, self._progress = (
            writer,
            output,
            interrupts,
            progress,
        )
        self._failed, self._rows, self._is_sound = 0, 0, True

    def pass_on(self, results: Iterator[Result]) -> int:
        """Write every result. Returns the number of errors."""
        batch, begun_s, is_done = list[Result](), time.monotonic(), False
        try:
            for result in results:
                batch.append(result)
                if len(batch) >= _BATCH or time.monotonic() - begun_s > _BATCH_S:
                    self._write(batch)
                    begun_s = time.monotonic()
            is_done = True
        finally:
            self._interrupts.end()
            try:
                if self._is_sound:
                    self._write(batch)
            finally:
                self._close(is_done)
        return self._failed

    def _write(self, batch: list[Result]) -> None:
        errors = [result for result in batch if "error" in result]
        with self._interrupts.held_back():
            self._is_sound = False  # if it fails, the output may end within a row
            self._writer.write(batch)
            self._is_sound = True
            self._rows += len(batch)
            self._failed += len(errors)
            self._progress.update(len(batch))
            batch.clear()
            for result in errors:
                tqdm.write(
                    f"error: {_printable(result['name'])}: {_printable(result['error']['detail'])}",
                    file=sys.stderr,
                )

    def _close(self, is_done: bool) -> None:
        """Close the writer. After a failure of the writer itself this only frees it; otherwise the
        output is complete, whatever stopped the work.
        """
        try:
            self._writer.close()
        except Exception:
            if self._is_sound:
                raise
        else:
            self._output.is_whole = self._is_sound and (is_done or self._rows > 0)


def _printable(text: str) -> str:
    """Escape a name from an archive: it may contain control characters for a terminal, or a line
    end and a false line.
    """
    return text if text.isprintable() else repr(text)


class _Interrupts:
    """Handle Ctrl-C as Python does, but never within a section that must be completed: then it is
    handled afterwards.
    """

    def __init__(self) -> None:
        self._depth, self._came, self._last_s = 0, False, 0.0

    def __enter__(self) -> "_Interrupts":
        self._before = signal.signal(signal.SIGINT, self._come)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _come(self, number: int, frame: FrameType | None) -> None:
        """Two key presses at once count as one. Later ones count again, in case the first was
        lost.
        """
        is_repeated, self._last_s = time.monotonic() - self._last_s < _REPEATED_S, time.monotonic()
        if is_repeated:
            return
        if not self._depth:
            raise KeyboardInterrupt
        self._came = True

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._came and not self._depth:
            self._came = False
            raise KeyboardInterrupt

    def end(self) -> None:
        """Only the end of the work is left; no interrupt is raised from here on."""
        self._depth += 1

    def come_no_more(self) -> None:
        """Ignore interrupts permanently: Python's own shutdown would be interrupted, with a long
        message.
        """
        self._before = signal.SIG_IGN


@contextlib.contextmanager
def _open_output(path: Path | None) -> Iterator[_Output]:
    """Open standard output, or a file that gets its name once it is complete: at the end, or when
    the work stops earlier.
    """
    # Opening it by its name could fail for the user that root became.
    if path is None or path == Path("/dev/stdout"):
        yield _Output(sys.stdout.buffer)
        return
    if path.is_symlink() or (
        path.exists() and not path.is_file()
    ):  # a pipe, a device, /dev/stdout: these are not replaced
        with path.open("wb") as file:
            yield _Output(file)
        return
    with tempfile.NamedTemporaryFile(
        "wb", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        output = _Output(file.file)
        try:
            yield output
        finally:
            try:
                if output.is_whole:
                    _name(file.name, path, file)
            finally:
                with contextlib.suppress(FileNotFoundError):  # it already has its name
                    os.unlink(file.name)


def _name(temporary: str, path: Path, file: Any) -> None:
    file.flush()
    os.chmod(temporary, 0o666 & ~_umask())
    os.replace(temporary, path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _forget_standard_output() -> None:
    """Discard Python's last flush, which would fail as well."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
