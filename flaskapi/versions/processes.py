"""What each process of a server serves: a small file for each, so that any can report all."""

import contextlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any


class Processes:
    """The processes of one server: those with the same parent. Ended processes are removed."""

    def __init__(self, path: Path) -> None:
        """`path` is a folder for all servers of the instance."""
        self._path = path
        self._here: dict[str, Any] = {}

    def publish(self, **served: Any) -> None:
        """Publish what this process serves.

        Raises:
            OSError: the file cannot be written.
        """
        pid = os.getpid()
        self._here = {"pid": pid} | served
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{pid}.{threading.get_ident()}"
        temporary.write_text(json.dumps(self._here | {"started": find_start(pid)}), "utf-8")
        os.replace(temporary, folder / f"{pid}.json")

    def beat(self) -> None:
        """Do nothing: the file lasts. Called every half second, for processes that report again."""

    def all(self) -> list[dict[str, Any]]:
        """What each process serves, by process id in rising order.

        This process is among them, even if its file could not be written.
        """
        found = {}
        for file in self._folder().glob("*.json"):
            with contextlib.suppress(
                OSError, ValueError, KeyError
            ):  # removed by another process at the same time
                one = json.loads(file.read_text("utf-8"))
                if one.pop("started") == find_start(one["pid"]):
                    found[one["pid"]] = one
                else:
                    file.unlink(missing_ok=True)
        if self._here.get("pid") == os.getpid():
            found[os.getpid()] = self._here
        return [found[pid] for pid in sorted(found)]

    def forget_servers(self) -> None:
        """Remove the folders of servers that have ended."""
        for folder in self._path.glob("*/"):
            if not Path("/proc", folder.name).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self) -> Path:
        return self._path / str(os.getppid())


def find_start(pid: int) -> str:
    """When a process was started, in ticks since boot; empty if it has ended.

    Another start under the same id is another process.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
