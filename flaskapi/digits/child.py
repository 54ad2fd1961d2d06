"""The separate process: it decodes one picture after another, each within bounds of time and
memory.

`apart.py` starts it and sends it pictures. A picture that takes too long ends the process.
"""

import contextlib
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from flaskapi.digits.unpack import unpack
from flaskapi.errors import FlaskapiError

# Of a request: bytes of the file, most pixels, longer side, whether by colour, seconds of CPU,
# and the format's name. Of an answer: what it is, its height and width or the length of its text,
# and the seconds of CPU that it took.
REQUEST = struct.Struct("<QQQ?d8s")
ANSWER = struct.Struct("<BQQd")
PIXELS, NOTHING, REFUSED, FLOATS = range(4)
_MOST_FILES = 16


def main(memory: int) -> None:
    """Decode until the input ends.

    Args:
        memory: bytes that a picture may take.
    """
    _bound(memory)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        size, max_pixels, max_side_px, by_colour, cpu_s, name = REQUEST.unpack(head)
        data = requests.read(size)
        if len(data) < size:
            return
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        before_s = _cpu_s()
        try:
            image = unpack(
                data,
                format=name.rstrip(b"\0").decode(),
                max_pixels=max_pixels,
                max_side_px=max_side_px,
                by_colour=by_colour,
            )
        except FlaskapiError as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            _refuse(answers, error, _cpu_s() - before_s)
        else:
            signal.setitimer(signal.ITIMER_PROF, 0)
            width, height = (0, 0) if image is None else image.size
            kind = NOTHING if image is None else FLOATS if image.mode == "F" else PIXELS
            answers.write(ANSWER.pack(kind, height, width, _cpu_s() - before_s))
            if image is not None:
                answers.write(image.tobytes())
            del image
        del data
        answers.flush()


def _refuse(answers: BinaryIO, error: FlaskapiError, cpu_s: float) -> None:
    text = f"{type(error).__name__}\n{error}".encode()
    answers.write(ANSWER.pack(REFUSED, len(text), 0, cpu_s) + text)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _bound(memory: int) -> None:
    """Limit the memory and time of this process."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, used + memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MOST_FILES),
    ):
        with contextlib.suppress(ValueError):  # a stricter bound is in force already
            resource.setrlimit(kind, (most, most))
    # Where memory is short, this process goes rather than the one that serves.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
