"""The versions of several instances: the database has the versions and the pointer.

Each instance has copies in a folder, and serves from them while it cannot reach the database.
"""

import contextlib
import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaskapi.errors import ModelUnavailableError, StoreUnavailableError, VersionError
from flaskapi.processes import folder_locked
from flaskapi.serving.classifier import OnnxClassifier
from flaskapi.submissions import Store
from flaskapi.versions.pointer import (
    MODEL_FILE,
    Pointer,
    from_document,
    read_pointer,
    to_document,
    write_pointer,
)
from flaskapi.versions.processes import Processes, find_start
from flaskapi.versions.registry import POINTER, Registry
from flaskapi.versions.version import ARTIFACT, COMPILED, Version, seal

if TYPE_CHECKING:
    from flaskapi.submissions.versions import ProcessReport, StoredPointer

BEAT_S = 5.0  # between two reports of a process
_TRIES = 20  # of a change, if other processes change the pointer at the same time
log = logging.getLogger("flaskapi")


class SharedRegistry(Registry):
    """The versions in a database; the folder has copies of them."""

    def __init__(self, path: Path, model_path: Path, cache_path: Path, store: Store) -> None:
        """`path` is the folder of the copies; the database is that of `store`."""
        super().__init__(path, model_path, cache_path)
        self._store = store
        self._changes: tuple[int, ...] = ()

    def versions(self) -> list[Version]:
        """All registered versions, the newest last; missing copies are made first.

        If the database cannot be reached, the versions with a copy.
        """
        # Not at the top: an instance with its versions in a folder needs no database libraries.
        from flaskapi.submissions.versions import find_versions

        try:
            registered = find_versions(self._store)
        except StoreUnavailableError as error:
            log.warning("versions: %s", error)
            return super().versions()
        for name in registered:
            try:
                self._fetch(name)
            except ModelUnavailableError as error:
                log.warning("versions: %s", error)
        return [version for version in super().versions() if version.name in registered]

    def load(self, name: str) -> OnnxClassifier:
        """Load a version for serving, or the file of the setting MODEL_PATH.

        A copy that cannot be loaded is copied again, once.

        Raises:
            ModelUnavailableError: it cannot be loaded; the text says why.
        """
        if name == MODEL_FILE:
            return super().load(name)
        self._fetch(name)
        try:
            return super().load(name)
        except ModelUnavailableError:  # the copy is damaged, or the version itself
            self._fetch(name, again=True)
            return super().load(name)

    def card(self, name: str) -> dict[str, Any]:
        """The card of a version, or of the file of the setting MODEL_PATH.

        Raises:
            ModelUnavailableError: the card cannot be read, or that file is not compiled yet.
        """
        if name != MODEL_FILE:
            self._fetch(name)
        return super().card(name)

    def artifact(self, name: str) -> Path:
        """The model file of a version, or that of the setting MODEL_PATH.

        Raises:
            ModelUnavailableError: the version cannot be copied.
        """
        if name != MODEL_FILE:
            self._fetch(name)
        return super().artifact(name)

    def stamp(self) -> tuple[int, ...]:
        """Count the changes of the pointer; the last count while the database cannot be reached."""
        from flaskapi.submissions.versions import count_changes

        with contextlib.suppress(StoreUnavailableError):  # the store's own log says so
            self._changes = (count_changes(self._store),)
        return self._changes

    def read(self) -> Pointer:
        """Read the pointer; its copy in the folder, if the database cannot be reached.

        Raises:
            VersionError: neither can be read.
        """
        try:
            pointer = _to_pointer(self._read_stored())
        except StoreUnavailableError as error:
            if not (self.path / POINTER).exists():
                raise VersionError(f"The pointer is in the database. {error}") from error
            return read_pointer(self.path / POINTER)
        self._note(pointer)
        return pointer

    def reports(self) -> "list[ProcessReport]":
        """The latest report of each process of every instance.

        Raises:
            StoreUnavailableError: the database cannot be read.
        """
        from flaskapi.submissions.versions import read_reports

        return read_reports(self._store)

    def _read_stored(self) -> "StoredPointer":
        from flaskapi.submissions.versions import read_stored

        return read_stored(self._store)

    def _change(self, change: Callable[[Pointer], Pointer], removed: Sequence[str] = ()) -> Pointer:
        from flaskapi.submissions.versions import change_stored

        for _ in range(_TRIES):
            stored = self._read_stored()
            before = _to_pointer(stored)
            after = change(before)
            if (after == before and not removed) or change_stored(
                self._store, stored, to_document(after), removed
            ):
                self._note(after)
                with folder_locked(self.path):
                    self._set_aside([name for name in removed if (self.path / name).exists()])
                return after
        raise VersionError("Other processes changed the pointer at each try. Try again.")

    def _place(self, folder: Path, name: str) -> Version:
        from flaskapi.submissions.versions import put_version

        seal(folder)
        put_version(self._store, name, {path.name: path.read_bytes() for path in folder.iterdir()})
        self._fetch(name)
        self._change(lambda pointer: pointer.forgive(name))
        return Version(name, self.path / name)

    def _fetch(self, name: str, *, again: bool = False) -> None:
        """Copy a version from the database, unless its copy is there.

        Raises:
            ModelUnavailableError: the version is not in the database, is damaged, or cannot be
                copied.
        """
        from flaskapi.submissions.versions import fetch_version, find_versions

        if (self.path / name).exists() and not again:
            return
        try:
            files = fetch_version(self._store, name)
            registered_at = find_versions(self._store).get(name)
        except StoreUnavailableError as error:
            raise ModelUnavailableError(f"Version {name} cannot be copied: {error}") from error
        if not files or registered_at is None or Path(name).name != name:
            raise ModelUnavailableError(f"Version {name} is not in the database.")
        for file, (sha256, content) in files.items():
            if hashlib.sha256(content).digest() != sha256:
                raise ModelUnavailableError(f"Version {name} is damaged in the database: {file}.")
        if missing := {ARTIFACT, COMPILED} - set(files):
            raise ModelUnavailableError(f"Version {name} lacks {min(missing)} in the database.")
        sha256, _ = files[ARTIFACT]
        if sha256.hex()[:8] != name.rpartition("-")[2]:
            raise ModelUnavailableError(f"Version {name} has another model than its name says.")
        try:
            with self._unfinished() as folder:
                for file, (_, content) in files.items():
                    (folder / Path(file).name).write_bytes(content)
                seal(folder)
                os.utime(folder / ARTIFACT, (registered_at.timestamp(),) * 2)
                with folder_locked(self.path):
                    self._set_aside([name] if again and (self.path / name).exists() else [])
                    if not (self.path / name).exists():
                        os.rename(folder, self.path / name)
        except OSError as error:
            raise ModelUnavailableError(f"Version {name} cannot be copied: {error}") from error

    def _note(self, pointer: Pointer) -> None:
        """Copy the pointer to the folder, for a start without the database."""
        path = self.path / POINTER
        try:
            self._make_folder()
            with folder_locked(self.path):
                if not path.exists() or read_pointer(path) != pointer:
                    write_pointer(path, pointer)
        except (OSError, VersionError) as error:
            log.error("versions: the pointer cannot be copied: %s", error)


