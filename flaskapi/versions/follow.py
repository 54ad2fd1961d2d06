"""Follow the pointer: load the version that should serve beside the current one, then switch."""

import logging
import math
import time

from flaskapi.errors import ModelUnavailableError, VersionError
from flaskapi.serving.classifier import NoClassifier
from flaskapi.versions.lease import Loaded
from flaskapi.versions.loading import Load
from flaskapi.versions.pointer import MODEL_FILE, Pointer, Served
from flaskapi.versions.registry import Registry

RETRY_S = 5.0  # after which a version that could not be loaded is tried again
log = logging.getLogger("flaskapi")


class Follower:
    """The serving version of this process, and the reason if it is not the one that should serve.

    `look` follows the pointer. Between two looks nothing changes here, unless a `Fallback` lets
    another version serve.
    """

    def __init__(self, registry: Registry, load: Load) -> None:
        """Load the version that should serve, or a previous one; otherwise keep the reason."""
        self._registry, self._load = registry, load
        self._stamp: tuple[int, ...] | None = None  # of the pointer's file when it was read
        self._retry_at_s = math.inf
        self.broken_here: set[Served] = set()  # failed in this process, and not loaded again
        self.pointer = Pointer()
        self.refused = ""  # why the version that should serve does not; empty if it does
        self.now = self._load_first()

    def has_changed(self) -> bool:
        """Has the pointer changed since it was read?"""
        return self._registry.stamp() != self._stamp

    def look(self) -> bool:
        """Follow the pointer if it has changed, or if it is time to retry; say whether it did."""
        stamp = self._registry.stamp()
        if stamp == self._stamp and time.monotonic() < self._retry_at_s:
            return False
        self._stamp, self._retry_at_s = stamp, math.inf
        try:
            self.pointer = self._registry.read()
        except VersionError as error:
            self._refuse(str(error))
        else:
            self._follow(Served(self.pointer.version, self.pointer.generation))
        return True

    def _load_first(self) -> Loaded:
        try:
            self._stamp, self.pointer = self._registry.stamp(), self._registry.read()
        except VersionError as error:
            self._refuse(str(error))
        wanted = Served(self.pointer.version, self.pointer.generation)
        reason = ""
        for served in dict.fromkeys((wanted, *self.pointer.before, Served(MODEL_FILE, 0))):
            if served.version in self.pointer.broken:
                continue
            try:
                loaded = Loaded(served, self._load(served.version))
            except ModelUnavailableError as error:
                log.error("not ready: %s", error)
                reason = reason or str(error)
            else:
                log.info("ready: model %s, generation %s", loaded.version, served.generation)
                break
        else:
            loaded = Loaded(Served(MODEL_FILE, 0), NoClassifier(reason))
        # The file of MODEL_PATH is not tried repeatedly: each attempt might compile it.
        if reason and wanted.version != MODEL_FILE:
            self._refuse(_does_not_serve(wanted, reason))
        return loaded

    def _follow(self, wanted: Served) -> None:
        now = self.now
        if wanted == now.served:
            self.refused = ""
        elif wanted not in self.broken_here:
            try:
                # That file may have been replaced since it was loaded; a version never is.
                same = wanted.version == now.served.version != MODEL_FILE
                self.now = Loaded(wanted, now.classifier if same else self._load(wanted.version))
            except ModelUnavailableError as error:
                self._refuse(_does_not_serve(wanted, str(error)))
            else:
                self.refused = ""
                log.info(
                    "model %s, generation %s, serves from now on",
                    self.now.version,
                    wanted.generation,
                )

    def _refuse(self, reason: str) -> None:
        if reason != self.refused:
            log.error("%s", reason)
        self.refused, self._retry_at_s = reason, time.monotonic() + RETRY_S


def _does_not_serve(wanted: Served, reason: str) -> str:
    return f"{wanted.version}, generation {wanted.generation}, does not serve here: {reason}"
