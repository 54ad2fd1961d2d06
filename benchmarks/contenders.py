"""What is measured beside each other: this service, the limit, a bare resize, the tutorial's code,
and three servers of models, each as its own documentation recommends it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.load import find_processes, write_body, write_upload
from tests.servers import ROOT, apache, free_port

PEERS = Path(__file__).parent / "peers"
# Each has an environment of its own, outside the repository, that later runs use again.
ENVIRONMENTS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "flaskapi-bench"
COMMON = ("onnxruntime==1.32.0", "numpy==2.4.6", "pillow==13.0.0")
INSTALL_S, START_S = 240, 90


class Running(NamedTuple):
    """A server that answers."""

    address: str
    pid: int
    start_s: float  # from its start to its first answer


class Contender(NamedTuple):
    """A server that can be started, and how it is asked."""

    name: str
    start: Callable[[Path], AbstractContextManager[Running]]
    write_load: Callable[[Path, bytes], Path] = write_upload
    decodes: bool = True  # it takes pictures, not numbers


class MissingContenderError(Exception):
    """It cannot be had here; the text says why."""


def find_contenders(database: str | None, checkouts: Sequence[Path] = ()) -> list[Contender]:
    """All of them; where other checkouts are named, those in place of the peers.

    Args:
        database: the address of a PostgreSQL database without tables, if there is one.
        checkouts: folders of other checkouts of this project, such as a clone of an older commit.
    """
    shipped = ROOT / "deploy" / "flaskapi.wsgi"
    limit = Contender("the limit", _under_apache(PEERS / "limit.wsgi"))
    if checkouts:
        folders = {"this checkout": ROOT} | {str(one): one.resolve() for one in checkouts}
        return [limit] + [
            Contender(name, _under_apache(folder / "deploy" / "flaskapi.wsgi", STORE='"off"'))
            for name, folder in folders.items()
        ]
    stores = {"nothing kept": {"STORE": '"off"'}, "kept in SQLite": {}}
    if database:
        stores["kept in PostgreSQL"] = {"DATABASE_URL": f'"{database}"'}
    return [
        limit,
        *(
            Contender(f"this service, {name}", _under_apache(shipped, **settings))
            for name, settings in stores.items()
        ),
        Contender("ONNX Runtime and a bare resize", _under_apache(PEERS / "bare.wsgi")),
        Contender("the tutorial's code", _under_apache(PEERS / "tutorial.wsgi")),
        Contender(
            "LitServe",
            _peer("litserve", ["litserve==0.2.19", "python-multipart"], _litserve),
            partial(write_upload, field="request"),  # it takes no other
        ),
        Contender("BentoML", _peer("bentoml", ["bentoml==1.4.40"], _bentoml)),
        Contender(
            "MLServer",  # with a newer uvloop its workers end at once
            _peer("mlserver", ["mlserver==1.7.1", "uvloop==0.21.0"], _mlserver),
            _write_numbers,
            decodes=False,
        ),
    ]


def _under_apache(
    script: Path, **settings: str
) -> Callable[[Path], AbstractContextManager[Running]]:
    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        started_s = time.perf_counter()
        with apache(folder, script, **settings) as server:
            took_s = time.perf_counter() - started_s
            yield Running(f"http://127.0.0.1:{server.port}/predict", server.process.pid, took_s)

    return start


def _peer(
    name: str, packages: list[str], command: Callable[[Path, Path, int], tuple[list[str], str]]
) -> Callable[[Path], AbstractContextManager[Running]]:
    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        environment, port = _install(name, packages), free_port()
        arguments, path = command(environment / "bin", folder, port)
        folder.mkdir()
        log, started_s = folder / "log", time.perf_counter()
        with log.open("wb") as output:
            process = subprocess.Popen(
                arguments,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"BENTOML_DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        try:
            address = f"http://127.0.0.1:{port}{path}"
            _wait(address, process, log)
            yield Running(address, process.pid, time.perf_counter() - started_s)
        finally:
            _end(process)

    return start


def _install(name: str, packages: list[str]) -> Path:
    """Give a virtual environment with a peer, made at the first call.

    Raises:
        MissingContenderError: it cannot be installed.
    """
    environment = ENVIRONMENTS / name
    done = environment / "installed"
    wanted = " ".join([*packages, *COMMON])
    if not done.is_file() or done.read_text() != wanted:
        try:
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            subprocess.run(
                [environment / "bin" / "pip", "install", "--quiet", *wanted.split()],
                check=True,
                timeout=INSTALL_S,
                capture_output=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise MissingContenderError(f"{name} cannot be installed: {error}") from error
        done.write_text(wanted)
    return environment


def _litserve(bin: Path, folder: Path, port: int) -> tuple[list[str], str]:
    return [str(bin / "python"), str(PEERS / "litserve_peer.py"), str(port)], "/predict"


def _bentoml(bin: Path, folder: Path, port: int) -> tuple[list[str], str]:
    listen = ["--host", "127.0.0.1", "--port", str(port)]
    arguments = ["serve", "bentoml_peer:Digits", "--working-dir", str(PEERS), *listen]
    return [str(bin / "bentoml"), *arguments], "/predict"


def _mlserver(bin: Path, folder: Path, port: int) -> tuple[list[str], str]:
    # A folder of its own, for it takes its settings from there alone.
    model = folder.with_name(f"{folder.name}-model")
    model.mkdir()
    for file in (PEERS / "mlserver_peer").glob("*.*"):
        (model / file.name).symlink_to(file)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 2,
    }
    (model / "settings.json").write_text(json.dumps(settings))
    return [str(bin / "mlserver"), "start", str(model)], "/v2/models/digits/infer"


def _write_numbers(script: Path, image: bytes) -> Path:
    """What MLServer takes: the pixels of a picture of 28x28, decoded by who asks."""
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)
    data = (cv2.resize(pixels, (28, 28)) / 255).astype(np.float32).round(4).ravel().tolist()
    entry = {"name": "pixels", "datatype": "FP32", "shape": [1, 28, 28], "data": data}
    return write_body(script, json.dumps({"inputs": [entry]}).encode(), "application/json")


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until something answers, whatever it says to a request without a body."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            urllib.request.urlopen(urllib.request.Request(address, b"{}"), timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            if error.code < 500 and b"not ready" not in error.read():
                return  # it is ready, and refuses what was sent
        except OSError:
            pass
        time.sleep(0.02)
    raise MissingContenderError(
        f"{log.parent.name} does not answer: {log.read_text('utf-8')[-800:]}"
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and what it has started."""
    left = find_processes(process.pid) if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(10)
