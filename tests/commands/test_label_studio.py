"""Label Studio, both ways. Its files were written by Label Studio 1.23.2 itself, from tasks that
`export` wrote.
"""

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import numpy as np
import pytest
from fakes import draw_digit, encode, make_submission
from operators import place_empty_store
from PIL import Image

from flaskapi.__main__ import main
from flaskapi.errors import DatasetError
from flaskapi.evaluation.labelled import load_labelled
from flaskapi.evaluation.tasks import read_image
from flaskapi.submissions.database import Database
from flaskapi.submissions.labels import read_history
from flaskapi.submissions.listing import Filters, find_page, get_submission

WRITTEN = Path(__file__).parents[1] / "data" / "label-studio-1.23.2"
NUMBER: dict[str, Any] = {"probabilities": None, "normalized": None, "route": "/predict/number"}
PNG = encode(draw_digit(7, side=28))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The store of the settings."""
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path / "instance"))
    monkeypatch.setenv("FLASKAPI_STORE", "on")
    place_empty_store(tmp_path / "instance")
    return Database(f"sqlite:///{tmp_path}/instance/submissions.db", "process")


def keep(store: Database, *kept: dict[str, Any]) -> list[UUID]:
    sent = [make_submission(**changes) for changes in kept]
    store.record(sent)
    store.close()
    return [one.id for one in sent]


def exported(folder: Path, *options: str) -> list[dict[str, Any]]:
    assert 0 == main(["export", str(folder), "--format", "label-studio", *options])
    assert {"tasks.json", "label_config.xml"} == {path.name for path in folder.iterdir()}
    tasks: list[dict[str, Any]] = json.loads((folder / "tasks.json").read_text())
    return tasks


def id_of(place: int) -> UUID:
    """The submissions that the files of Label Studio name."""
    return UUID(f"01a22d55-0000-7000-8000-{place:012}")


def labels(store: Database) -> dict[UUID, tuple[str | None, str | None]]:
    rows = find_page(store, Filters(), 100, None).rows
    return {row["id"]: (row["label"], row["label_source"]) for row in rows}


def test_digits_are_tasks_with_what_was_answered_and_labelled(
    store: Database, tmp_path: Path
) -> None:
    labelled, other = keep(
        store,
        {"image": PNG, "label": "9", "label_source": "operator"},
        {"image": encode(draw_digit(3, side=28), "JPEG"), "uncertain": True},
    )
    first, second = exported(tmp_path / "out")
    assert (str(labelled), str(other)) == (
        first["data"]["submission"],
        second["data"]["submission"],
    )
    assert PNG == read_image(first["data"]["image"], tmp_path)
    assert read_image(second["data"]["image"], tmp_path).startswith(b"\x89PNG")
    said = {"from_name": "digit", "to_name": "image", "type": "choices"}
    assert [said | {"value": {"choices": ["9"]}}] == first["annotations"][0]["result"]
    assert [] == second["annotations"]
    (prediction,) = second["predictions"]
    assert ("2026-01-01-00000000", 0.9) == (prediction["model_version"], prediction["score"])
    assert [said | {"value": {"choices": ["7"]}}] == prediction["result"]
    assert second["data"]["uncertain"]
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}


def test_numbers_are_texts_with_a_box_for_each_digit(store: Database, tmp_path: Path) -> None:
    """In hundredths of the picture as it is shown: upright, whatever its EXIF data say."""
    turned = Image.fromarray(np.zeros((40, 100), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    digit = {"digit": 1, "confidence": 0.9, "uncertain": False}
    keep(
        store,
        {
            "image": encode(turned, "JPEG", exif=exif),
            "prediction": "12",
            "lines": ["1", "2"],
            "digits": [digit | {"box": {"x": 4, "y": 50, "width": 10, "height": 20}}],
        }
        | NUMBER,
    )
    (task,) = exported(tmp_path / "out", "--number")
    text, box = task["predictions"][0]["result"]
    assert ("number", {"text": ["1|2"]}) == (text["from_name"], text["value"])
    assert (40, 100) == (box["original_width"], box["original_height"])
    place = {"x": 10, "y": 50, "width": 25, "height": 20, "rotation": 0}
    assert place | {"rectanglelabels": ["1"]} == box["value"]


@pytest.mark.parametrize("options", [[], ["--number"]])
def test_the_configuration_has_every_control_of_the_tasks(
    store: Database, tmp_path: Path, options: list[str]
) -> None:
    number = {"lines": ["7"], "prediction": "7", "digits": [], "label": "7"} | NUMBER
    keep(store, {"label": "7", "label_source": "operator"}, number | {"label_source": "operator"})
    (task,) = exported(tmp_path / "out", *options)
    config = ElementTree.fromstring((tmp_path / "out" / "label_config.xml").read_text())
    controls = {tag.get("name"): tag.tag.lower() for tag in config if tag.get("toName") == "image"}
    results = [*task["annotations"][0]["result"], *task["predictions"][0]["result"]]
    assert all(controls[one["from_name"]] == one["type"] for one in results)
    choices = {tag.get("value") for tag in config.iter("Choice")}
    assert choices == ({*"0123456789", "none"} if not options else set())


def test_an_export_of_nothing_is_a_list_of_nothing(store: Database, tmp_path: Path) -> None:
    store.check()
    assert [] == exported(tmp_path / "out")


@pytest.mark.parametrize("form", ["json", "json-min"])
def test_what_was_labelled_in_label_studio_labels_what_is_kept(
    form: str, store: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest annotation counts, one that was skipped does not; what has its label stays. An
    image that was put there by hand is read and kept.
    """
    operators = {"label": "1", "label_source": "operator"}
    keep(store, {"id": id_of(1)} | operators, *({"id": id_of(place)} for place in (2, 3, 4, 5)))
    file = tmp_path / "from" / "tasks.json"
    file.parent.mkdir()
    shutil.copy(WRITTEN / f"digits-{form}.json", file)
    (file.parent / "four.png").write_bytes(encode(draw_digit(4, side=28)))
    assert 0 == main(["import", str(file)])
    said = capsys.readouterr().out
    assert "Kept 1 images with their labels, labelled 2 that were kept; 1 were there" in said
    expected = {1: "1", 2: None, 3: "7", 4: "none", 5: None}
    found = labels(store)
    assert expected == {place: found.pop(id_of(place))[0] for place in expected}
    assert [("4", "operator")] == list(found.values())
    history = store.run(lambda connection: read_history(connection, id_of(3)), reads=True)
    assert [("7", "operator", "import")] == [
        (one.label, one.source, one.key_name) for one in history
    ]

    assert 0 == main(["import", str(file)])
    assert "labelled 0 that were kept; 4 were there already" in capsys.readouterr().out
    assert 6 == len(labels(store))
    store.close()


