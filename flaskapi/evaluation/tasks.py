"""Labels from Label Studio, read from its JSON (Export, "JSON" or "JSON-MIN").

https://labelstud.io/guide/export
"""

import base64
import contextlib
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from flaskapi.errors import DatasetError

# What Label Studio puts before the name of a file that was uploaded.
_UPLOADED = re.compile("^[0-9a-f]{8}-")
# Of each kind of control, the member of its value that has what was said.
_SAID = {"choices": "choices", "textarea": "text", "number": "number"}
_CONTROLS = ("digit", "number", "label", "choice")  # in JSON-MIN, whose tasks are flat


class Task(NamedTuple):
    """A labelled task. `read_image` finds its image."""

    name: str  # for messages
    label: str  # as it was written, with `|` between lines
    image: str  # a data: URL, or where the file is
    submission: str | None  # the id of the submission that it was exported from
    sha256: str | None  # of what was sent, as `export` wrote it


def read_tasks(path: Path) -> list[Task]:
    """Return the labelled tasks. Of several annotations the newest counts.

    Raises:
        DatasetError: the file is of another form.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read as JSON: {error}.") from error
    if not isinstance(document, list) or not all(isinstance(task, dict) for task in document):
        raise DatasetError(f"{path}: expected a list of tasks, as Label Studio exports them.")
    # JSON-MIN has an entry for each annotation, all with the id of their task.
    newest: dict[Any, tuple[str, Task]] = {}
    for place, entry in enumerate(document):
        if (said := _find_label(entry)) is None:
            continue
        moment, label = said
        task = _make_task(entry, label, f"task {entry.get('id', place)}", path)
        if task.name not in newest or newest[task.name][0] <= moment:
            newest[task.name] = (moment, task)
    return [task for _, task in newest.values()]


def _make_task(entry: dict[str, Any], label: str, name: str, path: Path) -> Task:
    data = entry["data"] if isinstance(entry.get("data"), dict) else entry
    image, *more = (
        value if isinstance(value := data.get(name), str) else None
        for name in ("image", "submission", "sha256")
    )
    if image is None:
        raise DatasetError(f"{path}: {name} has no 'image' in its data.")
    return Task(name, label, image, *more)


def read_image(image: str, folder: Path) -> bytes:
    """Return the file of a task's image.

    Args:
        image: its name in the task.
        folder: where files are looked for, by their names and the folders before them; nothing is
            downloaded, and nothing outside the folder is read.

    Raises:
        DatasetError: there is none.
        OSError: it cannot be read.
    """
    if image.startswith("data:"):
        try:
            return base64.b64decode(image.partition(",")[2], validate=True)
        except ValueError as error:
            raise DatasetError("Its image is not base64.") from error
    for name in _names(image):
        with contextlib.suppress(ValueError):  # no file can be called so
            if path := _find_file(name, folder.resolve()):
                return path.read_bytes()
    raise DatasetError(f"Its image, {image[:100]!r}, is not among the files in {folder}.")


def _find_file(name: str, root: Path) -> Path | None:
    """Find a file in a folder, by its name and as many of the folders before it as exist."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    for start in range(len(parts)):
        *folders, last = parts[start:]
        for candidate in (last, _UPLOADED.sub("", last)):
            path = root.joinpath(*folders, candidate).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
    return None


def _names(image: str) -> Iterator[str]:
    """The possible names of an image's file, from a path or an address in a task."""
    yield image
    with contextlib.suppress(ValueError):
        address = urllib.parse.urlsplit(image)
        yield from urllib.parse.parse_qs(address.query).get("d", [])  # of local files
        yield urllib.parse.unquote(address.path)


def _find_label(entry: dict[str, Any]) -> tuple[str, str] | None:
    """The time of a task's label, as text that sorts, and the label; None if it has none."""
    annotations = entry.get("annotations")
    if not isinstance(annotations, list):  # JSON-MIN
        said = _as_text(next((entry[name] for name in _CONTROLS if name in entry), None))
        return None if said is None else (_moment(entry), said)
    found = [
        (_moment(one), said)
        for one in annotations
        if isinstance(one, dict)
        and not one.get("was_cancelled")
        and (said := _find_said(one.get("result"))) is not None
    ]
    return max(found, key=lambda one: one[0], default=None)


def _moment(one: dict[str, Any]) -> str:
    return str(one.get("updated_at") or one.get("created_at") or "")


def _find_said(results: Any) -> str | None:
    for result in results if isinstance(results, list) else ():
        if isinstance(result, dict) and isinstance(value := result.get("value"), dict):
            member = _SAID.get(str(result.get("type")))
            if member in value:
                return _as_text(value[member])
    return None


def _as_text(said: Any) -> str | None:
    """A label as text; several texts are lines."""
    if isinstance(said, dict):
        said = said.get("choices", said.get("text"))
    if isinstance(said, list):
        said = "|".join(str(one) for one in said) if said else None
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    return None if said is None else "|".join(str(said).strip().split("\n")).replace(" ", "")
