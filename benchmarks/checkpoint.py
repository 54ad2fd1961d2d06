"""Results of a long measurement, kept in a file, so that it can be run in pieces."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Checkpoint:
    """What was measured already, by name; each result is a line of JSON.

    Args:
        path: where they are kept; None keeps none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        for line in whole.splitlines():
            name, value = json.loads(line)
            self._kept[name] = value
        if torn:  # by a run that was ended as it wrote
            os.truncate(path, len(whole) + 1 if whole else 0)

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def measure(self, name: str, measure: Callable[[], Any]) -> Any:
        """Give a result, which is measured if it is not known."""
        if name not in self._kept:
            self._kept[name] = measure()
            if self._path:
                with self._path.open("a") as file:
                    file.write(json.dumps([name, self._kept[name]]) + "\n")
        return self._kept[name]
