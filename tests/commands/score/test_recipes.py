"""The recipes of docs/bulk.md that can run on one machine."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.process
def test_the_recipe_for_dask_reads_the_examples(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "bulk.md").read_text()
    (code,) = re.findall(r"\n\n( {4}import functools.*?)\n\nSpark", text, re.S)
    (tmp_path / "recipe.py").write_text(textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, tmp_path / "recipe.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert "('examples/7.png', 7)" in done.stdout
    assert "('examples/photo.jpg', 5)" in done.stdout
