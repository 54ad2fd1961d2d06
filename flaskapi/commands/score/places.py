"""Where images are and where rows go: the file system, or what fsspec reaches at an address."""

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from flaskapi.errors import FlaskapiError
from flaskapi.sources import Allowance
from flaskapi.sources.paths import SUFFIXES, find_files, read_image

# Files of many images that are read wherever they are found in a folder.
MANY = {".zip", ".tar", ".gz", ".tgz", ".parquet"}
REMOTE_EXTRA = (
    "This needs the extra 'remote': .venv/bin/pip install --constraint requirements.txt "
    "--editable '.[remote]'"
)


class UnreachableError(Exception):
    """What is between here and a file failed, so that nothing can be said of the file.

    It is not a `FlaskapiError`, nor an `OSError`, which would be taken for a damaged archive.
    """


class ListedFile(NamedTuple):
    """A file of a listing: its path or address, and its size in bytes."""

    path: str
    size: int

    @property
    def suffix(self) -> str:
        """In small letters, such as `.png`."""
        return os.path.splitext(self.path)[1].lower()


class Storage(Protocol):
    """Where files are; paths and addresses are whole."""

    def find(self, source: str) -> Iterator[ListedFile]:
        """List a file, the files in a folder or those of a pattern, always in the same order.

        Raises:
            FlaskapiError: there is nothing, or a folder cannot be read.
        """

    def read(
        self, files: Sequence[ListedFile], allowance: Allowance
    ) -> Iterator[bytes | FlaskapiError]:
        """Give the content of each file, or why there is none."""

    def open(self, path: str) -> IO[bytes]:
        """Open a file to be read and rewound."""

    def names(self, folder: str) -> Iterator[str]:
        """The names of the files in a folder, none if it is missing."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all."""


def is_address(text: str) -> bool:
    """Whether fsspec is to find it, such as `s3://bucket/folder`."""
    return "://" in text


def find_place(text: str) -> Storage:
    """The place of a path or of an address.

    Raises:
        FlaskapiError: the library for such an address is missing.
    """
    if not is_address(text):
        return LocalStorage()
    try:
        from flaskapi.commands.score.remote import RemoteStorage

        return RemoteStorage(text)
    except ImportError as error:
        raise FlaskapiError(
            f"{text} cannot be reached: {error.name or error} is not installed. {REMOTE_EXTRA}"
        ) from error


class LocalStorage:
    """The file system of this machine, or one that is mounted."""

    def find(self, source: str) -> Iterator[ListedFile]:
        """See `Storage.find`."""
        if os.path.lexists(source) or not glob.has_magic(source):
            yield from self._find(source)
            return
        matches = sorted(glob.iglob(source, recursive=True))
        if not matches:
            raise FlaskapiError(f"{source}: no file matches this pattern.")
        for match in matches:
            # What `**` matches within a folder has been matched with it.
            if os.path.isfile(match):
                yield from self._find(match)

    def _find(self, path: str) -> Iterator[ListedFile]:
        if not os.path.lexists(path):
            raise FlaskapiError(f"{path}: there is no such file or folder.")
        if not os.path.isdir(path):
            if not os.path.isfile(path):
                raise FlaskapiError(f"{path} is no file and no folder.")
            yield ListedFile(path, os.stat(path).st_size)
            return
        for file, error in find_files(path, SUFFIXES | MANY):
            if error:
                raise FlaskapiError(f"{file}: {error.strerror}.")
            yield ListedFile(file, os.stat(file).st_size)

    def read(
        self, files: Sequence[ListedFile], allowance: Allowance
    ) -> Iterator[bytes | FlaskapiError]:
        """See `Storage.read`."""
        return (read_image(file.path, allowance) for file in files)

    def open(self, path: str) -> IO[bytes]:
        """See `Storage.open`."""
        return open(path, "rb")

    def names(self, folder: str) -> Iterator[str]:
        """See `Storage.names`."""
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name

    def write(self, path: str, content: bytes) -> None:
        """See `Storage.write`. What a kill leaves beside it is overwritten when it is written."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.unfinished")
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
