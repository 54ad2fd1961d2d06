"""A real disk that is small, for tests of what happens when it is full or may only be read. Only
root can mount one.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


class Disk:
    """A file system in memory, of some megabytes, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Leave not one byte free."""
        with (self.path / "filler").open("wb", buffering=0) as file:
            for size in (1 << 16, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        (self.path / "filler").unlink()

    def set_read_only(self, is_so: bool) -> None:
        subprocess.run(["mount", "-o", f"remount,{'ro' if is_so else 'rw'}", self.path], check=True)


@functools.cache
def why_no_disk() -> str | None:
    if os.getuid() != 0:
        return "only root can mount a disk"
    with contextlib.suppress(OSError, subprocess.CalledProcessError), mounted(1):
        return None
    return "no disk can be mounted here"


@contextlib.contextmanager
def mounted(megabytes: int) -> Iterator[Disk]:
    """Mount a disk, in a folder that all users may enter."""
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-disk-"))
    try:
        folder.chmod(0o755)
        (folder / "disk").mkdir()
        subprocess.run(
            [
                "mount",
                "-t",
                "tmpfs",
                "-o",
                f"size={megabytes}m,mode=0755",
                "tmpfs",
                folder / "disk",
            ],
            check=True,
        )
        try:
            yield Disk(folder / "disk")
        finally:
            subprocess.run(["umount", "--lazy", folder / "disk"], check=True)
    finally:
        shutil.rmtree(folder)
