"""The house: what is at home in which room, and that imports only go down. A new file is covered by
itself.
"""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [*ROOT.glob("flaskapi/**/*.py"), ROOT / "train_mnist.py", ROOT / "deploy" / "flaskapi.wsgi"]
)
HOMES = {
    "numpy": {
        *("arrays", "digits", "sources", "serving", "handwriting", "artifacts", "reading"),
        *("training", "versions", "evaluation", "learning"),
    },
    **{name: {"digits"} for name in ("PIL", "pillow_heif", "pypdfium2")},
    "apispec": {"contract"},
    "cv2": {"digits", "handwriting"},
    "onnxruntime": {"serving", "artifacts"},  # artifacts checks what it has compiled
    **{name: {"artifacts"} for name in ("h5py", "onnx")},
    **{name: {"artifacts", "training"} for name in ("keras", "tensorflow")},
    **{name: {"web"} for name in ("werkzeug", "multipart")},
    **{name: {"web"} for name in ("prometheus_client", "flask_limiter", "limits")},
    "flask": {"web", "app"},
    **{name: {"evaluation"} for name in ("jinja2", "markupsafe")},
    **{name: {"commands"} for name in ("tqdm", "pyarrow", "ray")},
    "fsspec": {"commands", "submissions"},
    **{name: {"submissions"} for name in ("sqlalchemy", "alembic", "psycopg")},
}
FLOORS = [  # from the roof down; errors.py lies under config.py, which raises one of them
    {"scripts", "__main__"},
    {"commands"},  # over app: `check`, for one, makes the service as a web process does
    {"__init__"},  # the face: gives what is public on demand
    {"app"},
    {"web", "learning"},
    {"contract", "versions", "evaluation", "training"},
    {"reading", "artifacts"},
    {"serving", "handwriting"},
    {"digits", "submissions", "sources", "config"},
    {"privileges", "processes"},
    {"errors", "drift", "arrays", "labels", "steps"},
]

READS_THE_ENVIRONMENT = {"flaskapi/config.py"}
SET_IT_FOR_A_LIBRARY = {"train_mnist.py", "deploy/flaskapi.wsgi"} | {
    f"flaskapi/{file}.py"
    for file in (
        "__init__",
        "privileges",
        "commands/files",
        "commands/predict/__init__",
        "commands/retrain",
        "commands/score/__init__",
        "web/metrics",
    )
}


@functools.cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    return list(ast.walk(tree(file)))


def imports(file: Path) -> list[str]:
    found = [node for node in nodes(file) if isinstance(node, ast.Import | ast.ImportFrom)]
    prefix = {
        node: f"{'.' * node.level}{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for node in found
    }
    return [prefix[node] + name.name for node in found for name in node.names]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_room_imports_from_below_and_what_is_at_home_in_it(file: Path) -> None:
    parts, rooms = file.relative_to(ROOT).with_suffix("").parts, set().union(*FLOORS)
    room = parts[1] if parts[0] == "flaskapi" else "scripts"
    below = {room}.union(*FLOORS[[room in floor for floor in FLOORS].index(True) + 1 :])
    for name in imports(file):
        top, inner, *_ = [*name.split("."), ""]
        if top == "flaskapi":
            assert (inner if inner in rooms else "__init__") in below, name
        else:
            assert top in sys.stdlib_module_names or room in HOMES.get(top, ()), name


def test_the_environment_is_read_in_one_place_and_set_where_a_library_reads_it() -> None:
    names = {
        file.relative_to(ROOT).as_posix(): {
            ast.unparse(node) for node in nodes(file) if isinstance(node, ast.Attribute)
        }
        | set(imports(file))
        for file in FILES
    }
    touch = {
        file for file, found in names.items() if found & {"os.environ", "os.getenv", "os.putenv"}
    }
    assert READS_THE_ENVIRONMENT | SET_IT_FOR_A_LIBRARY == touch


# What a child process prints after it has imported every module of a room.
IMPORT_ALL = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.iter_modules(getattr(room, "__path__", [])):
    importlib.import_module(f"{sys.argv[1]}.{module.name}")
print(*sys.modules)
"""
ROOMS = sorted(
    path.stem if path.is_file() else path.name
    for path in (ROOT / "flaskapi").iterdir()
    if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.stem[0] != "_")
)
# Keras brings TensorFlow; what else it brings is its own affair.
NEED_KERAS = {"artifacts", "training"}


@pytest.mark.process
@pytest.mark.parametrize("room", [room for room in ROOMS if room not in NEED_KERAS])
def test_importing_a_room_loads_its_libraries_and_those_below_and_no_others(room: str) -> None:
    (place,) = (n for n, floor in enumerate(FLOORS) if room in floor)
    reachable = {room}.union(*FLOORS[place + 1 :])
    loaded = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, f"flaskapi.{room}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    outside = {name.partition(".")[0] for name in loaded} & {*HOMES}
    allowed = {name for name, rooms in HOMES.items() if rooms & (reachable - NEED_KERAS)}
    assert set() == outside - allowed


@pytest.mark.process
def test_the_face_and_the_errors_load_next_to_nothing() -> None:
    """At most 15 MB above an empty interpreter."""
    code = """
def held_mb():
    status = open("/proc/self/status").read()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000
before = held_mb()
import flaskapi.errors
print(held_mb() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 15


@pytest.mark.process
def test_the_help_of_a_command_loads_no_library_from_outside() -> None:
    code = "import sys, flaskapi.__main__ as main\ntry: main.main(['keys', '--help'])\n"
    code += "finally: print('loaded:', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    loaded = done.stdout.partition("loaded:")[2].split()
    assert "flaskapi.commands.keys" in loaded
    assert not {name.partition(".")[0] for name in loaded} & {*HOMES, "http"}


def test_a_public_class_has_a_name_of_its_own() -> None:
    """One word, one meaning."""
    seen: dict[str, str] = {}
    for file in FILES:
        for node in tree(file).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where = file.relative_to(ROOT).as_posix()
                assert node.name not in seen, f"{node.name}: {where} and {seen[node.name]}"
                seen[node.name] = where


def test_types_of_arrays_are_named_in_one_place() -> None:
    """`arrays.py`; `digits` gives two of them the names of what they hold."""
    aliases = {
        f"{file.relative_to(ROOT).as_posix()}: {ast.unparse(node)}"
        for file in FILES
        for node in tree(file).body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("npt.NDArray[")
    }
    assert {one.partition(":")[0] for one in aliases} == {"flaskapi/arrays.py"}
