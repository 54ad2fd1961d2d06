"""What the figures in `docs/figures.md` are made with. `python -m benchmarks --help` lists them."""
