"""Where everything lies: each version of the code in a folder of its own, and one link that says
which of them serves.

    /var/www/flaskapi/releases/20261130T120000/   code, models and .venv, root's, never changed
    /var/www/flaskapi/current, previous           links to two of them
    /var/www/flaskapi/instance, versions          what the service writes, www-data's
    /var/www/flaskapi/apache/                     mod_wsgi, which all releases share
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

# What a release is made of; tests, benchmarks and what is written elsewhere stay behind.
PARTS = ("flaskapi", "models", "deploy", "examples", "pyproject.toml", "requirements.txt")
PARTS += ("README.md", "LICENSE", "train_mnist.py")
NOTE = "release.json"
KEPT = 3  # releases, with the current one


class Place(NamedTuple):
    """The folders of an installation."""

    root: Path = Path("/var/www/flaskapi")
    logs: Path = Path("/var/log/flaskapi")
    backups: Path = Path("/var/backups/flaskapi")
    apache: Path = Path("/etc/apache2")
    units: Path = Path("/etc/systemd/system")

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def instance(self) -> Path:
        return self.root / "instance"

    @property
    def versions(self) -> Path:
        return self.root / "versions"

    @property
    def current(self) -> Path:
        return self.root / "current"

    def find(self, name: str) -> Path | None:
        """The release that a link leads to, `current` or `previous`."""
        link = self.root / name
        return link.resolve() if link.is_symlink() and link.exists() else None


def find_digest(source: Path) -> str:
    """A digest of all files that a release is made of."""
    digest = hashlib.sha256()
    for path in sorted(_files(source)):
        digest.update(f"{path.relative_to(source)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(source: Path) -> Iterator[Path]:
    for part in PARTS:
        for path in [source / part, *(source / part).rglob("*")]:
            inner = path.relative_to(source)
            is_own = not inner.is_relative_to("models/versions")
            is_own = is_own and not any(
                one.startswith(".") or one == "__pycache__" for one in inner.parts
            )
            if is_own and path.is_file() and not path.is_symlink():
                yield path


def copy_code(source: Path, place: Place, *, now: datetime | None = None) -> Path:
    """Copy a checkout into a new release, whose instance folder and versions are the shared ones.

    It has no environment yet, and no link leads to it.
    """
    name = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S")
    release = place.releases / name
    release.mkdir(parents=True)
    release.chmod(0o755)
    for path in _files(source):
        target = release / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
    (release / "instance").symlink_to(place.instance)
    (release / "models" / "versions").symlink_to(place.versions)
    note = {"made_at": name, "digest": find_digest(source)}
    (release / NOTE).write_text(json.dumps(note), "utf-8")
    return release


def read_note(release: Path) -> dict[str, Any]:
    """What is known of a release."""
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((release / NOTE).read_text("utf-8"))
        return found
    return {}


def add_note(release: Path, **more: Any) -> None:
    """Note more of a release."""
    (release / NOTE).write_text(json.dumps(read_note(release) | more), "utf-8")


def point(place: Place, name: str, release: Path | None) -> None:
    """Let a link lead to a release, in one step, or to none."""
    link = place.root / name
    if release is None:
        link.unlink(missing_ok=True)
        return
    temporary = place.root / f".{name}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(release.relative_to(place.root))
    os.replace(temporary, link)


def remove_old(place: Place, keep: int = KEPT) -> list[Path]:
    """Remove all releases but the newest and those that links lead to; gives what was removed."""
    linked = {place.find("current"), place.find("previous")}
    others = [one for one in sorted(place.releases.iterdir()) if one not in linked]
    many = max(0, len(others) - max(0, keep - len(linked - {None})))
    for release in others[:many]:
        shutil.rmtree(release)
    return others[:many]