class SharedProcesses(Processes):
    """The processes of this server, each of which also reports to the database."""

    def __init__(self, path: Path, store: Store) -> None:
        super().__init__(path)
        self._store = store
        self._instance = f"{socket.gethostname()}:{path.parent}"
        self._beat_at_s = 0.0

    def publish(self, **served: Any) -> None:
        """Publish what this process serves; the next `beat` reports it to the database.

        Raises:
            OSError: the file cannot be written.
        """
        self._beat_at_s = 0.0
        super().publish(**served)

    def beat(self) -> None:
        """Report to the database, at most once in BEAT_S; a failed report is not repeated."""
        from flaskapi.submissions.versions import ProcessReport, report_process

        if time.monotonic() < self._beat_at_s or self._here.get("pid") != os.getpid():
            return
        self._beat_at_s = time.monotonic() + BEAT_S
        here, pid = self._here, os.getpid()
        report = ProcessReport(
            self._instance,
            pid,
            find_start(pid),
            here["version"],
            here["generation"],
            here.get("refused"),
        )
        try:
            report_process(self._store, report, lambda pid, start: find_start(pid) != start)
        except StoreUnavailableError as error:
            log.debug("versions: %s", error)


def _to_pointer(stored: "StoredPointer") -> Pointer:
    try:
        return Pointer() if stored.content is None else from_document(stored.content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VersionError(f"The pointer in the database cannot be read: {error}.") from error
