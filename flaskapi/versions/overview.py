"""A description of each version, for the command `models list` and for operators."""

import contextlib
import csv
from typing import Any, NamedTuple

from flaskapi.errors import ModelUnavailableError
from flaskapi.versions.pointer import MODEL_FILE, Pointer
from flaskapi.versions.registry import Registry
from flaskapi.versions.version import Version

# The figures of a card that can be compared with another's.
COMPARED = ("date", "network", "weights", "hours", "accuracy", "evaluation")


class VersionOverview(NamedTuple):
    """A version, or the file of the setting MODEL_PATH, which is not a version."""

    name: str
    registered_s: float | None  # seconds since 1970; None for MODEL_PATH
    learned: int | None  # how many submissions it learned from; None if it learned from none
    card: dict[str, Any]  # empty if it cannot be read
    trouble: str | None  # why the card cannot be read
    serves: bool
    share: float | None  # of the digits that it is shown as the shadow
    broke: str | None  # why it must not serve

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of its card that can be compared with another's."""
        return {name: self.card[name] for name in COMPARED if name in self.card}


def describe_version(
    registry: Registry, pointer: Pointer, version: Version | None
) -> VersionOverview:
    """Describe a version; None stands for the file of MODEL_PATH.

    This takes some milliseconds, because the model is not loaded.
    """
    name = version.name if version else MODEL_FILE
    learned, card, trouble = None, dict[str, Any](), None
    if version:
        # Only the folder's owner may read the ids, and a damaged list must not hide the version.
        with contextlib.suppress(OSError, ValueError, csv.Error):
            submissions = version.submissions
            learned = None if submissions is None else len(submissions)
    try:
        card = registry.card(name)
    except ModelUnavailableError as error:
        trouble = str(error)
    return VersionOverview(
        name,
        version.registered_s if version else None,
        learned,
        card,
        trouble,
        name == pointer.version,
        pointer.shadow.share if pointer.shadow and name == pointer.shadow.version else None,
        pointer.broken.get(name),
    )
