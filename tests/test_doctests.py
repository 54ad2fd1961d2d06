"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "flaskapi").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_are_true(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the checkout's folder, where `examples/` is."""
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert (0, True) == (failed, tried > 0)


def test_the_functions_that_a_reader_meets_first_have_an_example() -> None:
    find = doctest.DocTestFinder(exclude_empty=True).find
    shown = [
        one.name
        for module in MODULES
        for one in find(importlib.import_module(module))
        if one.examples
    ]
    assert len(shown) >= 10, shown
