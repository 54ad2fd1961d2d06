"""The artifact is written whole or not at all, bears its card, and can be rid of an old
optimizer.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from flaskapi.artifacts.artifact import (
    check_writable,
    read_card,
    read_picture,
    record_evaluation,
    replacing,
    save_artifact,
    strip_optimizer,
)
from flaskapi.errors import ModelFileError

pytestmark = pytest.mark.train

Build = Callable[..., keras.Model]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_failed_write_leaves_the_file_as_it_was(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "my_model.h5"
    target.write_bytes(b"old")

    def write_half() -> None:
        with replacing(target) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert {"my_model.h5": b"old"} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_write_that_wrote_nothing_is_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "my_model.h5"
    target.write_bytes(b"old")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert b"old" == target.read_bytes()


def test_what_cannot_be_replaced_is_named_before_anything_is_written(tmp_path: Path) -> None:
    """The name that is known, not the temporary one. A link that leads to itself is replaced."""
    with (
        pytest.raises(IsADirectoryError, match=f"Is a directory: '{tmp_path}'"),
        replacing(tmp_path),
    ):
        raise AssertionError
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with replacing(loop) as temporary:
        temporary.write_text("new")
    assert "new" == loop.read_text()


def test_a_finished_write_takes_the_place_of_the_file_in_one_step(tmp_path: Path) -> None:
    """Who has the old file open goes on reading it whole."""
    target = tmp_path / "my_model.h5"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        with replacing(target) as temporary:
            assert (tmp_path, ".h5") == (temporary.parent, temporary.suffix), (
                "Keras chooses the format by the suffix"
            )
            temporary.write_bytes(b"new")
            assert b"old" == target.read_bytes()
        assert b"old" == reader.read()
    assert {"my_model.h5": b"new"} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_saved_artifact_holds_the_model_and_its_card_but_no_optimizer(
    tmp_path: Path, tiny_model: Build
) -> None:
    model, card = tiny_model(), {"date": "2026-01-02", "accuracy": {"test": 0.5}, "note": "é"}
    images = np.random.default_rng(0).random((8, 28, 28, 1), np.float32)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, np.arange(8), verbose=0)
    save_artifact(model, card, tmp_path / "my_model.h5")
    assert card == read_card(tmp_path / "my_model.h5")
    assert ["my_model.h5"] == os.listdir(tmp_path)
    with h5py.File(tmp_path / "my_model.h5") as file:
        assert ["model_weights"] == list(file)
        assert "training_config" not in file.attrs
    loaded = keras.models.load_model(tmp_path / "my_model.h5")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )


def test_others_may_read_an_artifact_as_far_as_the_umask_lets_them(
    tmp_path: Path, tiny_model: Build
) -> None:
    """The service runs as another user than the one who trains."""
    before = os.umask(0o027)
    try:
        save_artifact(tiny_model(), {}, tmp_path / "my_model.h5")
    finally:
        os.umask(before)
    assert 0o640 == (tmp_path / "my_model.h5").stat().st_mode & 0o777


def test_a_model_from_elsewhere_has_an_empty_card(legacy: Callable[[str], Path]) -> None:
    assert {} == read_card(legacy("last"))


def contents(path: Path) -> dict[str, Any]:
    """Everything in an HDF5 file: each dataset by its path, each attribute by its path and name."""
    found: dict[str, Any] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype.str, item[()].tolist())
        for key, value in item.attrs.items():
            found[f"{name}@{key}"] = value.tolist() if isinstance(value, np.ndarray) else value

    with h5py.File(path) as file:
        note("", file)
        file.visititems(note)
    return found


@pytest.mark.parametrize("order", ["last", "first"])
def test_stripping_removes_the_optimizer_and_nothing_else(
    legacy: Callable[[str], Path], order: str
) -> None:
    path = legacy(order)
    path.chmod(0o640)
    size, before = path.stat().st_size, contents(path)
    kept = {
        name: value for name, value in before.items() if not name.startswith("optimizer_weights")
    }
    freed = strip_optimizer(path)
    assert kept == contents(path) != before
    assert 0 < freed == size - path.stat().st_size
    assert 0o640 == path.stat().st_mode & 0o777
    assert ["my_model.h5"] == os.listdir(path.parent)


def test_stripping_a_second_time_leaves_the_file_alone(legacy: Callable[[str], Path]) -> None:
    path = legacy("last")
    strip_optimizer(path)
    before = path.read_bytes(), path.stat().st_ino
    assert 0 == strip_optimizer(path)
    assert before == (path.read_bytes(), path.stat().st_ino)


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_what_is_not_hdf5_is_named_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "my_model.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"my_model\.h5: cannot be read as an HDF5 file"):
        strip_optimizer(path)
    assert content == (path.read_bytes() if path.exists() else None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my_model.keras", "must end in .h5"),
        ("my_model", "must end in .h5"),
        ("no/my_model.h5", "the folder does not exist"),
    ],
)
def test_where_nothing_can_be_written_is_said_before_training(
    tmp_path: Path, name: str, reason: str
) -> None:
    check_writable(tmp_path / "my_model.h5")
    with pytest.raises(ModelFileError, match=reason):
        check_writable(tmp_path / name)


def test_what_an_evaluation_found_is_added_to_the_card_and_the_model_stays(
    tmp_path: Path, tiny_model: Build
) -> None:
    path = tmp_path / "my_model.h5"
    save_artifact(tiny_model(), {"network": "tiny"}, path)
    weights = keras.models.load_model(path, compile=False).get_weights()
    record_evaluation(path, {"one": {"wrong": 3}, "two": {"wrong": 4}}, b"a picture")
    record_evaluation(path, {"two": {"wrong": 2}}, None)
    assert {
        "network": "tiny",
        "evaluation": {"one": {"wrong": 3}, "two": {"wrong": 2}},
    } == read_card(path)
    assert b"a picture" == read_picture(path), "none at all leaves the one that is there"
    record_evaluation(path, {}, b"another")
    assert b"another" == read_picture(path)
    record_evaluation(path, {}, b"")
    with pytest.raises(ModelFileError, match="has no picture"):
        read_picture(path)
    for before, after in zip(
        weights, keras.models.load_model(path, compile=False).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(before, after)


def test_there_is_nothing_to_record_in_a_model_from_elsewhere(
    legacy: Callable[[str], Path],
) -> None:
    path = legacy("last")
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match="has no model card to write into"):
        record_evaluation(path, {"one": {"wrong": 3}}, b"")
    with pytest.raises(ModelFileError, match="has no picture"):
        read_picture(path)
    assert before == path.read_bytes()
