"""What Atheris makes up in a few seconds does no harm; `make fuzz MINUTES=10` tries longer."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from benchmarks import fuzz

pytestmark = pytest.mark.process
SECONDS = 2  # of inputs; to instrument the package takes as long


@pytest.mark.parametrize("way", ["decode, /predict", "forms", "archives", "JSON of many"])
def test_made_up_input_does_no_harm(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("atheris") is None:
        # It has no build for other systems, nor for each new Python at once.
        is_built = sys.platform == "linux" and sys.version_info < (3, 14)
        (pytest.fail if os.environ.get("CI") and is_built else pytest.skip)("pip install atheris")
    found = fuzz.try_out(way, SECONDS, tmp_path)
    said = capsys.readouterr().out.splitlines()[-1]
    assert not found, said
    inputs = int(said.removeprefix(way).split()[0])
    assert inputs > 10
