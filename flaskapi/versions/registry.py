"""The versions of the model: a folder for each, written whole or not at all, and the pointer to the
serving one.
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
    """The versions in a folder. Several processes may use it at once; changes of the pointer hold
    the folder's lock.
    """

    def __init__(self, path: Path, model_path: Path, cache_path: Path) -> None:
        """`model_path` and `cache_path` are the settings of those names: the model that serves if
        nothing was promoted.
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
        """Register a model file, checked as at the start.

        It is compiled in a child process, bounded in time and memory, unless a compiled form lies
        beside it that is trusted.

        The same file again is the same version; if that was marked as broken, it may be taken
        again.

        Args:
            artifact: any `.h5` or `.keras` model for this task; it is copied.
            submissions: the ids of those that it was learned from, where it was.
            compiled: where its compiled form lies, if not beside it.
            is_trusted: a compiled form that names the file as its source was made from it, here.

        Raises:
            ModelFileError: there is no such file.
            ModelUnavailableError: it does not fit the task, or cannot be compiled; the text says
                why.
        """
        if not artifact.is_file():
            raise ModelFileError(why_no_file(artifact))
        # Not at the top: a web process, which registers nothing, needs none of it.
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
        """All that are registered, the newest last."""
        found = []
        for path in self.path.glob("[!.]*/"):
            # No version, one that was pruned just now, or one that is somebody else's.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                version = Version(path.name, path)
                found.append((version.registered_s, version))
        return [version for _, version in sorted(found)]

    def get(self, name: str) -> Version:
        """Find a version by its name, or by the eight signs of its hash.

        Raises:
            VersionError: there is none.
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
        """What was most likely meant: the file of the setting MODEL_PATH, which is no version."""
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
            ModelUnavailableError: it cannot be; the text says why.
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
            ModelUnavailableError: it cannot be read, or that file is not compiled yet.
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
        """Changes whenever the pointer does, and costs next to nothing to ask for."""
        try:
            found = os.stat(self.path / POINTER)
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> Pointer:
        """What serves.

        Raises:
            VersionError: it cannot be told.
        """
        return read_pointer(self.path / POINTER)

    def promote(self, name: str, by: str, *, instead_of: int | None = None) -> Pointer:
        """Let a version serve, after it was loaded and has answered.

        Args:
            name: of the version, or MODEL_FILE, of which a version is made, so that another file in
                its place changes nothing.
            by: who says so.
            instead_of: the generation that it was found better than, where it was; in place of
                another it does not serve.

        Raises:
            VersionError: there is none of this name, it broke while it served, another generation
                serves, or what serves cannot be told.
            ModelUnavailableError: it cannot be loaded, or answers no probabilities.
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
                    f"Another version was promoted meanwhile; {name} was not compared with it, so "
                    f"it is not promoted."
                )
            return pointer.promote(self.get(name).name, by)

        return self._change(change)

    def roll_back(self, by: str, *, instead_of: int | None = None) -> Pointer:
        """Let serve again what served before, the last of it that can be loaded and answers.

        Args:
            by: who says so.
            instead_of: the generation that is to serve no more, where it was named: of two who ask
                at once, one goes back.

        Raises:
            VersionError: nothing did that is still there, not broken and whole, or another
                generation serves.
        """

        def change(pointer: Pointer) -> Pointer:
            if instead_of not in (None, pointer.generation):
                raise VersionError(
                    f"Generation {instead_of} no longer serves; {pointer.generation} does."
                )
            why = "no earlier version still exists."
            for target in self.targets(pointer):
                try:
                    if target.version != MODEL_FILE:  # which might be compiled first, for minutes
                        check_answers(self.load(target.version))
                except ModelUnavailableError as error:
                    why = str(error)
                else:
                    return pointer.roll_back(target, by)
            raise VersionError(f"There is nothing to roll back to: {why}")

        return self._change(change)

    def targets(self, pointer: Pointer) -> list[Served]:
        """What a roll-back may lead to, the first one first: what is still there, not broken, and
        does not serve already.
        """
        there = {MODEL_FILE, *(version.name for version in self.versions())} - {
            pointer.version,
            *pointer.broken,
        }
        return [served for served in pointer.before if served.version in there]

    def mark_broken(self, broken: str, reason: str, target: Served, by: str) -> Pointer:
        """Mark a version that broke while it served, so that it is not taken again, and go back to
        `target` if it still serves.
        """
        return self._change(lambda pointer: pointer.mark_broken(broken, reason, target, by))

    def set_shadow(self, name: str | None, share: float = 0.0) -> Pointer:
        """Let a version answer beside the one that serves, after it was loaded and has answered;
        None ends that.

        Raises:
            VersionError: there is none of this name, or it is the one that serves.
            ModelUnavailableError: it cannot be loaded, or answers no probabilities.
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
        """Remove all versions but the newest `keep`, the one that serves, the one to roll back to,
        and the one in the shadow.

        Gives the names of what was removed; what was abandoned unfinished is removed too.
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
        """Change the pointer, and remove versions with the names that are in `removed` by then."""
        self._make_folder()
        with folder_locked(self.path):
            before = self.read()
            after = change(before)
            self._set_aside(removed)
            if after != before:
                write_pointer(self.path / POINTER, after)
        return after

    def _set_aside(self, names: Iterable[str]) -> None:
        """Take versions away; `prune` erases them."""
        for name in names:
            os.replace(self.path / name, self.path / f"{_REMOVED}{uuid.uuid4().hex}")

    def _make_folder(self) -> None:
        if not self.path.is_dir():
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o755)
            own_as_folder(self.path)

    @contextlib.contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """Give a folder to put a version together in, which is gone afterwards unless it was moved
        away.
        """
        self._make_folder()
        folder = self.path / f".{uuid.uuid4().hex}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _place(self, folder: Path, name: str) -> Version:
        """Give a folder that is whole its name; one that is there already stays, unless it is
        damaged.
        """
        seal(folder)
        version = Version(name, self.path / name)

        def change(pointer: Pointer) -> Pointer:
            self._put(folder, version)
            return pointer.forgive(name)

        self._change(change)
        return version

    def _put(self, folder: Path, version: Version) -> None:
        """Give the folder its name. The caller holds the folder's lock."""
        if version.path.exists():
            try:
                check_answers(self.load(version.name))
                return
            except ModelUnavailableError:
                self._set_aside([version.name])
        os.rename(folder, version.path)
