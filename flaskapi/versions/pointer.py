"""The pointer: a small file with the serving version, previous versions, and broken ones.

The file is replaced atomically.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from flaskapi.errors import VersionError

MODEL_FILE = (
    "MODEL_PATH"  # stands for the file of that setting, which serves if nothing was promoted
)
REMEMBERED = 50  # previous versions


class Served(NamedTuple):
    """A version, and the generation as which it serves or served."""

    version: str
    generation: int


class ShadowCandidate(NamedTuple):
    """A version that answers beside the serving one, for a share of the images, from 0 to 1."""

    version: str
    share: float


class Pointer(NamedTuple):
    """The content of the file.

    `generation` rises whenever the serving version changes. `before` has the previous versions, the
    latest first.
    """

    version: str = MODEL_FILE
    generation: int = 0
    before: tuple[Served, ...] = ()
    changed_at: str = ""  # such as 2026-11-22T09:30:00+00:00
    by: str = ""  # who changed it
    shadow: ShadowCandidate | None = None
    broken: dict[str, str] = {}  # noqa: RUF012 never changed in place; why each version must not serve

    def promote(self, version: str, by: str) -> "Pointer":
        """Let another version serve.

        Raises:
            VersionError: the version failed while it served.
        """
        if version in self.broken:
            raise VersionError(
                f"{version} failed while it served: {self.broken[version]} Register it again to "
                f"allow it."
            )
        before = (Served(self.version, self.generation), *self.before)[:REMEMBERED]
        return self._at(version, before, by)

    def roll_back(self, target: Served, by: str) -> "Pointer":
        """Go back to a version in `before`; versions after it are forgotten."""
        return self._at(target.version, self.before[self.before.index(target) + 1 :], by)

    def mark_broken(self, broken: str, reason: str, target: Served, by: str) -> "Pointer":
        """Mark a version as broken and, only if it still serves, go back to a previous one."""
        marked = (
            self if broken == MODEL_FILE else self._replace(broken=self.broken | {broken: reason})
        )
        if self.shadow and self.shadow.version == broken:
            marked = marked._replace(shadow=None)
        return (
            marked.roll_back(target, by)
            if self.version == broken and target in self.before
            else marked
        )

    def forgive(self, version: str) -> "Pointer":
        """Remove the mark of a broken version."""
        return self._replace(
            broken={name: why for name, why in self.broken.items() if name != version}
        )

    def without(self, versions: set[str]) -> "Pointer":
        """Remove versions from the pointer."""
        before = tuple(served for served in self.before if served.version not in versions)
        return self._replace(
            before=before,
            broken={name: why for name, why in self.broken.items() if name not in versions},
        )

    def _at(self, version: str, before: tuple[Served, ...], by: str) -> "Pointer":
        now = datetime.now(UTC).isoformat(timespec="seconds")
        # The serving version does not answer beside itself.
        shadow = self.shadow if self.shadow and self.shadow.version != version else None
        return self._replace(
            version=version,
            generation=self.generation + 1,
            before=before,
            changed_at=now,
            by=by,
            shadow=shadow,
        )


def read_pointer(path: Path) -> Pointer:
    """Read the file; if there is none, nothing was promoted.

    Raises:
        VersionError: the file cannot be read, or is damaged.
    """
    try:
        return from_document(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return Pointer()
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError),
        *(OverflowError, RecursionError),  # an infinite generation, nesting a thousand levels deep
    ) as error:
        raise VersionError(
            f"The pointer, {path.name}, cannot be read: {error or type(error).__name__}."
        ) from error


def from_document(found: dict[str, Any]) -> Pointer:
    """Make a pointer from a document of `to_document`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the document is damaged.
        OverflowError: a number in it is infinite.
    """
    before = tuple(Served(str(one["version"]), int(one["generation"])) for one in found["before"])
    shadow = (
        ShadowCandidate(str(found["shadow"]["version"]), float(found["shadow"]["share"]))
        if found["shadow"]
        else None
    )
    broken = {str(name): str(why) for name, why in found["broken"].items()}
    return Pointer(
        str(found["version"]),
        int(found["generation"]),
        before,
        found["changed_at"],
        found["by"],
        shadow,
        broken,
    )


def to_document(pointer: Pointer) -> dict[str, Any]:
    """Turn the pointer into values that JSON has."""
    return pointer._asdict() | {
        "before": [served._asdict() for served in pointer.before],
        "shadow": pointer.shadow._asdict() if pointer.shadow else None,
    }


def write_pointer(path: Path, pointer: Pointer) -> None:
    """Replace the file. All may read it; if root writes it, the folder's owner becomes its owner.

    The caller holds the folder's lock.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(to_document(pointer), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        own_as_folder(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def own_as_folder(path: Path) -> None:
    """Give a file that root made to the owner of its folder, who runs the service."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
