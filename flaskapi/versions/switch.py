"""Which version answers in this process, and the thread that keeps it current.

Three parts do the work. `follow` loads the version that the pointer names. `fallback` answers if a
version fails. `shadow` lets a candidate answer beside it. `Switch` has the lock and the thread.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from flaskapi.arrays import Floats
from flaskapi.reading.protocols import Classifier
from flaskapi.versions.fallback import Fallback
from flaskapi.versions.follow import Follower
from flaskapi.versions.lease import Lease, Loaded
from flaskapi.versions.loading import Load, make_loader
from flaskapi.versions.memory import free_memory
from flaskapi.versions.processes import Processes
from flaskapi.versions.registry import Registry
from flaskapi.versions.shadow import Keep, Shadow, Stage

LOOK_S = 0.5  # between two looks at the pointer; all processes serve a promoted version within 2 s
log = logging.getLogger("flaskapi")


class Switch:
    """The classifier of this process: `lease` gives it for one request, `watch` updates it."""

    def __init__(
        self,
        registry: Registry,
        processes: Processes,
        *,
        load: Load | None = None,
        warm: Callable[[Classifier], None] = lambda _: None,
        keep: Keep | None = None,
    ) -> None:
        """Load the version that should serve, or a previous one; `watch` follows the pointer.

        Args:
            registry: has the pointer and the versions.
            processes: publishes what this process serves.
            load: loads a version by its name; by default from the registry.
            warm: is given each classifier before it serves.
            keep: is given the answers of a candidate in the shadow; None: there is no shadow.
        """
        loader = make_loader(load or registry.load, warm)
        self._processes = processes
        self._follower = Follower(registry, loader)
        self._fallback = Fallback(registry, loader, self._follower)
        self._stage = Stage(loader, keep)
        self._untrimmed = False
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None

    def lease(self) -> Lease:
        """Give the serving version, for one request."""
        return Lease(self, self._follower.now)

    @property
    def refused(self) -> str:
        """Why the version that should serve does not; empty if it does."""
        return self._follower.refused

    @property
    def broken(self) -> dict[str, str]:
        """The versions that failed while they served, each with the reason."""
        return self._follower.pointer.broken

    @property
    def shadow(self) -> Shadow | None:
        """The candidate that answers beside the serving version, if there is one."""
        return self._stage.shadow

    def processes(self) -> list[dict[str, Any]]:
        """What each process of this server serves."""
        return self._processes.all()

    def watch(self) -> None:
        """Start the thread that follows the pointer, if this process has none.

        A forked process has none, and looks at the pointer before it answers.
        """
        if self._process == os.getpid() and self._thread is not None and self._thread.is_alive():
            return
        if self._process != os.getpid():
            self._reset()
            self._stage.clear()
        with self._looking:
            if self._thread is None or not self._thread.is_alive():
                self._processes.forget_servers()
                self._follow()
                self._stage.follow(self._follower.pointer.shadow)
                self._publish()
                self._thread = threading.Thread(
                    target=_keep_looking, args=(weakref.ref(self),), name="versions", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """End the threads."""
        self._thread = None
        self._stage.clear()

    def look(self) -> None:
        """Follow the pointer if it has changed; free unused memory at a look without a change."""
        with self._looking:
            if self._untrimmed and not self._follower.has_changed():
                free_memory()
                self._untrimmed = False
            self._follow()
        self._processes.beat()

    def fail_over(self, broken: Loaded, batch: Floats, error: Exception) -> tuple[Loaded, Floats]:
        """Answer in place of a version that failed; see `Fallback.answer`."""
        with self._looking:
            before = self._state
            answered = self._fallback.answer(broken, batch, error)
            if before != self._state:
                self._publish()
        return answered

    @property
    def _state(self) -> tuple[Any, str]:
        return self._follower.now.served, self._follower.refused

    def _follow(self) -> None:
        before = self._state
        if self._follower.look():
            self._untrimmed = True
            self._stage.follow(self._follower.pointer.shadow)
        if before != self._state:
            self._publish()

    def _publish(self) -> None:
        """Publish what serves; if the file cannot be written, only this process reports itself."""
        now, refused = self._follower.now, self._follower.refused
        served = {"version": now.version, "generation": now.served.generation}
        try:
            self._processes.publish(**served, **({"refused": refused} if refused else {}))
        except OSError as error:
            log.error("versions: this process cannot publish what it serves: %s", error)


def _keep_looking(switch: "weakref.ref[Switch]") -> None:
    """Look at the pointer every LOOK_S, until the switch is closed or gone."""
    while True:
        looking = switch()
        if looking is None or looking._thread is not threading.current_thread():
            return
        try:
            looking.look()
        except Exception as error:  # the next look may succeed
            log.error("versions: an unexpected error", exc_info=error)
        del looking
        time.sleep(LOOK_S)
