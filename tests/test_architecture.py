"""The house: what is at home in which room, and that imports only go down. A new file is covered by
itself.
"""

import ast
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
    "cv2": {"digits", "handwriting"},
    "onnxruntime": {"serving", "artifacts"},  # artifacts checks what it has compiled
    **{name: {"artifacts"} for name in ("h5py", "onnx")},
    "keras": {"artifacts", "training"},
    **{name: {"web"} for name in ("werkzeug", "prometheus_client", "flask_limiter", "limits")},
    "flask": {"web", "app"},
    **{name: {"evaluation"} for name in ("jinja2", "markupsafe")},
    **{name: {"commands"} for name in ("tqdm", "pyarrow")},
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
    {"errors", "drift", "arrays", "labels"},
]

READS_THE_ENVIRONMENT = {"flaskapi/config.py"}
SET_IT_FOR_A_LIBRARY = {"train_mnist.py", "deploy/flaskapi.wsgi"} | {
    f"flaskapi/{file}.py"
    for file in ("commands/files", "commands/predict/__init__", "commands/retrain", "web/metrics")
}


def nodes(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text("utf-8"))))


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
        file.relative_to(ROOT).as_posix(): {ast.unparse(node) for node in nodes(file)}
        | set(imports(file))
        for file in FILES
    }
    touch = {
        file for file, found in names.items() if found & {"os.environ", "os.getenv", "os.putenv"}
    }
    assert READS_THE_ENVIRONMENT | SET_IT_FOR_A_LIBRARY == touch
