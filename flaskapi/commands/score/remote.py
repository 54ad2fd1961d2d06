"""Places that fsspec reaches: S3, Google Cloud Storage and many more."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import fsspec

from flaskapi.commands.score.places import MANY, ListedFile, UnreachableError
from flaskapi.errors import FlaskapiError, MissingImageError
from flaskapi.sources import Allowance, is_clutter
from flaskapi.sources.paths import SUFFIXES

TOGETHER, TOGETHER_BYTES = 64, 1 << 24  # fetched at the same time, the smaller of the two
_BLOCK_BYTES = 1 << 22
_MAGIC = "*?["


class RemoteStorage:
    """A bucket or another file system with addresses."""

    def __init__(self, address: str) -> None:
        """Find the library for an address.

        Raises:
            ImportError: it is not installed.
            FlaskapiError: there is none for this kind of address.
        """
        self._scheme = address.partition("://")[0]
        try:
            self._files: Any = fsspec.filesystem(self._scheme, use_listings_cache=False)
        except ValueError as error:
            raise FlaskapiError(f"{address}: {error}.") from error

    def find(self, source: str) -> Iterator[ListedFile]:
        """See `Storage.find`. What one folder holds directly is in memory together."""
        path = self._strip(source)
        if any(letter in path for letter in _MAGIC):
            found = sorted(self._ask(self._files.glob, path, detail=True).items())
            files = [self._found(entry) for _, entry in found if entry["type"] == "file"]
            if not files:
                raise FlaskapiError(f"{source}: no file matches this pattern.")
            yield from files
        elif (entry := self._ask(self._files.info, path))["type"] == "file":
            yield self._found(entry)
        else:
            yield from self._walk(path)

    def _walk(self, folder: str) -> Iterator[ListedFile]:
        entries = sorted(
            (entry["name"].rstrip("/"), entry["type"], entry["size"] or 0)
            for entry in self._ask(self._files.ls, folder, detail=True)
        )
        for path, kind, size in entries:
            name = path.rpartition("/")[2]
            if path == folder or is_clutter(name):  # some stores list the folder itself
                continue
            if kind == "directory":
                yield from self._walk(path)
            elif f".{name.lower().rpartition('.')[2]}" in SUFFIXES | MANY:
                yield ListedFile(self._address(path), size)

    def read(
        self, files: Sequence[ListedFile], allowance: Allowance
    ) -> Iterator[bytes | FlaskapiError]:
        """See `Storage.read`. While some are read, the next are fetched."""
        with ThreadPoolExecutor(1) as pool:
            waiting = None
            for some in _together(files, allowance.image_bytes):
                fetched = pool.submit(self._fetch, some, allowance)
                if waiting:
                    yield from waiting.result()
                waiting = fetched
            if waiting:
                yield from waiting.result()

    def _fetch(
        self, files: Sequence[ListedFile], allowance: Allowance
    ) -> list[bytes | FlaskapiError]:
        wanted = {file.path: self._strip(file.path) for file in files}
        small = [wanted[file.path] for file in files if file.size <= allowance.image_bytes]
        contents = self._ask(self._files.cat, small, on_error="return") if small else {}
        return [self._content(file, contents.get(wanted[file.path]), allowance) for file in files]

    def _content(
        self, file: ListedFile, content: Any, allowance: Allowance
    ) -> bytes | FlaskapiError:
        if content is None:
            return allowance.too_large()
        if isinstance(content, FileNotFoundError | PermissionError):
            return MissingImageError(f"It cannot be read: {content.strerror or content}.")
        if isinstance(content, BaseException):
            raise UnreachableError(f"{file.path}: {content}") from content
        return bytes(content)

    def open(self, path: str) -> IO[bytes]:
        """See `Storage.open`."""
        opened = self._ask(self._files.open, self._strip(path), block_size=_BLOCK_BYTES)
        return io.BufferedReader(_Steady(opened, path), _BLOCK_BYTES)

    def names(self, folder: str) -> Iterator[str]:
        """See `Storage.names`."""
        path = self._strip(folder)
        if not self._ask(self._files.exists, path):
            return
        for entry in self._ask(self._files.ls, path, detail=False):
            yield entry.rstrip("/").rpartition("/")[2]

    def write(self, path: str, content: bytes) -> None:
        """See `Storage.write`. One request puts all of it."""
        self._ask(self._files.pipe_file, self._strip(path), content)

    def _ask(self, ask: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return ask(*arguments, **options)
        except FileNotFoundError as error:
            raise FlaskapiError(f"{self._address(str(arguments[0]))}: nothing is there.") from error
        except Exception as error:
            raise UnreachableError(f"{self._scheme}: {error}") from error

    def _strip(self, address: str) -> str:
        return str(self._files._strip_protocol(address))

    def _address(self, path: str) -> str:
        return f"{self._scheme}://{path.removeprefix('/')}"

    def _found(self, entry: dict[str, Any]) -> ListedFile:
        return ListedFile(self._address(entry["name"]), entry["size"] or 0)


def _together(files: Sequence[ListedFile], most_bytes: int) -> Iterator[Sequence[ListedFile]]:
    some, size = list[ListedFile](), 0
    for file in files:
        some.append(file)
        size += file.size if file.size <= most_bytes else 0
        if len(some) >= TOGETHER or size >= TOGETHER_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


class _Steady(io.RawIOBase):
    """A file of a place, whose failures are of the place and not of the file."""

    def __init__(self, file: Any, path: str) -> None:
        self._file, self._path = file, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._ask(self._file.read, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._ask(self._file.seek, offset, whence))

    def tell(self) -> int:
        return int(self._ask(self._file.tell))

    def close(self) -> None:
        self._file.close()
        super().close()

    def _ask(self, ask: Any, *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except Exception as error:
            raise UnreachableError(f"{self._path}: {error}") from error
