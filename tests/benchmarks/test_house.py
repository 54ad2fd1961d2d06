"""The figures of the code: what is counted in a checkout, and what is imported to measure it."""

from pathlib import Path

from benchmarks import house

CODE = """
def outer() -> None:
    def inner() -> None:
        import flaskapi.errors
        from os import path
"""


def test_modules_lines_functions_and_imports_within_functions_are_counted(tmp_path: Path) -> None:
    """An import in a function within another is one import."""
    room = tmp_path / "flaskapi" / "reading"
    room.mkdir(parents=True)
    (room / "__init__.py").write_text('"""A room."""\n')
    (room / "digit.py").write_text(CODE)
    assert {
        "modules": "2",
        "lines": "6",
        "functions": "2",
        "lines of a function: median, longest": "3.5, 4",
        "imports within functions, of own modules": "2, 1",
    } == house.count_code(tmp_path)
    assert "import flaskapi.reading.digit" == house.imports(tmp_path)["all modules of reading"]
