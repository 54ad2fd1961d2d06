"""What is declared, pinned and shipped agrees."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from fakes import draw_digit, encode
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = [
    line
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_the_conda_environment_is_the_pinned_set() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert PINS == environment["dependencies"][-1]["pip"]


def test_every_declared_requirement_is_pinned_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in map(Requirement, PINS)
    }
    declared = [
        Requirement(text)
        for part in [project["dependencies"], *project["optional-dependencies"].values()]
        for text in part
    ]
    outside = [
        str(wanted)
        for wanted in declared
        if pinned[canonicalize_name(wanted.name)] not in wanted.specifier
    ]
    assert [] == outside


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip installs it, `site`, and nothing else of this project."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder


@pytest.mark.process
def test_what_pip_installs_serves_the_shipped_model(installed: Path) -> None:
    """The wheel bears the model and the page: nothing but its own folder is needed."""
    (installed / "7.png").write_bytes(encode(draw_digit(7)))
    program = (
        "import flaskapi; app = flaskapi.create_app({'INSTANCE_PATH': 'instance'}); "
        "print(flaskapi.__file__)\n"
        "print(app.test_client().post('/predict', data={'file': open('7.png', "
        "'rb')}).get_json()['digit'], app.test_client().get('/page/page.js').status_code)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=installed,
        env={"PYTHONPATH": "site"},
        capture_output=True,
        text=True,
    )
    assert [
        str(installed / "site" / "flaskapi" / "__init__.py"),
        "7",
        "200",
    ] == done.stdout.split(), done.stderr


def test_what_serving_needs_is_pinned_with_hashes_and_as_in_the_full_set() -> None:
    """All that a process of the service needs is there, and nothing has an address."""
    text = (ROOT / "deploy" / "requirements-serve.txt").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==(\S+) \\\n", text, re.M))
    assert not re.findall(r"https?:|--index|--extra|--find", text)
    for name, version in locked.items():
        assert f"{name}=={version}" in PINS
        (hashes,) = re.findall(rf"^{re.escape(name)}==.*\\\n((?: +--hash=.*\n)+)", text, re.M)
        assert re.fullmatch(r"(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", hashes), name
    needed, seen = ["flaskapi"], set[str]()
    while needed:
        for line in distribution(needed.pop()).requires or []:
            wanted = Requirement(line)
            name = canonicalize_name(wanted.name)
            if name not in seen and (
                wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            ):
                seen.add(name)
                needed.append(name)
    assert seen <= {canonicalize_name(name) for name in locked}


def test_every_extra_that_a_reader_is_told_to_install_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("flaskapi/**/*.py")]
    named = {
        name
        for path in [*told, *ROOT.glob("deploy/*.md"), *ROOT.glob("tests/*.py")]
        for found in re.findall(r"\.\[(\w+)\]'|extra [`'](\w+)[`']", path.read_text("utf-8"))
        for name in found
        if name
    }
    assert {"train", "parquet"} <= named <= set(project["optional-dependencies"])


@pytest.mark.process
def test_a_users_type_checker_sees_the_types_of_what_is_public(installed: Path) -> None:
    """By `py.typed`, with `mypy --strict`, as where the package is installed."""
    (installed / "use.py").write_text(
        "from flaskapi import Reader, create_app\n"
        "reveal_type(create_app())\n"
        "reveal_type(Reader().digit(b'').prediction.digit)\n"
        "reveal_type(Reader().number(b'').number)\n"
        "Reader().number(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mypy", "--strict", "--no-incremental", "use.py"],
        cwd=installed,
        env={"PYTHONPATH": "site", "MYPYPATH": "", "HOME": str(installed)},
        capture_output=True,
        text=True,
    )
    said = [line.partition("use.py:")[2] for line in done.stdout.splitlines() if "use.py:" in line]
    assert 'note: Revealed type is "flask.app.Flask"' in said[0]
    assert 'note: Revealed type is "int"' in said[1].replace("builtins.", "")
    assert 'note: Revealed type is "str"' in said[2].replace("builtins.", "")
    assert "[arg-type]" in said[3]
    assert 4 == len(said), done.stdout
