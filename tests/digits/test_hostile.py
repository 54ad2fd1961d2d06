import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile import BOUNDED, REFUSED

pytestmark = pytest.mark.process
TESTS = Path(__file__).parents[1]
# Of CPU on a machine that does other work beside; alone, it is two thirds of that.
MOST_CPU_S, MOST_MEMORY = 1.2, 250_000_000


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, Any]]:
    """What each of the pictures took, by its name."""
    done = subprocess.run(
        [sys.executable, "-m", "bounded"], cwd=TESTS, capture_output=True, text=True, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("name", REFUSED | BOUNDED)
def test_no_picture_takes_more_than_its_bounds(
    name: str, measured: dict[str, dict[str, Any]]
) -> None:
    """CPU and memory are those of a fresh process and of the process apart, together."""
    row = measured[name]
    assert row["cpu_s"] < MOST_CPU_S
    assert row["memory"] < MOST_MEMORY


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_too_many_parts_is_refused_by_its_structure(
    name: str, measured: dict[str, dict[str, Any]]
) -> None:
    """A tenth of a second is for the walk; decoding takes longer."""
    assert measured[name]["outcome"] in ("refused", "invalid")
    assert measured[name]["cpu_s"] < 0.2


@pytest.mark.parametrize(
    "name", ["png-ztxt", "png-itxt", "png-raw-profile", "png-profile", "png-exif", "jpeg-fill"]
)
def test_what_no_decoder_needs_is_left_out(name: str, measured: dict[str, dict[str, Any]]) -> None:
    """The picture beneath is sound, and is read."""
    assert measured[name]["outcome"] == "read"
