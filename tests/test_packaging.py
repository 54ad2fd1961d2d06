"""What is declared, pinned and shipped agrees."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

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
        canonicalize_name(name): version for name, version in (pin.split("==") for pin in PINS)
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


def test_what_pip_installs_serves_the_shipped_model(tmp_path: Path) -> None:
    """The wheel bears the model: nothing but its own folder is needed."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    (tmp_path / "7.png").write_bytes(encode(draw_digit(7)))
    program = (
        "import flaskapi; app = flaskapi.create_app({'INSTANCE_PATH': 'instance'}); "
        "print(flaskapi.__file__)\n"
        "print(app.test_client().post('/predict', data={'file': open('7.png', "
        "'rb')}).get_json()['digit'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": "site"},
        capture_output=True,
        text=True,
    )
    assert [str(tmp_path / "site" / "flaskapi" / "__init__.py"), "7"] == done.stdout.split(), (
        done.stderr
    )


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
