"""Fall back: if the serving version fails, the previous version answers and takes its place."""

import logging
import os

from flaskapi.arrays import Floats
from flaskapi.errors import FlaskapiError, ModelUnavailableError, VersionError
from flaskapi.versions.follow import Follower
from flaskapi.versions.lease import Loaded
from flaskapi.versions.loading import Load
from flaskapi.versions.pointer import Served
from flaskapi.versions.registry import Registry

log = logging.getLogger("flaskapi")


class Fallback:
    """Answers in place of a version that failed.

    If another version can answer the request, the failed version was at fault: it does not serve
    again, here or anywhere. If the other version fails too, the request was at fault.
    """

    def __init__(self, registry: Registry, load: Load, follower: Follower) -> None:
        self._registry, self._load, self._follower = registry, load, follower

    def answer(self, broken: Loaded, batch: Floats, error: Exception) -> tuple[Loaded, Floats]:
        """Answer a batch at which a version failed.

        Args:
            broken: the version.
            batch: `float32 (n, 28, 28, 1)`.
            error: the error that it raised.

        Returns:
            The version that answered, and its answers, `float32 (n, 10)`.

        Raises:
            Exception: the given error: no other version can answer either.
        """
        still_serves = self._follower.now.classifier is broken.classifier
        other = self._load_before(broken.served) if still_serves else self._follower.now
        if other is None:
            raise error
        try:
            answers = other.answer(batch)
        except Exception:
            raise error from None
        if still_serves:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            other = self._replace(self._follower.now, other, reason)
        return other, answers

    def _load_before(self, broken: Served) -> Loaded | None:
        """Load the most recent previous version that can be loaded."""
        try:
            before = self._registry.targets(self._registry.read())
        except (VersionError, OSError):
            before = []
        for served in before:
            if served.version != broken.version:
                try:
                    return Loaded(served, self._load(served.version))
                except ModelUnavailableError as error:
                    log.error("%s cannot serve as the previous version: %s", served.version, error)
        return None

    def _replace(self, broken: Loaded, other: Loaded, reason: str) -> Loaded:
        """Let another version serve here, and in all processes if the failed one still does."""
        follower, name = self._follower, broken.served.version
        follower.broken_here.add(broken.served)
        try:
            pointer = follower.pointer = self._registry.mark_broken(
                name, reason, other.served, f"process {os.getpid()}"
            )
            if pointer.version == other.served.version:
                other = other._replace(served=Served(pointer.version, pointer.generation))
            follower.refused = ""
        except (OSError, FlaskapiError) as error:
            follower.refused = (
                f"{name}, generation {broken.served.generation}, broke: {reason} "
                f"It cannot be rolled back for all: {error}"
            )
        generation = broken.served.generation
        log.error("model %s, generation %s, broke: %s", broken.version, generation, reason)
        log.error(
            "model %s, generation %s, serves in its place", other.version, other.served.generation
        )
        follower.now = other
        return other
