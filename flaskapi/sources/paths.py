"""Images named on a command line: files, folders, archives, and `-` for standard input."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from flaskapi.errors import FlaskapiError, MissingImageError
from flaskapi.sources import Allowance, Item, is_clutter
from flaskapi.sources.archives import read_file, read_stream

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".webp", ".tif", ".tiff"}
SUFFIXES |= {".heic", ".heif", ".avif", ".pdf"}
STANDARD_INPUT = "-"


def read_paths(
    paths: Iterable[str], standard_input: IO[bytes], allowance: Allowance
) -> Iterator[Item]:
    """Read the images that paths name: all files with an image's suffix in a folder and its
    subfolders, every member of an archive.

    Names are paths; the name of an archive's member follows the archive's own. A path that cannot
    be read yields an error.
    """
    for path in paths:
        try:
            if path == STANDARD_INPUT:
                yield from _read_pipe(standard_input, "standard input", allowance)
            elif os.path.isdir(path):
                yield from _read_folder(path, allowance)
            else:
                yield from _read_path(path, allowance)
        except (FlaskapiError, OSError) as error:
            yield Item(readable(path), _domain(error))


def count_images(paths: Iterable[str]) -> int | None:
    """Count the images that paths name, without reading them; None if that is impossible."""
    count = 0
    for path in paths:
        if os.path.isdir(path):
            for _, error in find_files(path, SUFFIXES):
                if error:
                    return None
                count += 1
        elif Path(path).suffix.lower() in SUFFIXES:
            count += 1
        else:
            return None
    return count


def _read_folder(folder: str, allowance: Allowance) -> Iterator[Item]:
    empty = True
    for path, error in find_files(folder, SUFFIXES):
        empty = False
        yield Item(readable(path), _domain(error) if error else read_image(path, allowance))
    if empty:
        raise MissingImageError(
            f"The folder '{readable(folder)}' contains no image: no {', '.join(sorted(SUFFIXES))}."
        )


def read_image(path: str, allowance: Allowance) -> bytes | FlaskapiError:
    """The content of a file that is one image, or why there is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read(allowance.image_bytes + 1)
    except OSError as error:
        return _domain(error)
    return content if len(content) <= allowance.image_bytes else allowance.too_large()


def find_files(folder: str, suffixes: set[str]) -> Iterator[tuple[str, OSError | None]]:
    """Files with such a suffix, sorted by name, folder by folder. Links to folders are not
    followed.

    A folder that cannot be read yields an error in its place.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        yield folder, error
        return
    for name, is_folder in found:
        path = os.path.join(folder, name)
        if is_folder and not is_clutter(name):
            yield from find_files(path, suffixes)
        elif (
            os.path.splitext(name)[1].lower() in suffixes
            and not is_clutter(name)
            and os.path.isfile(path)
        ):
            yield path, None


def _read_path(path: str, allowance: Allowance) -> Iterator[Item]:
    name = readable(path)
    with open(path, "rb") as file:
        read = read_file if file.seekable() else _read_pipe
        yield from name_members(read(file, name, allowance), name)


def name_members(items: Iterable[Item], name: str) -> Iterator[Item]:
    """Put an archive's name before those of its members."""
    for item in items:  # one of the file's own name is the file itself, or what is wrong with it
        is_own = item.name == name or item.name.startswith(f"{name}#")
        yield item if is_own else item._replace(name=f"{name}/{item.name}")


def _read_pipe(pipe: IO[bytes], name: str, allowance: Allowance) -> Iterator[Item]:
    with tempfile.TemporaryFile() as spool:
        yield from read_stream(pipe, name, allowance, spool)


def readable(path: str) -> str:
    """A path as a name in UTF-8, which cannot express every path."""
    return os.fsencode(path).decode("utf-8", "replace")


def _domain(error: FlaskapiError | OSError) -> FlaskapiError:
    if isinstance(error, OSError):
        return MissingImageError(f"It cannot be read: {error.strerror or error}.")
    return error
