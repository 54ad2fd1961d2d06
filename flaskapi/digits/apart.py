"""Decode costly pictures in a separate process, which a picture can end without harm to others.

The structure of a file is checked before; these bounds are for costs that nobody foresaw. The
process starts with the first such picture, and decodes one picture at a time.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, NamedTuple

from PIL import Image as Pillow

from flaskapi import errors
from flaskapi.digits.child import ANSWER, FLOATS, NOTHING, REFUSED, REQUEST
from flaskapi.digits.unpack import TOO_MUCH_MEMORY
from flaskapi.processes import find_python

_FOLDER = Path(__file__).parent
# The names of the package without its face: that would load Flask, and OpenCV.
_PROGRAM = """
import sys, types
for name, folder in (("flaskapi", sys.argv[2]), ("flaskapi.digits", sys.argv[1])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from flaskapi.digits.child import main
main(int(sys.argv[3]))
"""
_END_S = 0.5
_WALL_S = 30.0  # a process that waits for its turn takes no CPU
_REFUSALS = {
    kind.__name__: kind
    for kind in (errors.InvalidImageError, errors.TooLargeError, errors.UnsupportedImageError)
}


class Bounds(NamedTuple):
    """The limits for one picture."""

    cpu_s: float = 0.6
    memory: int = 176 << 20  # bytes


class Decoder:
    """A process that decodes. It starts when it is first needed, and again after it has ended.

    Several threads may use it; their pictures wait for each other.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._lock, self._owner = threading.Lock(), 0
        self._process: subprocess.Popen[bytes] | None = None

    def decode(
        self,
        data: bytes,
        *,
        format: str,
        max_pixels: int,
        max_side_px: int,
        by_colour: bool,
        cpu_s: float,
    ) -> tuple[Pillow.Image | None, float]:
        """Decode as `unpack` does. Returns also the seconds of CPU that it took.

        Raises:
            TooLargeError: the picture exceeded the bounds; also what `unpack` raises.
        """
        head = REQUEST.pack(len(data), max_pixels, max_side_px, by_colour, cpu_s, format.encode())
        with self._lock:
            process = self._running()
            try:
                return self._ask(process, head, data)
            except (OSError, EOFError):
                self._end()
                raise errors.TooLargeError(
                    f"The image takes more than {self.bounds.cpu_s:g} s of CPU to decode; send it "
                    f"smaller, or in another format."
                    if process.returncode == -signal.SIGPROF
                    else TOO_MUCH_MEMORY
                ) from None
            except BaseException as error:
                if not isinstance(error, errors.FlaskapiError):
                    self._end()
                raise

    @property
    def pid(self) -> int | None:
        """The number of the process, if one runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def close(self) -> None:
        """End the process, if one runs."""
        with self._lock:
            self._end()

    def _ask(
        self, process: "subprocess.Popen[bytes]", head: bytes, data: bytes
    ) -> tuple[Pillow.Image | None, float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(head)
        process.stdin.write(data)
        process.stdin.flush()
        until_s = time.monotonic() + _WALL_S
        kind, height, width, cpu_s = ANSWER.unpack(_read(process.stdout, ANSWER.size, until_s))
        if kind == NOTHING:
            return None, cpu_s
        if kind == REFUSED:
            name, _, text = _read(process.stdout, height, until_s).decode().partition("\n")
            raise _REFUSALS[name](text)
        mode, size = ("F", 4) if kind == FLOATS else ("L", 1)
        pixels = _read(process.stdout, size * height * width, until_s)
        return Pillow.frombytes(mode, (width, height), pixels), cpu_s

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._owner != os.getpid():
            self._process = None  # the process that this one was forked from has it
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process, self._owner = self._start(), os.getpid()
        return self._process

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *(find_python(), "-P", "-c", _PROGRAM),
                *(str(_FOLDER), str(_FOLDER.parent), str(self.bounds.memory)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)  # one that has ended says by what
        process.kill()
        process.wait()


def _read(pipe: IO[bytes], size: int, until_s: float) -> bytes:
    """Read exactly this many bytes.

    Raises:
        EOFError: the other side ended, or did not answer in time.
    """
    parts: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while size:
            if not selector.select(max(0, until_s - time.monotonic())):
                raise EOFError
            part = os.read(pipe.fileno(), size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
    return b"".join(parts)


# One for a process, as there is one CPU time and one memory of it.
_decoder = Decoder(Bounds())


def decoder() -> Decoder:
    """The decoder of this process."""
    return _decoder


def set_bounds(bounds: Bounds) -> None:
    """Set the limits for one picture in this process."""
    if bounds != _decoder.bounds:
        _decoder.close()
        _decoder.bounds = bounds
