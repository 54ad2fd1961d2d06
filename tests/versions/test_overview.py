"""What is said of a version, without making it ready to answer."""

from pathlib import Path

import pytest
from model_files import make_artifact, make_versions

from flaskapi.serving.classifier import OnnxClassifier
from flaskapi.versions.overview import describe_version
from flaskapi.versions.pointer import MODEL_FILE, Pointer, ShadowCandidate
from flaskapi.versions.registry import Registry
from flaskapi.versions.version import SUBMISSIONS, Version, write_submissions


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = make_versions(tmp_path_factory.mktemp("two"), 2)
    write_submissions(registry.versions()[1].path / SUBMISSIONS, ["a", "b"])
    return registry


def test_the_card_is_that_of_the_model_when_it_is_loaded(registry: Registry) -> None:
    version, learned = registry.versions()
    found = describe_version(registry, Pointer(), version)
    assert OnnxClassifier(version.path / "my_model.onnx").card == found.card
    assert {"date", "network", "weights", "accuracy", "evaluation", "hours"} == set(found.figures)
    assert (None, 2) == (found.learned, describe_version(registry, Pointer(), learned).learned)


@pytest.mark.parametrize("content", [b"id\n\xff\n", b'id\n"' + b"x" * 200_000, None])
def test_a_damaged_list_of_what_it_learned_from_hides_no_version(
    tmp_path: Path, content: bytes | None
) -> None:
    registry = make_versions(tmp_path, 1)
    (version,) = registry.versions()
    if content is None:
        (version.path / SUBMISSIONS).mkdir()
    else:
        (version.path / SUBMISSIONS).write_bytes(content)
    found = describe_version(registry, Pointer(), version)
    assert (None, None) == (found.learned, found.trouble)


def test_an_empty_line_is_nothing_that_it_learned_from(tmp_path: Path) -> None:
    (tmp_path / SUBMISSIONS).write_text("id\na\n\nb\n")
    assert ["a", "b"] == Version("x", tmp_path).submissions


def test_its_state_is_what_the_pointer_says(registry: Registry) -> None:
    version = registry.versions()[0]
    name = version.name
    for pointer, expected in (
        (Pointer(), (False, None, None)),
        (Pointer(version=name), (True, None, None)),
        (Pointer(shadow=ShadowCandidate(name, 0.5)), (False, 0.5, None)),
        (Pointer(broken={name: "It hung."}), (False, None, "It hung.")),
    ):
        found = describe_version(registry, pointer, version)
        assert expected == (found.serves, found.share, found.broke)


def test_the_file_of_model_path_is_described_too_and_never_compiled(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = describe_version(registry, Pointer(), None)
    assert (MODEL_FILE, True, None) == (found.name, found.serves, found.registered_s)
    assert found.card["version"].startswith(found.card["date"])
    monkeypatch.setattr("flaskapi.serving.compiled.build_compiled", None)
    bare = make_artifact(tmp_path, 3)
    bare.with_suffix(".onnx").unlink()
    other = describe_version(Registry(tmp_path, bare, tmp_path / "cache"), Pointer(), None)
    assert ({}, "my_model.h5 is not compiled yet.") == (other.card, other.trouble)
