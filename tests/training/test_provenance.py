"""A card says how a training is repeated, and on what machine it ran."""

import platform
import subprocess
from pathlib import Path

import pytest

from flaskapi.training.provenance import (
    describe_run,
    find_commit,
    name_instructions,
    without_paths,
)

pytestmark = pytest.mark.process


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(folder), *author, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_command_is_what_was_typed_without_the_paths_of_this_machine() -> None:
    typed = ["--data", "/home/me/mnist", "--seed", "3", "--output=x.h5", "--network", "compact"]
    assert ["--seed", "3", "--network", "compact"] == without_paths(typed)
    assert "python train_mnist.py --seed 3" == describe_run(["--seed", "3"])["command"]


def test_a_commit_is_named_and_so_is_that_files_differ_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "One")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert head[:12] == find_commit(tmp_path)
    (tmp_path / "data.txt").write_text("not tracked")
    assert head[:12] == find_commit(tmp_path)
    (tmp_path / "code.py").write_text("2")
    assert head[:12] + "+" == find_commit(tmp_path)


def test_what_is_in_no_checkout_of_its_own_has_no_commit(tmp_path: Path) -> None:
    assert find_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "One")
    (tmp_path / "inside").mkdir()
    assert find_commit(tmp_path / "inside") is None


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("model name\t: One\nflags\t\t: fpu avx avx2 fma\n", "AVX2"),
        ("flags : avx2 avx512f avx512_vnni\n", "AVX-512 VNNI"),
        ("Features\t: fp asimd\n", "NEON"),
        ("model name : with avx2 in it\nflags : fpu\n", platform.machine()),
        ("", platform.machine()),
    ],
)
def test_instructions_are_named_by_what_the_processor_says(cpuinfo: str, name: str) -> None:
    assert name == name_instructions(cpuinfo)
