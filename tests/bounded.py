"""Decodes each picture of `hostile.py` in a process of its own, and prints what it took as JSON."""

import io
import json
import os
import resource
import sys
from pathlib import Path

from hostile import BOUNDED, REFUSED

from flaskapi.digits.apart import decoder
from flaskapi.digits.decode import ImageFile
from flaskapi.errors import FlaskapiError, TooLargeError


def peak(process: int | str) -> int:
    """The most memory that a process has had, in bytes."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def measure(name: str, data: bytes) -> dict[str, object]:
    """Decode a file, by its lightness and by its colours."""
    rest, outcome = peak("self"), "read"
    try:
        picture = ImageFile(data, max_pixels=25_000_000)
        picture.decode(1024)
        picture.decode(1024, by_colour=True)
    except TooLargeError:
        outcome = "refused"
    except FlaskapiError:
        outcome = "invalid"
    memory, child = peak("self") - rest, decoder().pid
    if child is not None:
        memory += peak(child)
    decoder().close()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(one.ru_utime + one.ru_stime for one in used)
    return {"name": name, "outcome": outcome, "cpu_s": cpu_s, "memory": memory}


def main() -> None:
    for name, make in (REFUSED | BOUNDED).items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        reader, writer = os.pipe()
        data = make()
        if os.fork() == 0:
            with io.FileIO(writer, "w") as file:
                file.write(json.dumps(measure(name, data)).encode() + b"\n")
            os._exit(0)
        os.close(writer)
        with io.FileIO(reader) as file:
            print(file.readall().decode().strip(), flush=True)
        os.wait()


if __name__ == "__main__":
    main()