@pytest.mark.parametrize("form", ["json", "json-min"])
def test_numbers_that_were_labelled_there_label_what_is_kept(
    form: str, store: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    number = {"lines": ["17"], "prediction": "17", "digits": []} | NUMBER
    keep(store, *({"id": id_of(place)} | number for place in (6, 7)))
    file = WRITTEN / f"numbers-{form}.json"
    assert 0 == main(["import", str(file), "--number"])
    assert "labelled 2 that were kept" in capsys.readouterr().out
    assert {id_of(6): ("12", "operator"), id_of(7): ("12", "operator")} == labels(store)
    assert ["12", "1|2"] == [image.label for image in load_labelled(file, numbers=True)]
    store.close()


def test_where_nothing_of_it_is_kept_the_images_are_read_out_of_the_file(
    store: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And an image that is nowhere is named."""
    assert 1 == main(["import", str(WRITTEN / "digits-json.json")])
    said = capsys.readouterr()
    assert "Kept 3 images with their labels, labelled 0 that were kept; 0 were there" in said.out
    assert "error: task 12: Its image, '/data/upload/3/d002f3da-four.png', is not among" in said.err
    assert ["1", "7", "none"] == sorted(str(label) for label, _ in labels(store).values())
    (seven,) = (id for id, (label, _) in labels(store).items() if label == "7")
    found = get_submission(store, seven)
    assert found is not None
    assert PNG == found.image
    store.close()


def test_it_is_evaluated_as_a_folder_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tasks = json.loads((WRITTEN / "digits-json.json").read_text())
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps(tasks[:2]))
    assert 0 == main(["evaluate", str(file)])
    said = capsys.readouterr().out
    assert "tasks.json" in said
    assert "mnist" not in said.lower()


def test_a_label_of_the_other_kind_stops_the_import(
    store: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(store, {"id": id_of(3), "lines": ["7"], "digits": []} | NUMBER)
    assert 1 == main(["import", str(WRITTEN / "digits-json.json")])
    assert "label it with 'number'" in capsys.readouterr().err
    assert 1 == main(["import", str(WRITTEN / "numbers-json.json")])
    assert "numbers are read with --number" in capsys.readouterr().err


def task(**changes: Any) -> dict[str, Any]:
    result = {"type": "choices", "value": {"choices": ["7"]}}
    return {"data": {"image": "7.png"}, "annotations": [{"result": [result]}]} | changes


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ({"tasks": []}, "expected a list of tasks"),
        ([7], "expected a list of tasks"),
        ([], "no task in it has a label"),
        ([task(annotations=[])], "no task in it has a label"),
        ([task(annotations=[7, {"result": 7}, {"result": [7, {"value": 7}]}])], "has a label"),
        ([task(data={"image": 7})], "task 0 has no 'image'"),
        ([task(data={})], "task 0 has no 'image'"),
        ([{"image": "7.png", "digit": "seven", "id": 4}], "task 4: the label is 'seven'"),
    ],
)
def test_a_file_of_another_form_is_refused(document: Any, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(DatasetError, match=reason):
        load_labelled(file)


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("7", "7"),
        (7, "7"),
        (7.0, "7"),
        ({"choices": ["7"]}, "7"),
        (["7"], "7"),
        ("none", None),
        (" 7\n", "7"),
    ],
)
def test_the_short_form_has_labels_in_many_kinds(
    said: Any, label: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps([{"image": "7.png", "digit": said}]))
    assert [label] == [image.label for image in load_labelled(file)]


def test_images_are_found_by_name_beside_the_file_and_nowhere_else(tmp_path: Path) -> None:
    """Of uploads, of Label Studio's local files, or as a plain path; never outside the folder."""
    folder = tmp_path / "from"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "7.png").write_bytes(b"inner")
    (folder / "8 8.png").write_bytes(b"eight")
    (folder / "9#1?.png").write_bytes(b"nine")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    for name, content in (
        ("inner/7.png", b"inner"),
        ("/data/local-files/?d=all/inner/7.png", b"inner"),
        ("/data/upload/3/d002f3da-8%208.png", b"eight"),
        ("8 8.png", b"eight"),
        ("9#1?.png", b"nine"),
        ("http://example.org/inner/7.png?token=1", b"inner"),
    ):
        assert content == read_image(name, folder)
    for name in (
        "7.png",
        "../secret.png",
        "/data/local-files/?d=../secret.png",
        f"{tmp_path}/secret.png",
        "link.png",
        "",
        "/",
        "inner",
        "x\0y.png",
        "\ud800.png",
        "http://[",
    ):
        with pytest.raises(DatasetError, match="is not among the files"):
            read_image(name, folder)
    with pytest.raises(DatasetError, match="not base64"):
        read_image("data:image/png;base64,!", folder)
