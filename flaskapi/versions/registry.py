"""The versions of the model: a folder for each, and the pointer to the serving one.

A version's folder is written whole or not at all.
"""

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flaskapi.errors import ModelFileError, ModelUnavailableError, VersionError
from flaskapi.processes import folder_locked
from flaskapi.serving.classifier import OnnxClassifier, load_classifier
from flaskapi.serving.compiled import (
    build_compiled,
    find_compiled,
    is_compiled_from,
    peek_card,
    seek_compiled,
)
from flaskapi.serving.missing import why_no_file
from flaskapi.versions.pointer import (
    MODEL_FILE,
    Pointer,
    Served,
    ShadowCandidate,
    own_as_folder,
    read_pointer,
    write_pointer,
)
from flaskapi.versions.smoke import check_answers
from flaskapi.versions.version import (
    ARTIFACT,
    COMPILED,
    SUBMISSIONS,
    Version,
    seal,
    write_card,
    write_submissions,
)

POINTER = "serving.json"
_MOST_CARDS = 100  # in the cache; each takes some kilobytes
_ABANDONED_S = 3600  # age from which an unfinished folder counts as abandoned
_REMOVED = ".removed."  # begins the names of folders that are to be erased


class Registry:
    """The versions in a folder.

    Several processes may use it at once. A change of the pointer holds the folder's lock.
    """

    def __init__(self, path: Path, model_path: Path, cache_path: Path) -> None:
        """Keep the paths; nothing is read or made yet.

        Args:
            path: the folder of the versions.
            model_path: the setting MODEL_PATH: the file that serves if nothing was promoted.
            cache_path: the setting CACHE_PATH: where that file's compiled form may lie.
        """
        self.path, self._model_path, self._cache_path = path, model_path, cache_path
        self._cards: dict[tuple[str, int, int], dict[str, Any]] = {}  # by name, time and size

    def add(
        self,
        artifact: Path,
        *,
        submissions: Sequence[str] | None = None,
        compiled: Path | None = None,
        is_trusted: bool = True,
    ) -> Version:
        """Register a model file, after the same checks as at the start of the service.

        A child process compiles the file, within limits of time and memory. A trusted compiled form
        is copied instead.

        The same file again gives the same version. Its mark as broken is removed.

        Args:
            artifact: any `.h5` or `.keras` model for this task; it is copied.
            submissions: the ids of the submissions that it learned from; None: from none.
            compiled: where its compiled form lies, if not beside it.
            is_trusted: whether to believe a compiled form which says that it was made from this
                file.

        Raises:
            ModelFileError: there is no such file.
            ModelUnavailableError: the model does not fit the task, or cannot be compiled; the text
                says why.
        """
        if not artifact.is_file():
            raise ModelFileError(why_no_file(artifact))
        # Not at the top: a web process registers nothing, and does not need this room.
        from flaskapi.handwriting.conventions import explain, find_convention

        with self._unfinished() as folder:
            shutil.copyfile(artifact, folder / ARTIFACT)
            sha256 = hashlib.sha256((folder / ARTIFACT).read_bytes()).hexdigest()
            there = compiled or artifact.with_suffix(".onnx")
            if is_trusted and is_compiled_from(sha256, there):
                shutil.copyfile(there, folder / COMPILED)
            else:
                try:
                    build_compiled(folder / ARTIFACT, folder / COMPILED)
                except ModelUnavailableError as error:
                    raise ModelUnavailableError(
                        str(error).replace(ARTIFACT, artifact.name, 1)
                    ) from error
            try:
                classifier = OnnxClassifier(folder / COMPILED)
                check_answers(classifier)
                finding = find_convention(classifier.probabilities)
            except ModelUnavailableError:
                raise
            except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
                raise ModelUnavailableError(f"{artifact.name} cannot answer: {error}") from error
            if finding:
                raise ModelUnavailableError(f"{artifact.name}: {explain(finding)}.")
            write_card(folder, classifier.card)
            if submissions is not None:
                write_submissions(folder / SUBMISSIONS, submissions)
            return self._place(folder, classifier.version)

    def versions(self) -> list[Version]:
        """All registered versions, the newest last."""
        found = []
        for path in self.path.glob("[!.]*/"):
            # Not a version, pruned just now, or not readable for this user.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                version = Version(path.name, path)
                found.append((version.registered_s, version))
        return [version for _, version in sorted(found)]

    def get(self, name: str) -> Version:
        """Find a version by its name, or by the eight characters of its hash.

        Raises:
            VersionError: there is no such version.
        """
        found = [
            version
            for version in self.versions()
            if name in (version.name, version.name.rpartition("-")[2])
        ]
        if not found:
            raise VersionError(
                f"There is no version {name}.{self._hint(name)} To list the versions: "
                ".venv/bin/python -m flaskapi models list"
            )
        return found[-1]

    def _hint(self, name: str) -> str:
        """Explain a name of the file of MODEL_PATH, which is not a version; empty for others."""
        if name == MODEL_FILE:
            return (
                " It is a file, which becomes a version when it is promoted. To see its card: "
                f".venv/bin/python -m flaskapi card {self._model_path}."
            )
        with contextlib.suppress(ModelUnavailableError):
            served = self.load(MODEL_FILE).version
            if name in (served, served.rpartition("-")[2]):
                return f" That is the file of the setting MODEL_PATH: name it {MODEL_FILE}."
        return ""

    def load(self, name: str) -> OnnxClassifier:
        """Load a version for serving, or the file of the setting MODEL_PATH.

        Raises:
            ModelUnavailableError: it cannot be loaded; the text says why.
        """
        if name == MODEL_FILE:
            return load_classifier(self._model_path, self._cache_path)
        try:
            classifier = OnnxClassifier(self.path / name / COMPILED)
        except ModelUnavailableError:
            raise
        except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
            raise ModelUnavailableError(f"Version {name} cannot be loaded: {error}") from error
        if classifier.version != name:
            raise ModelUnavailableError(
                f"Version {name} cannot be loaded: its folder contains {classifier.version}."
            )
        return classifier

    def card(self, name: str) -> dict[str, Any]:
        """The card of a version, or of the file of the setting MODEL_PATH, in some milliseconds.

        Raises:
            ModelUnavailableError: the card cannot be read, or that file is not compiled yet.
        """
        if name == MODEL_FILE:
            return peek_card(seek_compiled(self._model_path, self._cache_path))
        compiled = self.path / name / COMPILED
        try:
            found = compiled.stat()
        except OSError as error:
            raise ModelUnavailableError(f"{COMPILED} cannot be read: {error.strerror}.") from error
        key = (name, found.st_mtime_ns, found.st_size)
        if key not in self._cards:
            if len(self._cards) >= _MOST_CARDS:
                self._cards.clear()
            self._cards[key] = peek_card(compiled)
        return self._cards[key]

    def artifact(self, name: str) -> Path:
        """The model file of a version, or that of the setting MODEL_PATH."""
        return self._model_path if name == MODEL_FILE else self.path / name / ARTIFACT

    def stamp(self) -> tuple[int, ...]:
        """Identify the pointer's file: the value changes with the pointer, and costs one `stat`."""
        try:
            found = os.stat(self.path / POINTER)
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> Pointer:
        """Read the pointer.

        Raises:
            VersionError: it cannot be read, or is damaged.
        """
        return read_pointer(self.path / POINTER)

    def promote(self, name: str, by: str, *, instead_of: int | None = None) -> Pointer:
        """Let a version serve, after it was loaded and has answered.

        The file of MODEL_PATH is registered first: another file in its place then changes nothing.

        Args:
            name: the version, or MODEL_FILE.
            by: who promotes it.
            instead_of: the generation that it was compared with; if another serves, it is not
                promoted. None: any.

        Raises:
            VersionError: there is no such version, it failed while it served, another generation
                serves, or the pointer cannot be read.
            ModelUnavailableError: it cannot be loaded, or does not answer with probabilities.
        """
        if name == MODEL_FILE:
            name = self.add(
                self._model_path, compiled=find_compiled(self._model_path, self._cache_path)
            ).name
        name = self.get(name).name
        check_answers(self.load(name))

        def change(pointer: Pointer) -> Pointer:
            if pointer.version == name:
                return pointer
            if instead_of not in (None, pointer.generation):
                raise VersionError(
                    f"Another version was promoted meanwhile. {name} was not compared with it, so "
                    f"it is not promoted."
                )
            return pointer.promote(self.get(name).name, by)

        return self._change(change)

    def roll_back(self, by: str, *, instead_of: int | None = None) -> Pointer:
        """Go back to the latest previous version that can be loaded and answers.

        Args:
            by: who rolls back.
            instead_of: the generation to go back from; None: any. Of two callers who ask at once,
                only one then goes back.

        Raises:
            VersionError: no previous version can serve, another generation serves, or the pointer
                cannot be read.
        """

        def change(pointer: Pointer) -> Pointer:
            if instead_of not in (None, pointer.generation):
                raise VersionError(
                    f"Generation {instead_of} no longer serves; {pointer.generation} does."
                )
            why = "no earlier version still exists."
            for target in self.targets(pointer):
                try:
                    if target.version != MODEL_FILE:  # compiling that file may take minutes
                        check_answers(self.load(target.version))
                except ModelUnavailableError as error:
                    why = str(error)
                else:
                    return pointer.roll_back(target, by)
            raise VersionError(f"There is nothing to roll back to: {why}")

        return self._change(change)

    def targets(self, pointer: Pointer) -> list[Served]:
        """The versions that a roll-back tries, in this order.

        They served before, still exist, are not broken, and do not serve now.
        """
        there = {MODEL_FILE, *(version.name for version in self.versions())} - {
            pointer.version,
            *pointer.broken,
        }
        return [served for served in pointer.before if served.version in there]

    def mark_broken(self, broken: str, reason: str, target: Served, by: str) -> Pointer:
        """Mark a version that failed while it served, and go back to `target` if it still serves.

        A marked version cannot be promoted.

        Args:
            broken: the version.
            reason: why it must not serve, as a sentence.
            target: a version from `Pointer.before`.
            by: who marks it.

        Raises:
            VersionError: the pointer cannot be read.
        """
        return self._change(lambda pointer: pointer.mark_broken(broken, reason, target, by))

    def set_shadow(self, name: str | None, share: float = 0.0) -> Pointer:
        """Let a version answer beside the serving one, after it was loaded and has answered.

        Args:
            name: the version; None ends the shadow.
            share: the share of the images that it is shown, from 0 to 1.

        Raises:
            VersionError: there is no such version, it serves, or the pointer cannot be read.
            ModelUnavailableError: it cannot be loaded, or does not answer with probabilities.
        """
        if name is None:
            return self._change(lambda pointer: pointer._replace(shadow=None))
        version = self.get(name).name
        check_answers(self.load(version))

        def change(pointer: Pointer) -> Pointer:
            if version == pointer.version:
                raise VersionError(f"{version} serves, so it cannot answer in the shadow too.")
            return pointer._replace(shadow=ShadowCandidate(version, share))

        return self._change(change)

    def prune(self, keep: int) -> list[str]:
        """Remove old versions, and folders that were abandoned unfinished.

        The serving version, the one to roll back to and the one in the shadow stay.

        Args:
            keep: how many of the newest versions stay; broken ones do not count.

        Returns:
            The names of the removed versions.

        Raises:
            VersionError: the pointer cannot be read.
        """
        removed: list[str] = []

        def change(pointer: Pointer) -> Pointer:
            names = [version.name for version in self.versions()]
            sound = [name for name in names if name not in pointer.broken]
            kept = {
                *sound[max(0, len(sound) - keep) :],
                pointer.version,
                *(served.version for served in self.targets(pointer)[:1]),
            }
            kept |= {pointer.shadow.version} if pointer.shadow else set()
            removed[:] = sorted(set(names) - kept)
            return pointer.without(set(removed))

        self._change(change, removed)
        for gone in self.path.glob(".*/"):
            with contextlib.suppress(FileNotFoundError):  # another process was first
                age_s = time.time() - gone.stat().st_mtime
                if gone.name.startswith(_REMOVED) or age_s > _ABANDONED_S:
                    shutil.rmtree(gone, ignore_errors=True)
        return removed

    def _change(self, change: Callable[[Pointer], Pointer], removed: Sequence[str] = ()) -> Pointer:
        """Change the pointer, and remove the versions in `removed`, which `change` may fill."""
        self._make_folder()
        with folder_locked(self.path):
            before = self.read()
            after = change(before)
            self._set_aside(removed)
            if after != before:
                write_pointer(self.path / POINTER, after)
        return after

    def _set_aside(self, names: Iterable[str]) -> None:
        """Rename the folders of versions, so that they are gone at once; `prune` erases them."""
        for name in names:
            os.replace(self.path / name, self.path / f"{_REMOVED}{uuid.uuid4().hex}")

    def _make_folder(self) -> None:
        if not self.path.is_dir():
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o755)
            own_as_folder(self.path)

    @contextlib.contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """Make a folder for an unfinished version; it is removed at the end if it was not moved."""
        self._make_folder()
        folder = self.path / f".{uuid.uuid4().hex}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _place(self, folder: Path, name: str) -> Version:
        """Make a complete folder a version, and remove its mark as broken.

        An older folder of the same version stays, unless it is damaged.
        """
        seal(folder)
        version = Version(name, self.path / name)

        def change(pointer: Pointer) -> Pointer:
            self._put(folder, version)
            return pointer.forgive(name)

        self._change(change)
        return version

    def _put(self, folder: Path, version: Version) -> None:
        """Rename the folder to the version's. The caller holds the registry's lock."""
        if version.path.exists():
            try:
                check_answers(self.load(version.name))
                return
            except ModelUnavailableError:
                self._set_aside([version.name])
        os.rename(folder, version.path)
