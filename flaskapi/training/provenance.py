"""How a model was made, for its card: the command, the commit and the machine."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

# Of what a processor can do, what matrix products are fastest with; the first that it has.
INSTRUCTIONS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "asimddp": "NEON with dot products",
    "asimd": "NEON",
}
# So many bfloat16 numbers are multiplied at once that a training in them is faster.
FAST_BFLOAT16 = {"amx_bf16", "avx512_bf16"}
PATHS = ("--data", "--backup", "--output")  # of one machine; the result is the same with others


def describe_run(arguments: list[str]) -> dict[str, Any]:
    """Describe how to repeat a training, and where it ran.

    Args:
        arguments: of `train_mnist.py`.
    """
    return {
        "command": " ".join(["python", "train_mnist.py", *without_paths(arguments)]),
        "commit": find_commit(Path(__file__).parents[2]),
        "instructions": name_instructions(_read_cpuinfo()),
        "cores": len(os.sched_getaffinity(0)),
    }


def without_paths(arguments: list[str]) -> list[str]:
    """Remove the options that only name paths on this machine."""
    kept = []
    skips = False
    for argument in arguments:
        if skips:
            skips = False
        elif argument in PATHS:
            skips = True
        elif not argument.startswith(tuple(f"{path}=" for path in PATHS)):
            kept.append(argument)
    return kept


def find_commit(checkout: Path) -> str | None:
    """The commit of a checkout, with a `+` if tracked files differ from it; None outside Git."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(checkout), *arguments],  # noqa: S607 whichever git there is
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    if commit is None or git("rev-parse", "--show-prefix") != "":
        return None  # installed in a folder of another project's checkout
    return commit + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def name_instructions(cpuinfo: str) -> str:
    """The widest vector instructions in `/proc/cpuinfo`; otherwise the architecture."""
    flags = _find_flags(cpuinfo)
    return next((name for flag, name in INSTRUCTIONS.items() if flag in flags), platform.machine())


def choose_precision() -> str:
    """Keras's name of the precision in which this machine trains convolutions fastest."""
    is_fast = FAST_BFLOAT16 & _find_flags(_read_cpuinfo())
    return "mixed_bfloat16" if is_fast else "float32"


def _find_flags(cpuinfo: str) -> set[str]:
    flags: set[str] = set()
    for line in cpuinfo.splitlines():
        name, _, values = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            flags.update(values.split())
    return flags


def _read_cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return ""
