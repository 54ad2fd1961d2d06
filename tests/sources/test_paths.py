import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from archives import make_tar, make_zip

from flaskapi.errors import FlaskapiError, MissingImageError, TooLargeError
from flaskapi.sources import Allowance, Item
from flaskapi.sources.paths import count_images, read_paths


def read(*paths: Path | str, standard_input: bytes = b"") -> list[Item]:
    return list(read_paths(map(str, paths), io.BytesIO(standard_input), Allowance(1000)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images in two folders, and what is none beside them."""
    (tmp_path / "b").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    for name in ("b/2.PNG", "b/1.jpg", "a.png", "labels.csv", "c.zip", "._a.png", "__MACOSX/x.png"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_of_a_folder_images_are_read_in_the_order_of_their_names(folder: Path) -> None:
    assert [("a.png", b"a.png"), ("b/1.jpg", b"b/1.jpg"), ("b/2.PNG", b"b/2.PNG")] == [
        (os.path.relpath(item.name, folder), item.content) for item in read(folder)
    ]
    assert 3 == count_images([str(folder)])
    assert 4 == count_images([str(folder), str(folder / "a.png")])
    assert count_images([str(folder), "-"]) is None


def test_a_link_to_a_folder_is_not_followed_and_a_pipe_not_opened(folder: Path) -> None:
    (folder / "b" / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    assert 3 == len(read(folder))


def test_a_file_that_is_named_is_read_whatever_its_suffix(folder: Path) -> None:
    assert [Item(str(folder / "labels.csv"), b"labels.csv")] == read(folder / "labels.csv")


def test_a_file_needs_no_room_for_temporary_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "none"))
    assert [Item(str(folder / "a.png"), b"a.png")] == read(folder / "a.png")


def test_paths_are_read_in_the_order_given_and_an_archive_names_its_members(folder: Path) -> None:
    (folder / "it.zip").write_bytes(make_zip([("x/7.png", b"7")]))
    (folder / "it.tar").write_bytes(make_tar([("8.png", b"8")]))
    paths = [folder / "it.tar", folder / "a.png", folder / "it.zip"]
    assert [f"{folder}/it.tar/8.png", f"{folder}/a.png", f"{folder}/it.zip/x/7.png"] == [
        item.name for item in read(*paths)
    ]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_standard_input_is_an_archive_or_an_image(make) -> None:
    assert [Item("7.png", b"7")] == read("-", standard_input=make([("7.png", b"7")]))
    assert [Item("standard input", b"\x89PNG")] == read("-", standard_input=b"\x89PNG")


def test_what_cannot_be_read_is_an_error_in_its_place(folder: Path) -> None:
    (folder / "large.png").write_bytes(bytes(1001))
    (folder / "empty").mkdir()
    (folder / "half.zip").write_bytes(make_zip([("7.png", b"7")])[:-5])
    (folder / "half.tar").write_bytes(make_tar([("7.png", b"7")])[:-9000])
    names = ["none.png", "a.png", "large.png", "empty", "half.zip"]
    items = read(*(folder / name for name in names))
    assert [str(folder / name) for name in names] == [item.name for item in items]
    errors = [item.content for item in items if isinstance(item.content, FlaskapiError)]
    assert [MissingImageError, TooLargeError, MissingImageError] == [
        type(error) for error in errors[:3]
    ]
    assert ["No such file", "1,000 bytes", "contains no image", "truncated"] == [
        said
        for said, error in zip(
            ["No such file", "1,000 bytes", "contains no image", "truncated"], errors, strict=True
        )
        if said in str(error)
    ]


def test_a_folder_that_cannot_be_read_is_one_error_and_the_walk_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (folder / "z.png").write_bytes(b"z.png")
    first, closed, last = read(folder)
    assert ("a.png", "b", "z.png") == tuple(
        os.path.relpath(item.name, folder) for item in (first, closed, last)
    )
    assert isinstance(closed.content, MissingImageError)
    assert "Permission denied" in str(closed.content)
    assert count_images([str(folder)]) is None
    assert [str(folder / "b")] == [item.name for item in read(folder / "b")]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_pipe_with_a_name_is_read_as_standard_input_is(make, tmp_path: Path) -> None:
    """As a shell gives one for <(command)."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for data, expected in [
        (make([("7.png", b"7")]), Item(f"{path}/7.png", b"7")),
        (b"\x89PNG", Item(str(path), b"\x89PNG")),
    ]:
        sender = threading.Thread(target=path.write_bytes, args=(data,))
        sender.start()
        items = read(path)
        sender.join()
        assert [expected] == items


def test_a_name_that_is_no_unicode_can_still_be_written(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    (item,) = read(tmp_path)
    assert item.name.encode().endswith("\ufffd.png".encode())
