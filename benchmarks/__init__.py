"""What the figures in `docs/figures.md` are made with. `python -m benchmarks --help` lists them."""

import sys
from pathlib import Path

# The tests' parts, which are used here too, know each other by their bare names.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
