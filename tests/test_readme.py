"""The README and `docs/` say all there is, and nothing that is not."""

import base64
import hashlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from live import serving
from waiting import in_thread

from flaskapi import create_app
from flaskapi.__main__ import main
from flaskapi.config import SETTINGS
from flaskapi.contract.problems import PROBLEMS

ROOT = Path(__file__).parents[1]
README, *DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("deploy", "models")),
    ROOT / "deploy" / "SECURITY.md",
]
TEXT = "\n".join(document.read_text() for document in (README, *DOCUMENTS))


def section(title: str) -> str:
    """The section of this title, wherever it is, with those below it."""
    found = re.search(rf"^(#+) {title}\n(.*?)(?=^#{{1,2}} |\Z)", TEXT, re.M | re.S)
    assert found, title
    return found[2]


def anchors(document: Path) -> set[str]:
    """What can be linked to in a document: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Flask]:
    """The service with the shipped models and its store."""
    app = create_app({"INSTANCE_PATH": tmp_path, "STORE": "on"})
    yield app
    app.extensions["flaskapi"].store.close()


def without_ids(text: str) -> str:
    """Each answer's id is its own; what is compared is that there is one."""
    return re.sub(r'"id":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"', '"id":"..."', text)


@pytest.mark.parametrize(
    "document", [README, *DOCUMENTS], ids=lambda document: str(document.relative_to(ROOT))
)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if not link.startswith(("http:", "https:")):
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_each_document_and_each_test_that_holds_a_promise_is_there() -> None:
    named = re.findall(r"\| ?`(tests/[^|]*)\|", section("What it promises"))
    files = [name for names in named for name in re.findall(r"[\w/.]+", names)]
    assert len(files) > 8
    for name in files:
        assert [*ROOT.glob(name), *ROOT.glob(f"tests/*/{name}")], name
    assert {f"docs/{document.name}" for document in (ROOT / "docs").glob("*.md")} <= set(
        re.findall(r"\((docs/[^)#]+)\)", section("Read on"))
    )


def test_it_documents_every_setting_with_its_default_and_no_other() -> None:
    defaults = {
        setting.name: "" if setting.default is None else f"`{setting.default}`"
        for setting in SETTINGS
    }
    defaults |= {
        "MODEL_PATH": "`models/my_model.h5`",
        "DETECTOR_PATH": "`models/detector.h5`",
        "VERSIONS_PATH": "`models/versions`",
    }
    rows = [
        f"| `{setting.name}` | {defaults[setting.name]} | {setting.help} |" for setting in SETTINGS
    ]
    assert rows == [line for line in section("Settings").splitlines() if line.startswith("| `")]


def test_it_documents_every_route(app: Flask) -> None:
    documented = re.findall(r"`(GET|POST|PUT|DELETE) (/[^`]*)`", section("The interface"))
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    methods = [
        (method, rule.rule.replace("uuid:", ""))
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]
    assert sorted(methods) == sorted(documented)


def test_it_documents_every_problem() -> None:
    names = [
        line.split("|")[1] for line in section("Errors").splitlines() if line.startswith("| `")
    ]
    assert set(PROBLEMS) == set(re.findall(r"`([a-z-]+)`", "".join(names)))


@pytest.mark.parametrize(("part", "megabytes"), [("classifier", 4), ("detector", 5)])
def test_the_shipped_compiled_form_is_of_the_shipped_model(
    shipped: Flask, part: str, megabytes: int
) -> None:
    name = {"classifier": "my_model.h5", "detector": "detector.h5"}[part]
    model = ROOT / "models" / name
    assert (
        hashlib.sha256(model.read_bytes()).hexdigest()
        == getattr(shipped.extensions["flaskapi"], part).card["sha256"]
    )
    assert model.with_suffix(".onnx").stat().st_size < megabytes * 1_000_000


@pytest.mark.parametrize(
    ("address", "picture"),
    [("/predict", "7.png"), ("/predict/number?pattern=05dddddddd&alternatives=2", "number.jpg")],
)
def test_its_examples_are_what_the_service_answers(
    shipped: Flask, address: str, picture: str
) -> None:
    image = ROOT / "examples" / picture
    answer = (
        shipped.test_client().post(address, data={"file": image.open("rb")}).get_data(as_text=True)
    )
    assert '"id":"' in answer
    answer = without_ids(f"    {answer.strip()}")
    for text, whole in ((without_ids(TEXT), True), (without_ids(README.read_text()), False)):
        shown = [
            line.removesuffix("…")
            for line in text.splitlines()
            if line.startswith(answer[:10]) and (not whole or not line.endswith("…"))
        ]
        assert any(is_nearly(line, answer) for line in shown), "in short, or whole"


