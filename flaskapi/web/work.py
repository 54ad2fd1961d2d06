"""Long work beside the thread that answers: until it has a result, a space is sent now and then.

A server notices that a client has gone only when it writes to it. JSON may have spaces before it,
and so may each line of NDJSON.
"""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

BEAT_S = 0.4  # a space is sent after this time without a result
_AHEAD = 4  # how many texts are made before the client has taken them
_POLL_S = 0.2


class Work:
    """Texts that a separate thread makes, from the call of `begin` on."""

    def __init__(self, *, beat_s: float = BEAT_S) -> None:
        self.stopped = threading.Event()  # nobody waits any more; the maker of the texts checks it
        self._beat_s = beat_s
        self._made: queue.Queue[str | Exception | None] = queue.Queue(_AHEAD)

    def begin(self, texts: Iterator[str], until_done: ExitStack) -> None:
        """Start to make texts, in the context of this request.

        Args:
            texts: makes the texts.
            until_done: is closed when nothing more is made.
        """
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._make, texts, until_done), name="work", daemon=True
        ).start()

    def first(self, within_s: float) -> str | None:
        """Wait for the first text, at most so many seconds; None if it takes longer.

        Raises:
            Exception: the error with which the work failed in that time.
        """
        try:
            made = self._made.get(timeout=within_s)
        except queue.Empty:
            return None
        if isinstance(made, Exception):
            raise made
        if made is None:  # there is nothing at all, and `rest` must see it too
            self._made.put(None)
        return made

    def rest(self, first: str | None, broken: Callable[[Exception], str]) -> Iterator[str]:
        """Give the texts as they are made, and a space whenever none has come for a while.

        Args:
            first: the result of `first`.
            broken: makes the last text if the work fails.
        """
        made: str | Exception | None = " " if first is None else first
        while made is not None:
            if isinstance(made, Exception):
                yield broken(made)
                return
            yield made
            try:
                made = self._made.get(timeout=self._beat_s)
            except queue.Empty:
                made = " "

    def stop(self) -> None:
        """Stop the work: nobody waits for it any more."""
        self.stopped.set()

    def _make(self, texts: Iterator[str], until_done: ExitStack) -> None:
        last: Exception | None = None
        try:
            with until_done:
                for text in texts:
                    self._put(text)
                    if self.stopped.is_set():
                        return
        except Exception as error:
            last = error
        self._put(last)

    def _put(self, made: str | Exception | None) -> None:
        while not self.stopped.is_set():
            try:
                return self._made.put(made, timeout=_POLL_S)
            except queue.Full:
                continue
