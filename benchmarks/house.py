"""The house in figures: modules, lines, functions, and what importing each room costs."""

import argparse
import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORT = """
import resource, sys, time
before, started_s = len(sys.modules), time.process_time()
def kb():
    return int(open("/proc/self/status").read().partition("VmRSS:")[2].split()[0])
held = kb()
{statement}
print(time.process_time() - started_s, (kb() - held) / 1000, len(sys.modules) - before)
"""


def main(root: Path = ROOT) -> None:
    """Print the figures of a checkout; another one's, to compare, with its folder as argument."""
    files = sorted(root.glob("flaskapi/**/*.py"))
    trees = {file: ast.parse(file.read_text("utf-8")) for file in files}
    lines = sum(len(file.read_text("utf-8").splitlines()) for file in files)
    lengths = sorted(length for tree in trees.values() for length in _function_lengths(tree))
    inner = [node for tree in trees.values() for node in _inner_imports(tree)]
    own = sum("flaskapi" in ast.unparse(node) for node in inner)
    print(f"modules {len(files)}, lines {lines:,}, functions {len(lengths):,}")
    print(f"function, lines: median {statistics.median(lengths):g}, longest {lengths[-1]}")
    print(f"imports within functions {len(inner)}, of the project's own modules {own}")
    print(f"\n{'importing':34}{'CPU s':>8}{'MB':>8}{'modules':>9}")
    rooms = [path.parent.name for path in sorted(root.glob("flaskapi/*/__init__.py"))]
    for name in ["flaskapi", "flaskapi.errors", *(f"flaskapi.{room}" for room in rooms)]:
        _print_cost(name, f"import {name}", root)
    for room in rooms:
        modules = [file.stem for file in sorted((root / "flaskapi" / room).glob("[!_]*.py"))]
        whole = "; ".join(f"import flaskapi.{room}.{module}" for module in modules)
        _print_cost(f"flaskapi.{room}, all of it", whole, root)


def _function_lengths(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def _inner_imports(tree: ast.AST) -> Iterator[ast.AST]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield node


def _print_cost(name: str, statement: str, root: Path) -> None:
    program = IMPORT.replace("{statement}", statement)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"{name:34}{done.stderr.strip().splitlines()[-1][:60]}")
        return
    seconds, megabytes, modules = done.stdout.split()
    print(f"{name:34}{float(seconds):8.2f}{float(megabytes):8.0f}{modules:>9}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=ROOT, help="a checkout")
    main(parser.parse_args().root.resolve())
