"""The code in figures: modules, lines, functions, and what importing each room costs."""

import argparse
import ast
import statistics
import subprocess
import sys
import tempfile
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
ROUNDS = 3  # of imports, in turn; the least time of them is printed


def main(names: list[str]) -> None:
    """Print a table with a column for each checkout or commit, the working tree if none is named.

    Args:
        names: folders of checkouts, or commits of this repository.
    """
    with tempfile.TemporaryDirectory() as folder:
        roots = [_find_root(name, Path(folder)) for name in names or [str(ROOT)]]
        figures = [count_code(root) for root in roots]
        for name, column in _measure_imports(roots).items():
            for figure, cost in zip(figures, column, strict=True):
                figure[name] = cost
    print(f"| | {' | '.join(names or ['the working tree'])} |\n|---{'|---' * len(roots)}|")
    for name in figures[0]:
        print(f"| {name} | {' | '.join(figure[name] for figure in figures)} |")


def count_code(root: Path) -> dict[str, str]:
    """Give what is counted in the source of a checkout, under the names of the table's rows."""
    files = sorted(root.glob("flaskapi/**/*.py"))
    texts = [file.read_text("utf-8") for file in files]
    trees = [ast.parse(text) for text in texts]
    lengths = sorted(length for tree in trees for length in _function_lengths(tree))
    inner = [node for tree in trees for node in _inner_imports(tree)]
    own = sum("flaskapi" in ast.unparse(node) for node in inner)
    return {
        "modules": str(len(files)),
        "lines": f"{sum(len(text.splitlines()) for text in texts):,}",
        "functions": f"{len(lengths):,}",
        "lines of a function: median, longest": f"{statistics.median(lengths):g}, {lengths[-1]}",
        "imports within functions, of own modules": f"{len(inner)}, {own}",
    }


def imports(root: Path) -> dict[str, str]:
    """Give the statements whose cost is measured, by name: each room, and all of its modules."""
    rooms = [path.parent for path in sorted(root.glob("flaskapi/*/__init__.py"))]
    found = {f"import {name}": f"import {name}" for name in ("flaskapi", "flaskapi.errors")}
    found |= {f"import flaskapi.{room.name}": f"import flaskapi.{room.name}" for room in rooms}
    for room in rooms:
        modules = [file.stem for file in sorted(room.glob("[!_]*.py"))]
        found[f"all modules of {room.name}"] = "; ".join(
            f"import flaskapi.{room.name}.{module}" for module in modules
        )
    return found


def _find_root(name: str, folder: Path) -> Path:
    """Give the folder of a checkout; a commit is written into `folder` first."""
    if Path(name).is_dir():
        return Path(name).resolve()
    command = ["git", "-C", str(ROOT), "archive", name, "flaskapi"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"error: {name}: expected a folder or a commit. {done.stderr.decode().strip()}")
    target = folder / name.replace("/", "-")
    target.mkdir()
    subprocess.run(["tar", "-x", "-C", target], input=done.stdout, check=True)
    return target


def _function_lengths(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def _inner_imports(tree: ast.AST) -> set[ast.AST]:
    """Give the imports within functions, each once, also one in a function within another."""
    return {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }


def _measure_imports(roots: list[Path]) -> dict[str, list[str]]:
    """Measure every import in fresh processes, the checkouts in turn; "" where one lacks it."""
    statements = [imports(root) for root in roots]
    costs = {}
    for name in dict.fromkeys(name for one in statements for name in one):
        rounds = [
            [
                _measure(one[name], root) if name in one else (0.0, "")
                for one, root in zip(statements, roots, strict=True)
            ]
            for _ in range(ROUNDS)
        ]
        costs[name] = [min(column)[1] for column in zip(*rounds, strict=True)]
    return costs


def _measure(statement: str, root: Path) -> tuple[float, str]:
    """Seconds of CPU, and the text for the table: these, MB and modules loaded, or the error."""
    program = IMPORT.replace("{statement}", statement)
    command = [sys.executable, "-c", program]  # the folder comes before what is installed
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        return 0.0, done.stderr.strip().splitlines()[-1][:60]
    seconds, megabytes, modules = done.stdout.split()
    return float(seconds), f"{float(seconds):.2f} s, {float(megabytes):.0f} MB, {modules} modules"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.house", description=__doc__)
    parser.add_argument(
        "checkout", nargs="*", help="folders of checkouts, or commits; by default this checkout"
    )
    main(parser.parse_args().checkout)
