"""Throw what Atheris makes up at each way in, with a bound on CPU and memory for each input:
`python -m benchmarks fuzz --minutes 10`, or `make fuzz`. Tests do it for seconds.
"""

import importlib.util
import io
import json
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.archives import make_zip
from tests.fakes import FixedClassifier, FixedDetector, draw_digit, encode

# Of one input. Code that is instrumented takes about twice as long as it does otherwise, and the
# promise is 1.0 s.
MOST_CPU_S = 2.0
MOST_MB, MOST_AT_ONCE_MB = 900, 300  # of the process, and of one piece of memory
TIMEOUT_S, MOST_BYTES = 30, 1 << 16
DIGIT = draw_digit(7, side=28)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")


class Way(tuple[str, str, Callable[[], list[bytes]]]):
    """A route, the type of what is sent to it, and what makes good examples."""


def _images() -> list[bytes]:
    return [encode(DIGIT, form) for form in FORMATS]


def _form() -> list[bytes]:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n'
    png = encode(DIGIT)
    whole = part + b"Content-Type: image/png\r\n\r\n" + png + b"\r\n--x--\r\n"
    text = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\naGVsbG8=\r\n--x--\r\n'
    return [whole, text]


def _archives() -> list[bytes]:
    png, packed = encode(DIGIT), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("7.png")
        member.size = len(png)
        tar.addfile(member, io.BytesIO(png))
    array = io.BytesIO()
    np.save(array, DIGIT.reshape(1, 28, 28))
    table = ",".join(map(str, [7, *DIGIT.ravel()])).encode() + b"\n"
    return [make_zip([("7.png", png)]), packed.getvalue(), array.getvalue(), table]


def _json() -> list[bytes]:
    import base64

    image = base64.b64encode(encode(DIGIT)).decode()
    documents: list[Any] = [
        {"image": image},
        {"image": f"data:image/png;base64,{image}"},
        {"pixels": DIGIT.tolist()},
        {"images": [image, {"name": "a", "image": image}]},
    ]
    return [json.dumps(one).encode() for one in documents]


WAYS: dict[str, Way] = {
    "decode, /predict": Way(("/predict", "image/png", _images)),
    "decode, /predict/number": Way(("/predict/number", "image/png", _images)),
    "forms": Way(("/predict", "multipart/form-data; boundary=x", _form)),
    "forms of many": Way(("/predict/batch", "multipart/form-data; boundary=x", _form)),
    "archives": Way(("/predict/batch", "application/octet-stream", _archives)),
    "JSON": Way(("/predict", "application/json", _json)),
    "JSON of many": Way(("/predict/batch", "application/json", _json)),
}


class FoundError(Exception):
    """An input did what none may do."""


def main(minutes: float, only: list[str]) -> None:
    """Print what became of each way in; inputs that did harm are left in a folder.

    Args:
        minutes: how long each is tried.
        only: words of which a way's name has one; all where there are none.
    """
    if importlib.util.find_spec("atheris") is None:
        sys.exit("error: Atheris is not installed: .venv/bin/pip install atheris")
    kept = Path(tempfile.mkdtemp(prefix="flaskapi-fuzz-"))
    print(f"{'way in':26}{'inputs':>10}{'branches':>10}  found")
    failed = False
    for name in WAYS:
        if not only or any(word in name for word in only):
            found = try_out(name, minutes * 60, kept)
            failed = failed or bool(found)
    if failed:
        sys.exit(f"error: what was found lies in {kept}")
    kept.rmdir()


def try_out(name: str, seconds: float, kept: Path) -> list[Path]:
    """Let a child try for some seconds, and print what it says."""
    folder = kept / re.sub(r"\W+", "-", name)
    with tempfile.TemporaryDirectory() as corpus:
        for place, example in enumerate(WAYS[name][2]()):
            (Path(corpus) / f"seed{place}").write_bytes(example)
        folder.mkdir()
        options = {
            "max_total_time": int(seconds),
            "max_len": MOST_BYTES,
            "timeout": TIMEOUT_S,
            "rss_limit_mb": MOST_MB,
            "malloc_limit_mb": MOST_AT_ONCE_MB,
            "artifact_prefix": f"{folder}/",
        }
        command = [
            *(sys.executable, "-m", "benchmarks.fuzz", name, corpus),
            *(f"-{option}={value}" for option, value in options.items()),
        ]
        environment = os.environ | {"FLASKAPI_LOG_LEVEL": "ERROR"}
        done = subprocess.run(
            # By a shell, which forks: what is begun otherwise counts the memory of this process as
            # the most that it has used.
            ["sh", "-c", '"$@"; exit $?', "sh", *command],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    found = [*folder.iterdir()]
    if done.returncode and not found:
        (folder / "error").write_text(done.stderr)
        found = [folder / "error"]
    runs = re.findall(r"^Done (\d+) runs|^#(\d+)", done.stderr, re.M) or [("0", "")]
    covered = re.findall(r"cov: (\d+)", done.stderr) or ["0"]
    said = re.findall(r"FoundError: (.*)|ERROR: libFuzzer: (.*)", done.stderr)
    told = "; ".join("".join(one) for one in said) or "nothing"
    print(f"{name:26}{''.join(runs[-1]):>10}{covered[-1]:>10}  {told}", flush=True)
    if not found:
        folder.rmdir()
    return found


def fuzz(name: str, arguments: list[str]) -> None:
    """Try out one way in, in this process, until Atheris has had its time."""
    import atheris  # type: ignore[import-not-found]  # installed by `make fuzz` alone

    with atheris.instrument_imports(include=["flaskapi", "werkzeug", "zipfile", "tarfile"]):
        from flaskapi import create_app

        folder = tempfile.mkdtemp()
        settings = {"INSTANCE_PATH": folder, "STORE": "off", "MAX_REQUEST_BYTES": 1 << 20}
        classifier = FixedClassifier()
        app = create_app(settings, classifier=classifier, detector=FixedDetector())
    route, kind, _ = WAYS[name]

    def ask(data: bytes) -> None:
        before_s = _used_s()
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": route,
            "SERVER_NAME": "x",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": kind,
            "CONTENT_LENGTH": str(len(data)),
            "wsgi.input": io.BytesIO(data),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
        }
        statuses: list[str] = []
        answer = app.wsgi_app(environ, lambda status, headers, error=None: statuses.append(status))
        body = b"".join(answer)
        getattr(answer, "close", lambda: None)()
        classifier.batches.clear()
        took_s = _used_s() - before_s
        if statuses[0] >= "5" or b"internal-error" in body:
            raise FoundError(f"answered {statuses[0]}: {body[:200]!r}")
        if took_s > MOST_CPU_S:
            raise FoundError(f"took {took_s:.1f} s of the processor")

    atheris.Setup([sys.argv[0], *arguments], ask)
    atheris.Fuzz()


def _used_s() -> float:
    """The processor's time of this process, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    fuzz(sys.argv[1], sys.argv[2:])
