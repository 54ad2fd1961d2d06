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
    """A file system of some megabytes, in memory or in a file, at `path`."""

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
def why_no_disk(kind: str = "tmpfs") -> str | None:
    if os.getuid() != 0:
        return "only root can mount a disk"
    if kind == "ext4" and shutil.which("mkfs.ext4") is None:
        return "mkfs.ext4 is not installed: apt install e2fsprogs"
    with contextlib.suppress(OSError, subprocess.CalledProcessError), mounted(8, kind):
        return None
    return f"no {kind} can be mounted here"


@contextlib.contextmanager
def mounted(megabytes: int, kind: str = "tmpfs") -> Iterator[Disk]:
    """Mount a disk, in a folder that all users may enter.

    Args:
        megabytes: its size.
        kind: `tmpfs`, in memory, or `ext4`, in a file.
    """
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-disk-"))
    at = folder / "disk"
    try:
        folder.chmod(0o755)
        at.mkdir()
        if kind == "ext4":
            image = folder / "image"
            with image.open("wb") as file:
                file.truncate(megabytes << 20)
            run = functools.partial(subprocess.run, check=True, capture_output=True)
            run(["mkfs.ext4", "-q", "-F", "-m", "0", image])
            run(["mount", "-o", "loop", image, at])
        else:
            size = f"size={megabytes}m,mode=0755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", at], check=True)
        try:
            yield Disk(at)
        finally:
            subprocess.run(["umount", "--lazy", at], check=True)
    finally:
        shutil.rmtree(folder)
