"""The README says all there is, and nothing that is not."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from flaskapi import create_app
from flaskapi.__main__ import main
from flaskapi.config import SETTINGS
from flaskapi.web.errors import PROBLEMS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return re.split(r"^##+ ", README.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Flask]:
    """The service with the shipped models and its store."""
    app = create_app({"INSTANCE_PATH": tmp_path, "STORE": "on"})
    yield app
    app.extensions["flaskapi"].store.close()


def without_ids(text: str) -> str:
    """Each answer's id is its own; what is compared is that there is one."""
    return re.sub(r'"id":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"', '"id":"..."', text)


def test_it_documents_every_setting_with_its_default_and_no_other() -> None:
    defaults = {setting.name: "" if setting.default is None else f"`{setting.default}`" for setting in SETTINGS}
    defaults |= {"MODEL_PATH": "`models/my_model.h5`", "DETECTOR_PATH": "`models/detector.h5`", "VERSIONS_PATH": "`models/versions`"}
    rows = [f"| `{setting.name}` | {defaults[setting.name]} | {setting.help} |" for setting in SETTINGS]
    assert rows == [line for line in section("Settings").splitlines() if line.startswith("| `")]


def test_it_documents_every_route(app: Flask) -> None:
    documented = re.findall(r"`(GET|POST|PUT|DELETE) (/[^`]*)`", section("The interface"))
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    methods = [(method, rule.rule.replace("uuid:", "")) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}]
    assert sorted(methods) == sorted(documented)


def test_it_documents_every_problem() -> None:
    names = [line.split("|")[1] for line in section("Errors").splitlines() if line.startswith("| `")]
    assert set(PROBLEMS) == set(re.findall(r"`([a-z-]+)`", "".join(names)))


@pytest.mark.parametrize(("part", "megabytes"), [("classifier", 4), ("detector", 5)])
def test_the_shipped_compiled_form_is_of_the_shipped_model(shipped: Flask, part: str, megabytes: int) -> None:
    name = {"classifier": "my_model.h5", "detector": "detector.h5"}[part]
    model = ROOT / "models" / name
    assert hashlib.sha256(model.read_bytes()).hexdigest() == getattr(shipped.extensions["flaskapi"], part).card["sha256"]
    assert model.with_suffix(".onnx").stat().st_size < megabytes * 1_000_000


@pytest.mark.parametrize(
    ("address", "picture"), [("/predict", "7.png"), ("/predict/number?pattern=05dddddddd&alternatives=2", "number.jpg")]
)
def test_its_examples_are_what_the_service_answers(shipped: Flask, address: str, picture: str) -> None:
    image = ROOT / "examples" / picture
    answer = shipped.test_client().post(address, data={"file": image.open("rb")}).get_data(as_text=True)
    assert '"id":"' in answer
    assert without_ids(answer.strip()) in without_ids(README)


def test_its_example_of_many_images_is_what_the_service_answers(shipped: Flask) -> None:
    (identifier,) = re.findall(r'"request_id":"(\w+)"', section("Many images"))
    with (ROOT / "examples" / "7.png").open("rb") as image, (ROOT / "README.md").open("rb") as text:
        sent = {"file": [(image, "7.png"), (text, "README.md")]}
        answer = shipped.test_client().post("/predict/batch", data=sent, headers={"X-Request-ID": identifier})
    assert without_ids(answer.text) in without_ids(section("Many images"))


def test_its_example_of_the_command_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    monkeypatch.chdir(ROOT)
    (line,) = re.findall(r"-m flaskapi (predict examples/7.png .*)", section("Without a server"))
    assert 1 == main(line.split())
    printed = [f"    {row}" for row in capfd.readouterr().out.splitlines()]
    assert "\n".join(printed) in section("Without a server")
