"""Which version answers in this process, switched while it serves: what is new is loaded beside it,
then takes its place in one step.
"""

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from flaskapi.arrays import Floats
from flaskapi.errors import FlaskapiError, ModelUnavailableError, VersionError
from flaskapi.reading.protocols import Classifier
from flaskapi.serving.classifier import NoClassifier
from flaskapi.versions.lease import Lease, Loaded
from flaskapi.versions.memory import free_memory
from flaskapi.versions.pointer import MODEL_FILE, Candidate, Pointer, Served
from flaskapi.versions.processes import Processes
from flaskapi.versions.registry import Registry
from flaskapi.versions.shadow import Keep, Shadow
from flaskapi.versions.smoke import check_answers

LOOK_S = 0.5  # between two looks at the pointer; all processes serve what was promoted within 2 s
RETRY_S = 5.0  # after which a version that could not be loaded is tried again
log = logging.getLogger("flaskapi")


class Switch:
    """The classifier of this process. `take` gives it for one request; `watch` sees to it that the
    pointer is followed.
    """

    def __init__(
        self,
        registry: Registry,
        processes: Processes,
        *,
        load: Callable[[str], Classifier] | None = None,
        warm: Callable[[Classifier], None] = lambda _: None,
        keep: Keep | None = None,
    ) -> None:
        """Load what is to serve, or what served before it; nothing is watched yet.

        Args:
            registry: tells what is to serve.
            processes: is told what serves.
            load: loads a version by its name; by default from the registry.
            warm: is given each classifier before it serves.
            keep: is given what a candidate in the shadow answered.
        """
        self._registry, self._processes, self._warm, self._keep = registry, processes, warm, keep
        self._load = load or registry.load
        self._stamp: tuple[int, ...] | None = None
        self._retry_at_s = math.inf
        self._left: set[Served] = set()  # what broke in this process
        self._candidate: Candidate | None = None
        self._untrimmed = False
        self._pointer = Pointer()
        self.refused = ""  # why what is to serve does not, if so
        self.shadow: Shadow | None = None
        self._reset()
        self._now = self._begin()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self) -> Lease:
        """Give what serves at this moment, for one request."""
        return Lease(self, self._now)

    @property
    def broken(self) -> dict[str, str]:
        """The versions that broke while they served, each with the reason."""
        return self._pointer.broken

    def processes(self) -> list[dict[str, Any]]:
        """What each process of this server serves."""
        return self._processes.all()

    def watch(self) -> None:
        """See to it that a thread of this process follows the pointer; one that was forked has none
        yet, and looks before it answers.
        """
        if self._process == os.getpid() and self._thread is not None and self._thread.is_alive():
            return
        if self._process != os.getpid():
            self._reset()
            self._show(None)
        with self._looking:
            if self._thread is None or not self._thread.is_alive():
                self._processes.forget_servers()
                self._look()
                self._follow_shadow()
                self._tell()
                self._thread = threading.Thread(
                    target=_keep_looking, args=(weakref.ref(self),), name="versions", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """End the threads."""
        self._thread = None
        self._show(None)

    def look(self) -> None:
        """Follow the pointer if it has changed; if not, there is time to tidy up."""
        with self._looking:
            if self._untrimmed and self._registry.stamp() == self._stamp:
                free_memory()
                self._untrimmed = False
            self._look()

    def _look(self) -> None:
        stamp = self._registry.stamp()
        if stamp == self._stamp and time.monotonic() < self._retry_at_s:
            return
        self._stamp, self._retry_at_s, self._untrimmed = stamp, math.inf, True
        before = self._now.served, self.refused
        try:
            self._pointer = self._registry.read()
        except VersionError as error:
            self._refuse(str(error))
        else:
            self._follow(Served(self._pointer.version, self._pointer.generation))
            self._follow_shadow()
        if before != (self._now.served, self.refused):
            self._tell()

    def leave(self, broken: Loaded, batch: Floats, error: Exception) -> tuple[Loaded, Floats]:
        """Answer in place of a version that failed; where that succeeds, it was the version's
        fault, and it does not serve again.

        Raises:
            Exception: the error that was given: there is nothing else to answer with, or that fails
                too.
        """
        with self._looking:
            still_serves = self._now.classifier is broken.classifier
            other = self._load_before(broken.served) if still_serves else self._now
            if other is None:
                raise error
            try:
                answers = other.answer(batch)
            except Exception:
                raise error from None
            if still_serves:
                other = self._replace(
                    self._now, other, f"{type(error).__name__}: {error}".splitlines()[0]
                )
        return other, answers

    def _begin(self) -> Loaded:
        """Load what is to serve; where that cannot be, what served before."""
        try:
            self._stamp, self._pointer = self._registry.stamp(), self._registry.read()
        except VersionError as error:
            self._refuse(str(error))
        wanted = Served(self._pointer.version, self._pointer.generation)
        reason = ""
        possible = dict.fromkeys((wanted, *self._pointer.before, Served(MODEL_FILE, 0)))
        for served in (served for served in possible if served.version not in self._pointer.broken):
            try:
                loaded = Loaded(served, self._try(served.version))
            except ModelUnavailableError as error:
                log.error("not ready: %s", error)
                reason = reason or str(error)
            else:
                log.info(
                    "ready: model %s, generation %s", loaded.classifier.version, served.generation
                )
                break
        else:
            loaded = Loaded(Served(MODEL_FILE, 0), NoClassifier(reason))
        if (
            reason and wanted.version != MODEL_FILE
        ):  # that file is not tried again and again: each time it might be compiled
            self._refuse(_does_not_serve(wanted, reason))
        return loaded

    def _try(self, version: str) -> Classifier:
        """Load a version, let it answer, warm it up.

        Raises:
            ModelUnavailableError: any of these failed.
        """
        try:
            classifier = self._load(version)
            check_answers(classifier)
            self._warm(classifier)
        except FlaskapiError as error:
            raise ModelUnavailableError(str(error)) from error
        except Exception as error:  # whatever a model comes up with
            raise ModelUnavailableError(f"{version} cannot answer: {error}") from error
        return classifier

    def _follow(self, wanted: Served) -> None:
        now = self._now
        if wanted == now.served:
            self.refused = ""
        elif wanted not in self._left:
            try:
                # That file may be another than when it was loaded; a version never is.
                same = wanted.version == now.served.version != MODEL_FILE
                self._now = Loaded(wanted, now.classifier if same else self._try(wanted.version))
            except ModelUnavailableError as error:
                self._refuse(_does_not_serve(wanted, str(error)))
            else:
                self.refused = ""
                log.info(
                    "model %s, generation %s, serves from now on",
                    self._now.classifier.version,
                    wanted.generation,
                )

    def _follow_shadow(self) -> None:
        wanted = self._pointer.shadow
        if wanted is None or self._keep is None:
            self._show(None)
        elif wanted != self._candidate:
            try:
                self._show(Shadow(self._try(wanted.version), wanted.share, self._keep))
                self._candidate = wanted
            except ModelUnavailableError as error:
                self._show(None)
                log.error("%s does not answer in the shadow: %s", wanted.version, error)

    def _show(self, shadow: Shadow | None) -> None:
        if self.shadow is not None:
            self.shadow.end()
        self.shadow, self._candidate = shadow, None
        if shadow is not None:
            shadow.begin()

    def _refuse(self, reason: str) -> None:
        if reason != self.refused:
            log.error("%s", reason)
        self.refused, self._retry_at_s = reason, time.monotonic() + RETRY_S

    def _load_before(self, broken: Served) -> Loaded | None:
        """Load what served before, the first that can be."""
        try:
            before = self._registry.targets(self._registry.read())
        except (VersionError, OSError):
            before = []
        for served in before:
            if served.version != broken.version:
                try:
                    return Loaded(served, self._try(served.version))
                except ModelUnavailableError as error:
                    log.error("%s, to which to go back, cannot serve: %s", served.version, error)
        return None

    def _replace(self, broken: Loaded, other: Loaded, reason: str) -> Loaded:
        """Let another version serve here, and everywhere if the broken one still does."""
        self._left.add(broken.served)
        name = broken.served.version
        try:
            pointer = self._pointer = self._registry.leave(
                name, reason, other.served, f"process {os.getpid()}"
            )
            if pointer.version == other.served.version:
                other = other._replace(served=Served(pointer.version, pointer.generation))
            self.refused = ""
        except (OSError, VersionError) as error:
            self.refused = (
                f"{name}, generation {broken.served.generation}, broke: {reason} "
                f"It cannot be rolled back for all: {error}"
            )
        log.error(
            "model %s, generation %s, broke: %s",
            broken.classifier.version,
            broken.served.generation,
            reason,
        )
        log.error(
            "model %s, generation %s, serves in its place",
            other.classifier.version,
            other.served.generation,
        )
        self._now = other
        self._tell()
        return other

    def _tell(self) -> None:
        """Write what serves; where that cannot be, this process alone tells of itself."""
        now = self._now
        served = {"version": now.classifier.version, "generation": now.served.generation}
        try:
            self._processes.tell(**served, **({"refused": self.refused} if self.refused else {}))
        except OSError as error:
            log.error("processes cannot tell what they serve: %s", error)


def _does_not_serve(wanted: Served, reason: str) -> str:
    return f"{wanted.version}, generation {wanted.generation}, does not serve here: {reason}"


def _keep_looking(switch: "weakref.ref[Switch]") -> None:
    """Look at the pointer again and again, as long as there is somebody to look for."""
    while True:
        looking = switch()
        if looking is None or looking._thread is not threading.current_thread():
            return
        try:
            looking.look()
        except Exception as error:  # the next look may be better
            log.error("versions: a fault", exc_info=error)
        del looking
        time.sleep(LOOK_S)
