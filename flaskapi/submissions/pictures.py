"""Where the bytes of large images lie, if not in the database: a folder, or an object store.

Names are new for each image that is written, so that nothing is ever written over, and what one
process erases is never what another has just written. `outside` has the rows that go with them.
"""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from flaskapi.errors import SettingError, StoreUnavailableError
from flaskapi.submissions.identifiers import new_id

ABOVE_BYTES = 65_536
# Of requests to S3; others have limits of their own.
_S3_OPTIONS = {"connect_timeout": 2, "read_timeout": 5, "retries": {"max_attempts": 1}}
_PUBLIC = "The pictures outside the database cannot be used; the service's log has the reason."
_REMOTE = dict.fromkeys(("s3", "gs", "gcs"), "--constraint requirements.txt --editable '.[remote]'")


class ObjectStore(Protocol):
    """A place of named bytes. Each method raises an error of its library."""

    def write(self, name: str, content: bytes) -> None:
        """Write bytes, whole or not at all. When this returns, they are kept."""

    def read(self, name: str) -> bytes:
        """Read bytes.

        Raises:
            FileNotFoundError: there is nothing of this name.
        """

    def erase(self, name: str) -> None:
        """Erase bytes, if they are there."""


class Folder:
    """A folder of files, in a folder for each day."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str, content: bytes) -> None:
        target = self._path / name
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self._path)
        unfinished = target.with_name(f".{target.name}")
        try:
            with open(unfinished, "wb", opener=_for_nobody_else) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        _sync(target.parent)

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def erase(self, name: str) -> None:
        target = self._path / name
        target.with_name(f".{target.name}").unlink(missing_ok=True)
        target.unlink(missing_ok=True)  # the day's folder stays: another may be writing there


class Bucket:
    """A folder of an object store, by fsspec."""

    def __init__(self, address: str) -> None:
        """Make it for an address such as `s3://bucket/folder`; it connects when it is first used.

        Raises:
            SettingError: no library for it is installed.
        """
        kind = address.partition("://")[0]
        try:
            import fsspec  # not at the top: whoever keeps pictures elsewhere needs no such library

            fsspec.get_filesystem_class(kind)
        except (ImportError, ValueError) as error:
            library = _REMOTE.get(kind, f"the library of fsspec for {kind}")
            raise SettingError(
                f"PICTURES is {address}, for which a library is missing: {error}. "
                f".venv/bin/pip install {library}"
            ) from error
        self._address, self._kind = address, kind
        self._process, self._opened = 0, (None, "")

    def write(self, name: str, content: bytes) -> None:
        files, root = self._open()
        files.pipe_file(f"{root}/{name}", content)

    def read(self, name: str) -> bytes:
        files, root = self._open()
        content: bytes = files.cat_file(f"{root}/{name}")
        return content

    def erase(self, name: str) -> None:
        files, root = self._open()
        with contextlib.suppress(FileNotFoundError):
            files.rm_file(f"{root}/{name}")

    def _open(self) -> tuple[Any, str]:
        """The file system and the folder in it, opened again in a forked process."""
        import fsspec

        if self._process != os.getpid():
            options = {"config_kwargs": _S3_OPTIONS} if self._kind == "s3" else {}
            files, root = fsspec.url_to_fs(
                self._address, use_listings_cache=False, skip_instance_cache=True, **options
            )
            self._opened, self._process = (files, root.rstrip("/")), os.getpid()
        return self._opened


class Pictures(NamedTuple):
    """Where images above a size lie. Every method raises StoreUnavailableError if it fails."""

    place: ObjectStore
    above_bytes: int = ABOVE_BYTES

    def write(self, name: str, content: bytes) -> None:
        """Write an image; see `ObjectStore.write`."""
        with _told():
            self.place.write(name, content)

    def read(self, name: str) -> bytes | None:
        """Read an image; None if it is not there."""
        with _told():
            try:
                return self.place.read(name)
            except FileNotFoundError:
                return None

    def erase(self, name: str) -> None:
        """Erase an image, if it is there."""
        with _told():
            self.place.erase(name)


def open_pictures(address: str | None, above_bytes: int) -> Pictures | None:
    """The place of the setting PICTURES: the path of a folder, or an address; None: the database.

    Raises:
        SettingError: no library for it is installed.
    """
    if address is None:
        return None
    place: ObjectStore = Bucket(address) if "://" in address else Folder(Path(address))
    return Pictures(place, above_bytes)


def new_name() -> str:
    """A name that was never used, below that of the day."""
    return f"{datetime.now(UTC):%Y-%m-%d}/{new_id()}"


@contextlib.contextmanager
def _told() -> Any:
    """What a library says, as an error of ours; each library has errors of its own."""
    try:
        yield
    except Exception as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise StoreUnavailableError(
            f"The pictures outside the database cannot be used: {said[0]}", public=_PUBLIC
        ) from error


def _for_nobody_else(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
