import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from model_files import MODELS, make_artifact

from flaskapi.errors import ModelFileError, ModelUnavailableError, VersionError
from flaskapi.serving.classifier import OnnxClassifier
from flaskapi.versions.pointer import MODEL_FILE, Served, write_pointer
from flaskapi.versions.registry import Registry
from flaskapi.versions.version import Version


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty one, beside the shipped model. Cards are written as where the extra `train` is
    missing, which takes no second each.
    """
    monkeypatch.setattr(
        "flaskapi.versions.version.run_command",
        lambda *command: subprocess.CompletedProcess(command, 1),
    )
    return Registry(tmp_path / "versions", MODELS / "my_model.h5", tmp_path / "cache")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a registry with three versions, and what they were made of."""
    folder = tmp_path_factory.mktemp("three")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "flaskapi.versions.version.run_command",
            lambda *command: subprocess.CompletedProcess(command, 1),
        )
        registry = Registry(folder / "versions", MODELS / "my_model.h5", folder / "cache")
        for mark in range(3):
            registry.add(make_artifact(folder / str(mark), mark))
    return folder


@pytest.fixture
def added(registry: Registry, three: Path, tmp_path: Path) -> list[Version]:
    """Three versions, the first first."""
    shutil.copytree(three, tmp_path, dirs_exist_ok=True)
    return registry.versions()


def test_a_version_is_the_artifact_its_compiled_form_and_its_card(
    registry: Registry, tmp_path: Path
) -> None:
    artifact = make_artifact(tmp_path / "new")
    version = registry.add(artifact)
    assert {"my_model.h5", "my_model.onnx", "README.md"} == {
        path.name for path in version.path.iterdir()
    }
    assert artifact.read_bytes() == version.artifact.read_bytes()
    assert version.name in (version.path / "README.md").read_text()
    assert version.name == version.path.name == registry.load(version.name).version
    assert version.submissions is None


def test_a_model_that_cannot_be_run_is_named_and_leaves_nothing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise RuntimeError("a node of no known kind")

    monkeypatch.setattr("flaskapi.versions.registry.OnnxClassifier", broken)
    artifact = make_artifact(tmp_path / "new").rename(tmp_path / "new" / "mine.h5")
    artifact.with_name("my_model.onnx").rename(artifact.with_suffix(".onnx"))
    with pytest.raises(ModelUnavailableError, match=r"^mine\.h5 cannot answer: a node of no"):
        registry.add(artifact)
    assert [] == registry.versions()


def test_what_it_was_learned_from_is_kept_with_it(registry: Registry, tmp_path: Path) -> None:
    """For its owner alone: with an id one may do what its sender may."""
    version = registry.add(make_artifact(tmp_path / "new"), submissions=["b", "a"])
    assert ["b", "a"] == version.submissions
    assert 0o600 == (version.path / "submissions.csv").stat().st_mode & 0o777


