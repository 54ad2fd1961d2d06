"""`python -m flaskapi models`: what it prints, and what it leaves behind."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes import draw_digit, encode
from model_files import MODELS, make_artifact

from flaskapi.__main__ import main
from flaskapi.versions.pointer import MODEL_FILE, ShadowCandidate
from flaskapi.versions.registry import Registry
from flaskapi.versions.version import COMPILED

if TYPE_CHECKING:
    import keras


def fail_to_run(*command: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.CompletedProcess(command, 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance folder with two versions."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASKAPI_INSTANCE_PATH", str(folder))
        patch.setattr("flaskapi.versions.version.run_command", fail_to_run)
        registry = Registry(folder / "versions", MODELS / "my_model.h5", folder / "cache")
        for mark in range(2):
            registry.add(make_artifact(folder / str(mark), mark))
    return folder


@pytest.fixture
def registry(tmp_path: Path, two: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The one of the settings, with two versions; cards are written as where the extra `train` is
    missing.
    """
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path))
    monkeypatch.setattr("flaskapi.versions.version.run_command", fail_to_run)
    shutil.copytree(two, tmp_path, dirs_exist_ok=True)
    return Registry(tmp_path / "versions", MODELS / "my_model.h5", tmp_path / "cache")


@pytest.fixture
def names(registry: Registry, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    return [version.name for version in registry.versions()]


def test_list_marks_what_serves(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "list"])
    assert ["*"] == [
        line[0]
        for line in capsys.readouterr().out.splitlines()
        if MODEL_FILE in line and "generation 0" in line
    ]
    main(["models", "promote", names[1]])
    main(["models", "shadow", names[0], "--share", "0.1"])
    capsys.readouterr()
    main(["models", "list"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["version", "registered"]
    assert [MODEL_FILE, *names] == [row[2:].split()[0] for row in rows]
    assert [" ", " ", "*"] == [row[0] for row in rows]
    assert rows[1].endswith("shadow, share 0.1")
    assert rows[2].endswith("serves, generation 1")


def test_show_prints_the_card_and_what_it_was_learned_from(
    registry: Registry, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned = registry.add(make_artifact(tmp_path / "learned", 2), submissions=["a", "b"])
    assert 0 == main(["models", "show", learned.name[-8:]])
    said = capsys.readouterr().out
    assert said.startswith("# Model card: my_model.h5\n")
    assert "Learned from 2 submissions" in said
    assert said.splitlines()[-1].startswith(f"State: {learned.name}")


@pytest.mark.train
def test_register_makes_the_compiled_form_itself(
    registry: Registry,
    tmp_path: Path,
    tiny_model: "Callable[[], keras.Model]",
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What lies beside a file from elsewhere may claim to be made of it, and answer anything. A
    file that is no model is named as it was given.
    """
    from flaskapi.artifacts.artifact import save_artifact

    def claim(artifact: Path) -> Path:
        """Lay the shipped compiled form beside a file, as if it were made of it."""
        shipped, here = (
            hashlib.sha256(path.read_bytes()).hexdigest().encode()
            for path in (MODELS / "my_model.h5", artifact)
        )
        beside = artifact.with_suffix(".onnx")
        beside.write_bytes((MODELS / "my_model.onnx").read_bytes().replace(shipped, here))
        return beside

    forged, claimed = tmp_path / "notes.md", tmp_path / "elsewhere.h5"
    forged.write_bytes(os.urandom(64))
    claim(forged)
    assert 1 == main(["models", "register", str(forged)])
    assert capsys.readouterr().err.startswith("error: notes.md: ")
    save_artifact(tiny_model(), {"network": "tiny"}, claimed)
    assert b'"network": "tiny"' not in claim(claimed).read_bytes()
    assert 0 == main(["models", "register", str(claimed)])
    assert b'"network": "tiny"' in (registry.versions()[-1].path / COMPILED).read_bytes()


def test_promote_and_rollback_say_what_serves_now(
    registry: Registry, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["models", "promote", names[0]])
    main(["models", "promote", names[1][-8:]])
    main(["models", "rollback"])
    assert [
        f"{names[0]} serves, generation 1.",
        f"{names[1]} serves, generation 2.",
        f"{names[0]} serves again, generation 3, instead of {names[1]}.",
    ] == capsys.readouterr().out.splitlines()
    assert (names[0], 3) == registry.read()[:2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["promote", "2026-01-01-00000000"],
        ["show", "MODEL_PATH"],
        ["rollback"],
        ["shadow", "2026-01-01-00000000"],
        ["register", "none.h5"],
        ["prune", "--keep", "-1"],
        ["promote", "MODEL_PATH", "--wait", "http://127.0.0.1:9", "--timeout", "0"],
    ],
)
def test_what_cannot_be_is_one_line_on_standard_error(
    names: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert 1 == main(["models", *arguments])
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert 1 == said.count("\n")


@pytest.mark.parametrize(
    "wait", [["http://127.0.0.1:9", "--timeout", "0"], ["http://127.0.0.1:9"], ["no-address"]]
)
@pytest.mark.parametrize("arguments", [["promote", MODEL_FILE], ["rollback"]])
def test_a_wait_that_cannot_be_is_refused_before_anything_is_changed(
    registry: Registry, names: list[str], arguments: list[str], wait: list[str]
) -> None:
    main(["models", "promote", names[0]])
    assert 1 == main(["models", *arguments, "--wait", *wait])
    assert (names[0], 1) == registry.read()[:2]


@pytest.mark.parametrize("share", ["0", "-1", "1.1", "nan"])
def test_a_share_is_above_0_and_1_at_most(
    registry: Registry, names: list[str], capsys: pytest.CaptureFixture[str], share: str
) -> None:
    assert 1 == main(["models", "shadow", names[0], "--share", share])
    assert "--share is" in capsys.readouterr().err
    assert registry.read().shadow is None


def test_a_shadow_begins_and_ends(registry: Registry, names: list[str]) -> None:
    main(["models", "shadow", names[0], "--share", "0.25"])
    assert ShadowCandidate(names[0], 0.25) == registry.read().shadow
    main(["models", "shadow", "off"])
    assert registry.read().shadow is None


def test_prune_says_what_it_removed(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "prune", "--keep", "1"])
    main(["models", "prune", "--keep", "1"])
    assert [
        f"Removed {names[0]}.",
        "There is no version to remove.",
    ] == capsys.readouterr().out.splitlines()


def test_compare_holds_two_cards_and_what_both_read_against_each_other(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for digit in range(10):
        (folder / f"{digit}.png").write_bytes(encode(draw_digit(digit)))
    (folder / "labels.csv").write_text(
        "file,label\n" + "".join(f"{digit}.png,{digit}\n" for digit in range(9)) + "9.png,8\n"
    )
    assert 0 == main(["models", "compare", *names, "--on", str(folder)])
    rows = {line[:32].strip(): line[32:].split() for line in capsys.readouterr().out.splitlines()}
    assert names == rows[""]
    assert ["99.62%"] * 2 == rows["right, its own test part"]
    assert ["1", "1"] == rows["wrong of 10, mine"]
    assert 1 == main(["models", "compare", names[0], names[0]])


@pytest.mark.parametrize("signs", [None, 8], ids=["whole", "its end"])
def test_who_names_the_file_of_model_path_by_its_id_learns_its_name(
    registry: Registry,
    names: list[str],
    capsys: pytest.CaptureFixture[str],
    signs: int | None,
) -> None:
    """`models list` shows that id."""
    served = registry.load(MODEL_FILE).version
    assert 1 == main(["models", "compare", names[0], served[-signs:] if signs else served])
    assert f"the file of the setting MODEL_PATH: name it {MODEL_FILE}." in capsys.readouterr().err
    assert 1 == main(["models", "show", MODEL_FILE])
    said = capsys.readouterr().err
    assert "It is a file, which becomes a version when it is promoted." in said
    assert "-m flaskapi card " in said


def test_check_says_where_what_was_promoted_cannot_serve(
    registry: Registry, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The service would be ready all the same, with what served before."""
    for name in names:
        main(["models", "promote", name])
    (registry.get(names[1]).path / "my_model.onnx").write_bytes(b"damaged")
    capsys.readouterr()
    assert 0 == main(["check"])
    out, err = capsys.readouterr()
    assert out.startswith(f"Ready: model {names[0]},")
    assert err.startswith(f"But: {names[1]}, generation 2, does not serve here: ")


@pytest.mark.train
def test_figures_are_not_recorded_into_a_file_that_does_not_serve(
    names: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make_artifact(tmp_path / "mine", 9)
    monkeypatch.setenv("FLASKAPI_MODEL_PATH", str(model))
    main(["models", "promote", names[0]])
    (tmp_path / "7.png").write_bytes(encode(draw_digit(7)))
    (tmp_path / "labels.csv").write_text("file,label\n7.png,7\n")
    before = model.read_bytes()
    assert 1 == main(["evaluate", str(tmp_path), "--record"])
    assert f"the serving version is {names[0]}" in capsys.readouterr().err
    assert before == model.read_bytes()
