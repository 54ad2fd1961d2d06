"""Instructions of the processor that one `/predict` takes inside the WSGI call, by its parts and
libraries: the same on a busy machine as on an idle one.

Valgrind counts them, as a processor with AVX2 would take them. They are no time: what waits for
memory, or has wider registers, is not in them. But what is added to a request is seen here first.
"""

import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

STORED = Path(__file__).with_suffix(".json")
ROOM = 1.05  # times the stored figure
REQUESTS = 5
LIBRARIES = {  # by the path of the file that instructions lie in
    "Python": r"/(lib)?python3[^/]*$|/lib-dynload/",
    "ONNX Runtime": r"/onnxruntime/",
    "OpenCV": r"/cv2/|/opencv_python",
    "NumPy": r"/numpy/|/numpy.libs/",
}
PARTS = {
    "decode": "from the bytes to grey pixels",
    "normalize": "from those to what the network sees",
    "network": "from that to probabilities",
    "answer": "all else of reading: the looks, the conclusion",
    "http": "Flask, the form, the gate, metrics, headers, JSON",
}
Counts = dict[str, dict[str, int]]  # of each part, of each library


def main(*, write: bool = False) -> None:
    """Print the table, and write it as what is compared with, if so asked."""
    counts = measure()
    print(f"\nThousands of instructions of one /predict of a 28x28 PNG, on {circumstances()}:")
    names = [*LIBRARIES, "others"]
    print(f"{'':12}{'all':>9}" + "".join(f"{name:>14}" for name in names))
    for part, of_part in counts.items():
        row = "".join(f"{of_part.get(name, 0) / 1000:14.0f}" for name in names)
        print(f"{part:12}{sum(of_part.values()) / 1000:9.0f}{row}  {PARTS[part]}")
    print(f"{'all':12}{total(counts) / 1000:9.0f}")
    if write:
        document = {"circumstances": circumstances(), "counts": counts}
        STORED.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def why_not() -> str | None:
    """Why nothing can be counted here, if so."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed: apt install valgrind"
    if platform.machine() != "x86_64" or " avx2 " not in Path("/proc/cpuinfo").read_text("utf-8"):
        return "the stored figures are of x86-64 with AVX2"
    return None


def circumstances() -> str:
    """What figures are compared on: other versions take other instructions."""
    libraries = ("flask", "werkzeug", "numpy", "opencv-python-headless", "onnxruntime")
    return f"Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name)}" for name in libraries
    )


def total(counts: Counts) -> int:
    """The instructions of one request."""
    return sum(sum(of_part.values()) for of_part in counts.values())


def compare(counts: Counts, stored: Counts) -> str:
    """Name what grew since the figures were stored, the most first; empty where all is within its
    room.
    """
    # What belongs to no library, as the loader's and the kernel's work, differs by half a run.
    counts, stored = (
        {part: {name: n for name, n in of.items() if name != "others"} for part, of in side.items()}
        for side in (counts, stored)
    )
    if total(counts) <= ROOM * total(stored):
        return ""
    grown = {
        (part, library): count - stored.get(part, {}).get(library, 0)
        for part, of_part in counts.items()
        for library, count in of_part.items()
    }
    most = sorted(grown.items(), key=lambda item: -item[1])[:5]
    return (
        f"One /predict takes {total(counts) / total(stored) - 1:+.1%} instructions, and may take "
        f"{ROOM - 1:+.0%}. Most was added in: "
        + ", ".join(
            f"{part} ({library}) {more / 1000:+,.0f} thousand" for (part, library), more in most
        )
        + ". If that is worth it: python -m benchmarks instructions --write"
    )


def measure() -> Counts:
    """Count; takes half a minute.

    Parts are counted by themselves: what is around one is what it took with it, less its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *("valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet"),
                f"--callgrind-out-file={folder}/out",
                *(sys.executable, "-m", "benchmarks.instructions", folder),
            ],
            env=os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seen = {
            match[1]: _count_libraries(text)
            for path in Path(folder).glob("out.*")
            if (match := re.search(r"desc: Trigger: .* (\w+)$", text := path.read_text(), re.M))
        }
    http, reading = seen["request"] - seen["reading"], seen["reading"] - seen["steps"]
    own = {name: seen[name] for name in ("decode", "normalize", "network")}
    return {part: dict(count) for part, count in (own | {"answer": reading, "http": http}).items()}


def _count_libraries(text: str) -> Counter[str]:
    """Sum up a profile of callgrind by libraries, for one request ("Callgrind Format
    Specification", valgrind.org): `ob=` names the file, `calls=` precedes a line that counts
    what was called, and is counted there.
    """
    counts, names, library, is_of_call = Counter[str](), dict[str, str](), "others", False
    for line in text.partition("\nfn=")[2].splitlines():
        if match := re.match(r"ob=\((\d+)\)(?: (.*))?", line):
            path = names.setdefault(match[1], match[2] or "")
            found = (name for name, form in LIBRARIES.items() if re.search(form, path))
            library = next(found, "others")
        elif match := re.match(r"cob=\((\d+)\) (.*)", line):
            names[match[1]] = match[2]
        elif line.startswith("calls="):
            is_of_call = True
        elif match := re.match(r"(?:0x[\da-f]+|[+-]?\d+|\*) (\d+)$", line):
            if not is_of_call:
                counts[library] += int(match[1])
            is_of_call = False
    return Counter({name: count // REQUESTS for name, count in counts.items()})


def _run(folder: str) -> None:
    """What runs under Valgrind: each step in turn, a profile of its own written for each."""
    import gc

    from flaskapi import create_app
    from flaskapi.digits.normalize import normalize_looks
    from flaskapi.reading.views import find_views
    from tests.fakes import draw_digit, encode

    image = encode(draw_digit(7, side=28, dark_on_light=False))
    app = create_app({"INSTANCE_PATH": folder, "METRICS_PATH": "metrics", "STORE": "off"})
    reader = app.extensions["flaskapi"].reader
    view = next(find_views(image, 10**6))[0].pixels
    batch = normalize_looks(view).likely[0].pixels.reshape(1, 28, 28, 1)
    steps: dict[str, Callable[[], object]] = {
        "decode": lambda: next(find_views(image, 10**6)),
        "normalize": lambda: normalize_looks(view),
        "network": lambda: reader.classifier.probabilities(batch),
        "reading": lambda: reader.digit(image),
        "request": lambda: _ask(app, image),
    }
    steps["steps"] = lambda: [steps[name]() for name in ("decode", "normalize", "network")]
    gc.disable()
    for name, step in steps.items():
        for _ in range(5):
            step()
        _control("--instr=on")
        _control("--zero")
        for _ in range(REQUESTS):
            step()
        _control(f"--dump={name}")
        _control("--instr=off")


def _ask(app: Callable[..., object], image: bytes) -> None:
    """One upload, as Apache hands it to the WSGI application."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + image + b"\r\n--x--\r\n"
    )
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/predict",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_X_REQUEST_ID": "Z0pbq8d3kqYAAB1kAAAABAA1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "mod_wsgi.queue_start": "1793000000000000",
    }
    said = list[str]()
    answer = app(environ, lambda status, headers: said.append(status))
    assert b'"digit":7' in b"".join(answer)  # type: ignore[call-overload]
    answer.close()  # type: ignore[attr-defined]
    assert said == ["200 OK"]


def _control(order: str) -> None:
    subprocess.run(
        ["callgrind_control", order, str(os.getpid())], check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    _run(sys.argv[1])
