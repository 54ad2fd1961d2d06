"""Find the compiled form of a model file. Where there is none, a child process builds it once."""

import contextlib
import hashlib
import json
import logging
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import onnxruntime

from flaskapi.errors import ModelUnavailableError
from flaskapi.processes import find_python, folder_locked
from flaskapi.serving.missing import why_no_file

BUILD_TIMEOUT_S = 120
BUILD_MEMORY_BYTES = 6 << 30
log = logging.getLogger("flaskapi")


def find_compiled(model_path: Path, cache_path: Path) -> Path:
    """Return the compiled form of exactly this model file.

    It is looked for beside the model and in the cache. If neither has it, it is built beside the
    model, or in the cache if the model's folder is read-only. Of several processes that ask at
    once, one builds.

    Raises:
        ModelUnavailableError: there is no such model, or it cannot be compiled; the text gives the
            reason.
    """
    sha256 = _digest(model_path)
    if there := _seek(sha256, model_path, cache_path):
        return there
    beside, cached = _places(sha256, model_path, cache_path)
    target = beside if os.access(model_path.parent, os.W_OK) else cached
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with folder_locked(target.parent):
            if not is_compiled_from(sha256, target):
                build_compiled(model_path, target)
    except OSError as error:
        raise ModelUnavailableError(
            f"The compiled form of {model_path.name} cannot be written: {error.strerror}."
        ) from error
    return target


def seek_compiled(model_path: Path, cache_path: Path) -> Path:
    """Return the compiled form of a model file if there is one. None is built.

    Raises:
        ModelUnavailableError: there is no such model, or it has none yet.
    """
    if there := _seek(_digest(model_path), model_path, cache_path):
        return there
    raise ModelUnavailableError(f"{model_path.name} is not compiled yet.")


def _digest(model_path: Path) -> str:
    if model_path.is_dir():
        raise ModelUnavailableError(why_no_file(model_path))
    try:
        return hashlib.sha256(model_path.read_bytes()).hexdigest()
    except OSError as error:
        log.error("%s cannot be read: %s", model_path, error.strerror)
        raise ModelUnavailableError(
            f"{model_path.name} cannot be read: {error.strerror}."
        ) from error


def _places(sha256: str, model_path: Path, cache_path: Path) -> tuple[Path, Path]:
    return model_path.with_suffix(".onnx"), cache_path / f"{sha256}.onnx"


def _seek(sha256: str, model_path: Path, cache_path: Path) -> Path | None:
    places = _places(sha256, model_path, cache_path)
    return next((place for place in places if is_compiled_from(sha256, place)), None)


def is_compiled_from(sha256: str, compiled: Path) -> bool:
    """Does this file name the given artifact as its source? A missing or damaged file does not."""
    if not compiled.is_file():
        return False
    try:
        return _peek(compiled).get("artifact_sha256") == sha256
    except Exception:  # ONNX Runtime raises its own kinds, none of them public, for a damaged file
        return False


def open_session(compiled: Path) -> onnxruntime.InferenceSession:
    """Load a compiled form, ready to answer."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = (
        1  # processes use the cores; a second thread for 0.1 ms of work only costs
    )
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(compiled, options, providers=["CPUExecutionProvider"])


def peek_card(compiled: Path) -> dict[str, Any]:
    """Read the card of a compiled form without loading the model, in some milliseconds.

    Raises:
        ModelUnavailableError: it cannot be read; the text gives the reason.
    """
    try:
        return read_card(_peek(compiled))
    except Exception as error:  # ONNX Runtime raises its own kinds, none of them public
        raise ModelUnavailableError(f"{compiled.name} cannot be read: {error}") from error


def _peek(compiled: Path) -> dict[str, str]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return read_metadata(
        onnxruntime.InferenceSession(compiled, options, providers=["CPUExecutionProvider"])
    )


def read_card(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the card of a model, with its version, from the metadata of its compiled form."""
    sha256, card = metadata["artifact_sha256"], json.loads(metadata["model_card"])
    version = "-".join(part for part in (card.get("date"), sha256[:8]) if part)
    return {"version": version, "sha256": sha256} | card


def read_metadata(session: onnxruntime.InferenceSession) -> dict[str, str]:
    """Return what `artifacts/compile.py` wrote into the file: `artifact_sha256` and
    `model_card`.
    """
    return dict(session.get_modelmeta().custom_metadata_map)


def build_compiled(model_path: Path, target: Path) -> None:
    """Compile in a child process, so that this process never loads TensorFlow.

    Raises:
        ModelUnavailableError: it failed; the text is the child's.
    """
    try:
        done = run_command("compile", str(model_path), str(target))
    except subprocess.TimeoutExpired:
        for unfinished in target.parent.glob(f".{target.stem}.*{target.suffix}"):
            unfinished.unlink()
        raise ModelUnavailableError(
            f"{model_path.name}: compiling took longer than {BUILD_TIMEOUT_S} s."
        ) from None
    if done.returncode != 0:
        lines = [
            line.removeprefix("error: ")
            for line in done.stderr.splitlines()
            if line.startswith("error: ")
        ]
        if not lines:
            log.error("compiling %s failed:\n%s", model_path, done.stderr)
        raise ModelUnavailableError(
            lines[-1] if lines else f"{model_path.name}: compiling failed; the log has the reason."
        )


def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m flaskapi` in a child process, which may load libraries that this one must not.

    Raises:
        TimeoutExpired: it took longer than BUILD_TIMEOUT_S.
    """
    command = [find_python(), "-m", "flaskapi", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # What a model file from elsewhere may make it take; it may have ended already.
        with contextlib.suppress(ProcessLookupError, ValueError):
            limits = BUILD_MEMORY_BYTES, BUILD_MEMORY_BYTES
            resource.prlimit(process.pid, resource.RLIMIT_DATA, limits)
        try:
            output, errors = process.communicate(timeout=BUILD_TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
