"""A candidate that answers beside the serving version, for a share of the images.

It answers in a thread of its own, so no request waits for it.
"""

import logging
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np

from flaskapi.arrays import Floats
from flaskapi.errors import ModelUnavailableError
from flaskapi.reading.protocols import Classifier
from flaskapi.reading.second_look import look_twice
from flaskapi.versions.loading import Load
from flaskapi.versions.pointer import ShadowCandidate

WAITING = 512  # images at most; further images are left out
TOGETHER = 64  # images that the candidate is shown at once
# Images gather in this time: requests that wait for a receipt wait for each transaction.
PAUSE_S = 1.0
log = logging.getLogger("flaskapi")


class Shadowed(NamedTuple):
    """A candidate's answer to an image that was kept."""

    submission_id: UUID
    model: str  # its version
    prediction: str  # the digit
    confidence: float  # 0 to 1


Keep = Callable[[Sequence[Shadowed]], None]


class Shadow:
    """A candidate with the images that wait for it."""

    def __init__(self, classifier: Classifier, share: float, keep: Keep) -> None:
        """Keep the candidate; nothing is answered before `begin`.

        Args:
            classifier: the candidate.
            share: the share of the images that it is shown, from 0 to 1.
            keep: is given its answers, and may raise.
        """
        self._classifier, self.share, self._keep = classifier, share, keep
        self._waiting: deque[tuple[UUID, Floats]] = deque(maxlen=WAITING)
        self._thread: threading.Thread | None = None
        self._failed = False

    @property
    def version(self) -> str:
        return self._classifier.version

    def offer(self, submission_id: UUID, pixels: Floats) -> None:
        """Put an image into the queue at random, by the share, if there is room. Never waits.

        Args:
            submission_id: of the image.
            pixels: the network's input, `float32 (28, 28)` in [0, 1], 1 the ink.
        """
        if len(self._waiting) < WAITING and random.random() < self.share:
            self._waiting.append((submission_id, pixels))

    def begin(self) -> None:
        """Start the thread, in this process."""
        self._thread = threading.Thread(
            target=_keep_answering, args=(weakref.ref(self),), name="shadow", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Let the thread end."""
        self._thread = None

    def answer(self) -> None:
        """Answer the images in the queue, and keep all answers at once.

        Raises:
            Exception: the candidate or the store failed; these images are lost for the shadow.
        """
        answered: list[Shadowed] = []
        while self._waiting and len(answered) < WAITING:
            taken = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            answers = look_twice(
                self._classifier, np.array([pixels for _, pixels in taken]).reshape(-1, 28, 28, 1)
            )
            rows = zip(
                taken, answers.argmax(axis=1).tolist(), answers.max(axis=1).tolist(), strict=True
            )
            answered += [
                Shadowed(one, self.version, str(digit), round(confidence, 4))
                for (one, _), digit, confidence in rows
            ]
        if answered:
            self._keep(answered)
            self._failed = False


class Stage:
    """The shadow that the pointer names, if it names one."""

    def __init__(self, load: Load, keep: Keep | None) -> None:
        """`keep` is given a shadow's answers; if it is None, there never is a shadow."""
        self._load, self._keep = load, keep
        self._candidate: ShadowCandidate | None = None
        self.shadow: Shadow | None = None

    def follow(self, wanted: ShadowCandidate | None) -> None:
        """Begin, change or end the shadow, as the pointer says."""
        if wanted is None or self._keep is None:
            self.clear()
        elif wanted != self._candidate:
            try:
                shadow = Shadow(self._load(wanted.version), wanted.share, self._keep)
            except ModelUnavailableError as error:
                self.clear()
                log.error("%s does not answer in the shadow: %s", wanted.version, error)
            else:
                self.clear()
                self.shadow, self._candidate = shadow, wanted
                shadow.begin()

    def clear(self) -> None:
        """End the shadow, if there is one."""
        if self.shadow is not None:
            self.shadow.end()
        self.shadow = self._candidate = None


def _keep_answering(shadow: "weakref.ref[Shadow]") -> None:
    """Answer the queue once in each PAUSE_S, until the shadow ends."""
    while True:
        answering = shadow()
        if answering is None or answering._thread is not threading.current_thread():
            return
        try:
            answering.answer()
        except Exception as error:  # of the candidate or the store; no caller waits for either
            if not answering._failed:
                log.error("%s fails in the shadow: %s", answering.version, error)
            answering._failed = True
        del answering
        time.sleep(PAUSE_S)
