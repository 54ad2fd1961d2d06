"""Find the compiled form of a model file, or have it built, once, in a child process."""

import contextlib
import hashlib
import logging
import os
import resource
import subprocess
from pathlib import Path

import onnxruntime

from flaskapi.errors import ModelUnavailableError
from flaskapi.processes import find_python, folder_locked
from flaskapi.serving.missing import why_no_file

BUILD_TIMEOUT_S = 120
BUILD_MEMORY_BYTES = 6 << 30
log = logging.getLogger("flaskapi")


def find_compiled(model_path: Path, cache_path: Path) -> Path:
    """Give the compiled form of exactly this model file.

    It is looked for beside the model and in the cache; where neither has it, it is built beside the
    model, or in the cache where the model's folder is read-only. Of several processes that ask at
    once, one builds.

    Raises:
        ModelUnavailableError: there is no such model, or it cannot be compiled; the text says why.
    """
    if model_path.is_dir():
        raise ModelUnavailableError(why_no_file(model_path))
    try:
        sha256 = hashlib.sha256(model_path.read_bytes()).hexdigest()
    except OSError as error:
        log.error("%s cannot be read: %s", model_path, error.strerror)
        raise ModelUnavailableError(
            f"{model_path.name} cannot be read: {error.strerror}."
        ) from error
    beside, cached = model_path.with_suffix(".onnx"), cache_path / f"{sha256}.onnx"
    for candidate in (beside, cached):
        if is_compiled_from(sha256, candidate):
            return candidate
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


def is_compiled_from(sha256: str, compiled: Path) -> bool:
    """Does this file name the given artifact as what it was built from? A missing or damaged one
    does not.
    """
    if not compiled.is_file():
        return False
    try:
        return (
            read_metadata(
                onnxruntime.InferenceSession(compiled, providers=["CPUExecutionProvider"])
            ).get("artifact_sha256")
            == sha256
        )
    except Exception:  # ONNX Runtime raises its own kinds, none of them public, for a damaged file
        return False


def open_session(compiled: Path) -> onnxruntime.InferenceSession:
    """Load a compiled form to answer with."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = (
        1  # processes use the cores; a second thread for 0.1 ms of work only costs
    )
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(compiled, options, providers=["CPUExecutionProvider"])


def read_metadata(session: onnxruntime.InferenceSession) -> dict[str, str]:
    """What `artifacts/compile.py` wrote into the file: `artifact_sha256` and `model_card`."""
    return dict(session.get_modelmeta().custom_metadata_map)


def build_compiled(model_path: Path, target: Path) -> None:
    """Compile in a child process, so that this one never loads TensorFlow.

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
            lines[-1] if lines else f"{model_path.name}: compiling failed; the log says why."
        )


def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m flaskapi` in a child process, which may load what this one must not.

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
