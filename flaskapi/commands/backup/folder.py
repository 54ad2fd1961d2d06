"""A backup's folder: its files, the list of them, and how they are copied."""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flaskapi.errors import FlaskapiError
from flaskapi.processes import folder_locked

FORMAT = 2  # of the folder; 1 where there are no pictures
LIST, DATABASE, INSTANCE, VERSIONS = "backup.json", "database", "instance", "versions"
PICTURES = "pictures"
_INSTANCE_FILES = ("*.key", "*.toml")


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Give a folder beside the target, which is renamed to it once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    folder.mkdir(mode=0o700)
    try:
        yield folder
        for path in (*find_files(folder), *(p for p in folder.rglob("*") if p.is_dir()), folder):
            _sync(path)
        os.rename(folder, target)
        _sync(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_instance(instance: Path, folder: Path) -> None:
    """Copy the keys and settings of an instance folder."""
    for pattern in _INSTANCE_FILES:
        for path in sorted(instance.glob(pattern)):
            if path.is_file() and not path.is_symlink():
                _copy(path, folder / path.name, 0o600)


def copy_versions(versions: Path, folder: Path) -> None:
    """Copy the versions and the pointer to the serving one; promotions wait meanwhile."""
    # Not at the top: a command's help needs no model.
    from flaskapi.versions.registry import POINTER

    if not versions.is_dir():
        return
    with folder_locked(versions):
        for path in sorted(versions.glob("[!.]*/*")):
            if path.is_file() and not path.is_symlink():
                (folder / path.parent.name).mkdir(mode=0o700, exist_ok=True)
                _copy(path, folder / path.parent.name / path.name, 0o600)
        if (versions / POINTER).is_file():
            _copy(versions / POINTER, folder / POINTER, 0o600)


def put_back_versions(folder: Path, versions: Path) -> None:
    """Copy each version, and then the pointer to the serving one."""
    # Not at the top: a command's help needs no model.
    from flaskapi.versions.registry import POINTER
    from flaskapi.versions.version import SUBMISSIONS

    if not any(folder.iterdir()):
        return
    versions.mkdir(parents=True, exist_ok=True)
    with folder_locked(versions):
        for path in sorted(folder.glob("*/")):
            target = versions / path.name
            target.mkdir(mode=0o755, exist_ok=True)
            target.chmod(0o755)
            for file in find_files(path):
                # Others may read a version, but not the ids of the submissions in it.
                mode = 0o600 if file.name == SUBMISSIONS else 0o644
                _copy(file, target / file.name, mode)
        if (folder / POINTER).exists():
            _copy(folder / POINTER, versions / POINTER, 0o644)


def put_back_files(folder: Path, target: Path, mode: int) -> None:
    """Copy the files of a folder into another, with these permissions."""
    target.mkdir(parents=True, exist_ok=True)
    for path in find_files(folder):
        _copy(path, target / path.name, mode)


def _copy(source: Path, target: Path, mode: int) -> None:
    """Copy a file with its times, whole or not at all; a link at the target is replaced."""
    own = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with (
            source.open("rb") as file,
            open(own, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as made,
        ):
            shutil.copyfileobj(file, made)
            os.fchmod(made.fileno(), mode)
        shutil.copystat(source, own)
        own.chmod(mode)
        _sync(own)
        os.replace(own, target)
    finally:
        own.unlink(missing_ok=True)


def write_list(
    folder: Path, database: dict[str, Any] | None, pictures: dict[str, list[Any]]
) -> None:
    """Write the list of a backup: each file's size and SHA-256, the rows of the database, and which
    images are not there.
    """
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": digest(path)}
        for path in find_files(folder)
    }
    form = FORMAT if (folder / PICTURES).exists() else 1
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    document = {"format": form, "made_at": made_at, "database": database, **pictures}
    document["files"] = files
    with open(
        folder / LIST, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
    ) as file:
        json.dump(document, file, indent=1)


def check_whole(folder: Path) -> dict[str, Any]:
    """Read a backup's list, and check every file against it.

    Raises:
        FlaskapiError: it is not a backup, has a newer format, or is incomplete.
    """
    try:
        listed: dict[str, Any] = json.loads((folder / LIST).read_text("utf-8"))
        form, files = listed["format"], listed["files"]
        listed["made_at"], listed["database"]
        listed = {"missing": [], "erased": []} | listed  # older ones do not say
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FlaskapiError(f"{folder} is not a backup: it has no {LIST}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FlaskapiError(f"{folder / LIST} cannot be read: {error!r}") from error
    if not isinstance(form, int) or form > FORMAT:
        raise FlaskapiError(f"The backup has the format {form}, which is newer than this code.")
    there = {str(path.relative_to(folder)): path for path in find_files(folder)}
    there.pop(LIST, None)
    wrong = sorted(set(there) ^ set(files))
    wrong += [
        name
        for name, path in there.items()
        if name in files and (path.is_symlink() or digest(path) != files[name]["sha256"])
    ]
    if wrong:
        raise FlaskapiError(
            f"{folder}: the backup is not intact. Missing, extra or damaged: "
            f"{', '.join(wrong[:5])}."
        )
    return listed


def find_files(folder: Path) -> list[Path]:
    """All files of a folder and its subfolders, sorted; links are given, not followed."""
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
