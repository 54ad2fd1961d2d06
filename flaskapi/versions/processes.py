"""What each process of a server serves: a small file for each, so that any of them can tell of
all.
"""

import contextlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any


class Processes:
    """The processes that share a parent, as all of one server do; those that are gone are
    forgotten.
    """

    def __init__(self, path: Path) -> None:
        """`path` is a folder for all servers that there may be."""
        self._path = path
        self._here: dict[str, Any] = {}

    def publish(self, **served: Any) -> None:
        """Say what this process serves.

        Raises:
            OSError: it cannot be written.
        """
        pid = os.getpid()
        self._here = {"pid": pid} | served
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{pid}.{threading.get_ident()}"
        temporary.write_text(json.dumps(self._here | {"started": _started(pid)}), "utf-8")
        os.replace(temporary, folder / f"{pid}.json")

    def all(self) -> list[dict[str, Any]]:
        """What each process serves, in the order of their ids; this one is there even where nothing
        could be written.
        """
        found = {}
        for file in self._folder().glob("*.json"):
            with contextlib.suppress(
                OSError, ValueError, KeyError
            ):  # gone, by another process that noticed the same
                one = json.loads(file.read_text("utf-8"))
                if one.pop("started") == _started(one["pid"]):
                    found[one["pid"]] = one
                else:
                    file.unlink(missing_ok=True)
        if self._here.get("pid") == os.getpid():
            found[os.getpid()] = self._here
        return [found[pid] for pid in sorted(found)]

    def forget_servers(self) -> None:
        """Remove the folders of servers that are gone."""
        for folder in self._path.glob("*/"):
            if not Path("/proc", folder.name).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self) -> Path:
        return self._path / str(os.getppid())


def _started(pid: int) -> str:
    """When a process was started, in ticks since the machine was, so that no later process of its
    id is taken for it; empty: it is gone.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