def is_nearly(shown: str, answer: str) -> bool:
    """Does an answer begin with what is shown, but for the last digits of probabilities and of
    pixels, which another processor may round otherwise?
    """
    value = re.compile(r"(?<=:)(?:\d\.\d+|\d\d+)")
    kinds = [value.sub("0", text) for text in (shown, answer)]
    numbers = [[float(one) for one in value.findall(text)] for text in (shown, answer)]
    return kinds[1].startswith(kinds[0]) and all(
        abs(one - other) <= (0.01 if one < 1 else 2) for one, other in zip(*numbers, strict=False)
    )


def test_its_example_of_many_images_is_what_the_service_answers(shipped: Flask) -> None:
    (identifier,) = re.findall(r'"request_id":"(\w+)"', section("Many images"))
    with (ROOT / "examples" / "7.png").open("rb") as image, (ROOT / "README.md").open("rb") as text:
        sent = {"file": [(image, "7.png"), (text, "README.md")]}
        answer = shipped.test_client().post(
            "/predict/batch", data=sent, headers={"X-Request-ID": identifier}
        )
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


def test_the_paths_through_the_code_that_are_described_exist() -> None:
    """docs/architecture.md names modules; each is a file of the package, or of the project."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"(?<![\w/])([a-z_/]+/[a-z_]+\.py)\b", text))
    missing = [
        name
        for name in named
        if not ((ROOT / "flaskapi" / name).exists() or (ROOT / name).exists())
    ]
    assert len(named) > 15
    assert not missing


def test_the_floors_that_are_drawn_are_those_that_are_tested() -> None:
    from test_architecture import FLOORS

    drawn = section("Rooms and floors")
    rooms = [set(re.split(r"[ ,|]+", line)) for line in re.findall(r"^    ([\w|, ]+)", drawn, re.M)]
    for floor in FLOORS:
        assert any(floor <= line for line in rooms), floor


def test_the_example_in_python_reads_what_it_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(
        r"\n\n((?: {4}[^\n]*\n|\n)*? {4}from flaskapi import Reader\n.*?)\n\n`Reader",
        section("Reading without the service"),
        re.S,
    )
    exec(textwrap.dedent(code), {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("7 ")
    assert second.startswith("0551234678 [Box(x=")


def test_the_example_of_the_open_inference_protocol_runs(
    shipped: Flask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Python, and what curl sends, which no shell need put together here."""
    monkeypatch.chdir(ROOT)
    said = section("Open Inference Protocol")
    (code,) = re.findall(
        r"\n\n((?: {4}[^\n]*\n|\n)*? {4}import tritonclient.*?)\n\nWithout", said, re.S
    )
    with serving(shipped) as host:
        exec(textwrap.dedent(code).replace("127.0.0.1:8000", host), {})
    assert "[7] [1.]\n" == capsys.readouterr().out
    (sent,) = re.findall(r'curl -d "(.*?)" http://127.0.0.1:8000/v2', said)
    image = base64.b64encode(Path("examples/7.png").read_bytes()).decode()
    body = sent.replace("\\", "").replace("$(base64 -w0 examples/7.png)", image)
    answer = shipped.test_client().post("/v2/models/digits/infer", data=body).text

    def without_id(text: str) -> str:
        return re.sub(r'\["[0-9a-f-]{36}"\]', '["..."]', text)

    assert f"    {without_id(answer)}\n" in without_id(said)


def test_the_example_of_the_model_context_protocol_runs(
    shipped: Flask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    said = section("Model Context Protocol")
    (code,) = re.findall(r"\n\n( {4}import asyncio.*?)\n\n\| tool", said, re.S)
    with serving(shipped) as host:
        source = textwrap.dedent(code).replace("127.0.0.1:8000", host)
        in_thread(lambda: exec(source, {}))
    assert "0551234678\n" == capsys.readouterr().out
    sent, begins = re.findall(r"curl -d '(.*)' http.*/mcp\n {4}(.*)…", said)[0]
    answer = shipped.test_client().post("/mcp", data=sent)
    assert answer.text.startswith(begins.rstrip())


def test_the_commands_for_label_studio_run(
    shipped: Flask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What is exported is imported as it is: each label is there already."""
    for name, value in (("STORE", "on"), ("INSTANCE_PATH", str(tmp_path))):
        monkeypatch.setenv(f"FLASKAPI_{name}", value)
    client = shipped.test_client()
    image = (ROOT / "examples" / "7.png").read_bytes()
    id = client.post("/predict", data=image).get_json()["id"]
    client.put(f"/submissions/{id}/label", json={"digit": 7})
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"-m flaskapi ((?:ex|im)port .*?) *#", section("Label Studio"))
    exporting, importing = commands
    assert 0 == main(exporting.split())
    (tmp_path / "for-label-studio" / "tasks.json").rename(importing.split()[1])
    for printed in ("labelled 1 that were kept", "1 were there already"):
        assert 0 == main(importing.split())
        assert printed in capfd.readouterr().out
