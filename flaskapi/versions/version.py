"""One version of the model: a folder with the model file, its compiled form and its card.

The folder of a retrained model also has the ids of the submissions that it learned from.
"""

import csv
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flaskapi.serving.compiled import run_command
from flaskapi.versions.pointer import own_as_folder

ARTIFACT, COMPILED, CARD, PICTURE, SUBMISSIONS = (
    "my_model.h5",
    "my_model.onnx",
    "README.md",
    "mistakes.png",
    "submissions.csv",
)


class Version(NamedTuple):
    """A registered version: its name, as in predictions, and its folder."""

    name: str
    path: Path

    @property
    def artifact(self) -> Path:
        return self.path / ARTIFACT

    @property
    def registered_s(self) -> float:
        """When it was registered, in seconds since 1970."""
        return self.artifact.stat().st_mtime

    @property
    def submissions(self) -> list[str] | None:
        """The ids of the submissions that it learned from; None if it learned from none.

        Raises:
            OSError, csv.Error: the list cannot be read, or is damaged.
        """
        try:
            with (self.path / SUBMISSIONS).open(encoding="utf-8", newline="") as file:
                return [row[0] for row in csv.reader(file) if row][1:]
        except FileNotFoundError:
            return None


def write_submissions(path: Path, submissions: Sequence[str]) -> None:
    """Write the ids of the submissions that a version learned from, one a line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id"], *([one] for one in submissions)])


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write the card as a page, as the command `card` does.

    If the command fails, the page shows the card in the compiled form, `card`, as JSON.
    """
    picture = folder / PICTURE
    try:
        done = run_command("card", str(folder / ARTIFACT), "--picture", str(picture))
        if done.returncode:  # most models come without a picture of their mistakes
            done = run_command("card", str(folder / ARTIFACT))
        text = done.stdout if done.returncode == 0 else ""
    except subprocess.TimeoutExpired:
        text = ""
    if not text:
        lines = [
            f"# Model card: {ARTIFACT}",
            "",
            f"- **Version** `{card['version']}`, SHA-256 `{card['sha256']}`.",
            "",
        ]
        text = "\n".join([*lines, "```json", json.dumps(card, indent=1), "```", ""])
    (folder / CARD).write_text(text, "utf-8")


def seal(folder: Path) -> None:
    """Write a folder and its files through to the disk, and let all users read them.

    Only the folder's owner may read the ids of submissions.

    Raises:
        OSError: a file cannot be written or changed.
    """
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path == folder else 0o600 if path.name == SUBMISSIONS else 0o644)
        own_as_folder(path)
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