def test_whoever_serves_can_read_it(registry: Registry, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        version = registry.add(make_artifact(tmp_path / "new"))
        registry.promote(version.name, "ann")
    finally:
        os.umask(before)
    assert {0o755} == {path.stat().st_mode & 0o777 for path in (registry.path, version.path)}
    assert {0o644} == {
        path.stat().st_mode & 0o777
        for path in (*version.path.iterdir(), registry.path / "serving.json")
    }


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_folders_owner(registry: Registry, tmp_path: Path) -> None:
    registry.path.mkdir()
    os.chown(registry.path, 33, 33)
    version = registry.add(make_artifact(tmp_path / "new"))
    registry.promote(version.name, "root")
    assert {33} == {path.stat().st_uid for path in registry.path.rglob("*")}


@pytest.mark.parametrize("content", [None, b"I am no model."])
def test_what_cannot_serve_is_not_registered_and_leaves_nothing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    def fail(*_: Path) -> None:
        raise ModelUnavailableError("my_model.h5: not a Keras model file.")

    # What the child process says; TensorFlow takes seconds.
    monkeypatch.setattr("flaskapi.versions.registry.build_compiled", fail)
    if content:
        (tmp_path / "my_model.h5").write_bytes(content)
    with pytest.raises(
        (ModelFileError, ModelUnavailableError),
        match=r"my_model\.h5: (the file does not exist|not a Keras)",
    ):
        registry.add(tmp_path / "my_model.h5")
    assert [] == (list(registry.path.iterdir()) if registry.path.exists() else [])


@pytest.mark.train
def test_any_model_file_is_compiled_and_its_card_written_as_the_command_does(
    tmp_path: Path,
) -> None:
    registry = Registry(tmp_path / "versions", MODELS / "my_model.h5", tmp_path / "cache")
    legacy = MODELS.parent / "tests" / "data" / "keras_2_2_2" / "keras222_first.h5"
    bare = registry.add(legacy)
    assert bare.name == registry.load(bare.name).version
    shipped = registry.add(MODELS / "my_model.h5")
    assert (MODELS / "README.md").read_text() == (shipped.path / "README.md").read_text()
    assert (shipped.path / "mistakes.png").is_file(), "which the card shows"
    assert [bare, shipped] == registry.versions()


def test_the_same_file_is_the_same_version(registry: Registry, tmp_path: Path) -> None:
    first, second = (registry.add(make_artifact(tmp_path / "new")) for _ in range(2))
    assert first == second
    assert [first] == registry.versions()


def test_registering_again_mends_a_version_that_is_damaged(
    registry: Registry, tmp_path: Path
) -> None:
    version = registry.add(make_artifact(tmp_path / "new"))
    (version.path / "my_model.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelUnavailableError, match=f"Version {version.name} cannot be loaded"):
        registry.load(version.name)
    registry.add(make_artifact(tmp_path / "new"))
    assert version.name == registry.load(version.name).version


def test_a_version_under_anothers_name_is_not_loaded(
    registry: Registry, added: list[Version]
) -> None:
    os.rename(added[1].path, registry.path / "aside")
    os.rename(added[0].path, added[1].path)
    with pytest.raises(ModelUnavailableError, match=f"its folder contains {added[0].name}"):
        registry.load(added[1].name)


def test_a_version_is_found_by_the_end_of_its_name(
    registry: Registry, added: list[Version]
) -> None:
    assert added[1] == registry.get(added[1].name) == registry.get(added[1].name[-8:])
    with pytest.raises(VersionError, match="There is no version 2026"):
        registry.get("2026")


def test_what_is_promoted_serves_and_rolling_back_leads_to_what_served_before(
    registry: Registry, added: list[Version]
) -> None:
    for version in added[:2]:
        registry.promote(version.name[-8:], "ann")
    assert (added[1].name, 2) == registry.read()[:2]
    assert [(added[0].name, 3), (MODEL_FILE, 4)] == [
        registry.roll_back("ann")[:2] for _ in range(2)
    ]
    with pytest.raises(VersionError, match="nothing to roll back to"):
        registry.roll_back("ann")


def test_what_serves_already_is_not_promoted_again(
    registry: Registry, added: list[Version]
) -> None:
    assert [1, 1] == [registry.promote(added[0].name, "ann").generation for _ in range(2)]
    assert [2, 2] == [registry.promote(MODEL_FILE, "ann").generation for _ in range(2)]


@pytest.mark.process
def test_of_the_models_own_file_a_version_is_made_when_it_is_promoted(tmp_path: Path) -> None:
    """So that another file in its place is served by no process that starts afterwards."""
    own = make_artifact(tmp_path / "own", 0)
    registry = Registry(tmp_path / "versions", own, tmp_path / "cache")
    promoted = registry.promote(MODEL_FILE, "ann").version
    assert promoted == registry.load(MODEL_FILE).version
    for other in (
        make_artifact(tmp_path / "other", 1),
        make_artifact(tmp_path / "other", 1).with_suffix(".onnx"),
    ):
        os.replace(other, own.with_suffix(other.suffix))
    assert (
        promoted
        == registry.load(registry.read().version).version
        != registry.load(MODEL_FILE).version
    )
    assert (2, 3) == (
        registry.promote(MODEL_FILE, "ann").generation,
        registry.roll_back("ann").generation,
    )
    assert promoted == registry.read().version


def test_what_cannot_be_loaded_is_not_promoted(registry: Registry, added: list[Version]) -> None:
    (added[0].path / "my_model.onnx").write_bytes(b"damaged")
    for name, kind in ((added[0].name, ModelUnavailableError), ("none", VersionError)):
        with pytest.raises(kind):
            registry.promote(name, "ann")
    assert 0 == registry.read().generation


def test_rolling_back_leaves_out_what_broke_and_what_is_gone(
    registry: Registry, added: list[Version]
) -> None:
    for version in added:
        registry.promote(version.name, "ann")
    registry.leave(added[2].name, "It raised.", Served(added[1].name, 2), "process 7")
    (added[0].path / "my_model.h5").unlink()
    assert (MODEL_FILE, 5) == registry.roll_back("ann")[:2]
    assert {added[2].name: "It raised."} == registry.read().broken


def test_rolling_back_leaves_out_what_cannot_be_loaded(
    registry: Registry, added: list[Version]
) -> None:
    """Else it is said to serve, while every process goes on with what was to go."""
    for version in added:
        registry.promote(version.name, "ann")
    (added[1].path / "my_model.onnx").write_bytes(b"damaged")
    assert (added[0].name, 4) == registry.roll_back("ann")[:2]
    for version in added[:2]:
        (version.path / "my_model.onnx").write_bytes(b"damaged")
    assert (MODEL_FILE, 5) == registry.roll_back("ann")[:2]


def test_where_nothing_can_be_loaded_rolling_back_says_why(
    registry: Registry, added: list[Version]
) -> None:
    for version in added[:2]:
        registry.promote(version.name, "ann")
    before = registry.read()
    write_pointer(registry.path / "serving.json", before._replace(before=before.before[:1]))
    (added[0].path / "my_model.onnx").write_bytes(b"damaged")
    with pytest.raises(VersionError, match=f"to roll back to: Version {added[0].name} cannot be"):
        registry.roll_back("ann")
    assert 2 == registry.read().generation


def test_a_version_that_may_not_be_read_hides_no_other(
    registry: Registry, added: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(version: Version) -> float:
        if version.name == added[0].name:
            raise PermissionError(13, "Permission denied")
        return 0.0

    monkeypatch.setattr(Version, "registered_s", property(look))
    assert {one.name for one in added[1:]} == {one.name for one in registry.versions()}


def test_one_that_broke_is_taken_again_after_it_was_registered_anew(
    registry: Registry, added: list[Version], tmp_path: Path
) -> None:
    registry.promote(added[0].name, "ann")
    registry.leave(added[0].name, "It raised.", Served(MODEL_FILE, 0), "process 7")
    with pytest.raises(VersionError, match="failed while it served"):
        registry.promote(added[0].name, "ann")
    registry.add(make_artifact(tmp_path / "0", 0))
    assert (added[0].name, 3) == registry.promote(added[0].name, "ann")[:2]


@pytest.mark.parametrize("keep", [3, 4, 5, 60])
def test_pruning_removes_nothing_where_there_are_no_more_than_are_kept(
    registry: Registry, added: list[Version], keep: int
) -> None:
    assert 3 == len(added)
    assert [] == registry.prune(keep)
    assert len(added) == len(registry.versions())


def test_pruning_keeps_what_serves_what_served_before_what_is_in_the_shadow_and_the_newest(
    registry: Registry, tmp_path: Path
) -> None:
    versions = [registry.add(make_artifact(tmp_path / str(mark), mark)) for mark in range(6)]
    for age, version in enumerate(reversed(versions)):
        os.utime(version.artifact, (time.time() - age, time.time() - age))
    for place in (4, 0, 1):
        registry.promote(versions[place].name, "ann")
    registry.set_shadow(versions[2].name, 0.1)
    (registry.path / ".abandoned").mkdir()
    os.utime(registry.path / ".abandoned", (1, 1))
    assert sorted(versions[place].name for place in (3, 4)) == registry.prune(1)
    left = {versions[place].name for place in (0, 1, 2, 5)}
    assert left | {"serving.json"} == {path.name for path in registry.path.iterdir()}
    assert [versions[0].name, MODEL_FILE] == [served.version for served in registry.read().before]


def test_several_who_promote_at_once_each_get_a_generation_of_their_own(
    registry: Registry, added: list[Version]
) -> None:
    seen: set[tuple[int, str]] = set()

    def promote(place: int) -> None:
        seen.update(
            (registry.promote(added[place].name, "ann").generation, added[place].name)
            for _ in range(5)
        )

    threads = [threading.Thread(target=promote, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(range(1, registry.read().generation + 1)) == sorted(
        generation for generation, _ in seen
    )


def test_several_who_promote_the_same_at_once_let_it_serve_once(
    registry: Registry, added: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that rolling back leads to what served before it."""
    together, load = threading.Barrier(8), registry.load

    def load_together(name: str) -> OnnxClassifier:
        loaded = load(name)
        together.wait(30)
        return loaded

    monkeypatch.setattr(registry, "load", load_together)
    threads = [
        threading.Thread(target=registry.promote, args=(added[0].name, "ann")) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (added[0].name, 1, (Served(MODEL_FILE, 0),)) == registry.read()[:3]


def test_a_version_that_is_pruned_meanwhile_hides_no_other(
    registry: Registry, added: list[Version]
) -> None:
    """A process that looks for what to go back to would find nothing."""
    done = threading.Event()

    def prune_and_add() -> None:
        while not done.is_set():
            os.rename(added[2].path, registry.path / ".pruned")
            os.rename(registry.path / ".pruned", added[2].path)

    pruning = threading.Thread(target=prune_and_add)
    pruning.start()
    try:
        found = [registry.versions()[:2] for _ in range(2000)]
    finally:
        done.set()
        pruning.join()
    assert [added[:2]] * 2000 == found


def test_the_stamp_changes_with_each_change(registry: Registry, added: list[Version]) -> None:
    stamps = [registry.stamp()]
    for place in (0, 1, 0, 1, 0):
        registry.promote(added[place].name, "ann")
        stamps.append(registry.stamp())
    assert () == stamps[0]
    assert 6 == len(set(stamps))
