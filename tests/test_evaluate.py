"""`python -m flaskapi evaluate` reports on standard output, and on standard error only why it could
not.
"""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import draw_digit, encode
from trainings import compile_here
from werkzeug import Response
from werkzeug.serving import make_server

from flaskapi.__main__ import main

MODELS = Path(__file__).parents[1] / "models"


@pytest.fixture(autouse=True)
def _an_instance_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path / "instance"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two drawn digits, and one file that cannot be read."""
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    for digit in (3, 7):
        (drawn / f"{digit}.png").write_bytes(encode(draw_digit(digit)))
    (drawn / "broken.png").write_bytes(b"I am no image.")
    (drawn / "labels.csv").write_text("file,label\n3.png,3\n7.png,7\nbroken.png,5\n")
    return drawn


@contextlib.contextmanager
def serving(answer: dict[str, Any]) -> Iterator[str]:
    """A server that gives one answer to everything, and its address."""
    server = make_server("127.0.0.1", 0, Response(json.dumps(answer)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def assert_refused(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is reported, and one line says why."""
    assert 1 == main(["evaluate", *arguments])
    out, err = capsys.readouterr()
    assert "" == out
    assert err.startswith("error: ")
    assert reason in err
    assert 1 == err.count("\n")


def test_the_shipped_model_is_asked_and_what_it_answered_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No progress bar goes into a pipe or a file."""
    assert 0 == main(["evaluate", str(folder)])
    out, err = capsys.readouterr()
    assert "" == err
    lines = out.splitlines()
    assert ["drawn", "3", "66.67%", "1"] == lines[1].split()[:4]
    assert "--- drawn ---" in lines
    assert lines[-1].endswith("broken.png")


def test_a_page_is_written_where_it_is_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert 0 == main(["evaluate", str(folder), "--html", str(page)])
    assert capsys.readouterr().out.endswith(f"\nWrote {page}.\n")
    assert "<title>Evaluation of drawn</title>" in page.read_text("utf-8")
    assert "broken.png: was a 5" in page.read_text("utf-8")


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(
        [str(folder), "--html", str(folder / "none" / "page.html")],
        "the folder for this page does not exist",
        capsys,
    )


def test_a_folder_without_labels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(
        [str(tmp_path)], f"{tmp_path}: expected a folder with images and a labels.csv", capsys
    )


def test_two_folders_of_one_name_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(folder, tmp_path / "elsewhere" / "drawn")
    assert_refused([str(folder), str(other)], "the same name", capsys)


def test_what_another_service_answered_is_not_recorded_in_the_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused([str(folder), "--record", "--url", "http://127.0.0.1:9"], "--record", capsys)


def test_numbers_are_asked_of_a_service_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a page, on which the boxes are drawn; MNIST's own test images are numbers of one
    digit.
    """
    slips, mnist, page = tmp_path / "slips", tmp_path / "mnist.npz", tmp_path / "page.html"
    slips.mkdir()
    (slips / "slip.png").write_bytes(encode(draw_digit(7)))
    (slips / "labels.csv").write_text("file,label\nslip.png,7|12\nslip.png,07\n")
    images, labels = (
        draw_digit(7, side=28, dark_on_light=False)[np.newaxis],
        np.array([7], np.uint8),
    )
    np.savez(mnist, x_train=images, y_train=labels, x_test=images, y_test=labels)
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    answer = {
        "number": "07",
        "confidence": 0.9,
        "uncertain": False,
        "lines": ["07"],
        "digits": [{"digit": 0, "box": box}],
    }
    with serving(answer) as url:
        assert 0 == main(
            ["evaluate", str(slips), str(mnist), "--number", "--url", url, "--html", str(page)]
        )
    lines = capsys.readouterr().out.splitlines()
    assert [
        "slips 2 50.00% 50.00% 60.00% 1 0.00% 50.00% 40.00%",
        "mnist.npz 1 0.00% 0.00% 100.00% 1 0.00% 100.00% 90.00%",
    ] == [" ".join(line.split()) for line in lines[1:3]]
    assert "  was 7|12, said 07 with 90.0%                    slip.png" in lines
    assert "slip.png: was 7|12, said 07 with 90.0%" in page.read_text("utf-8")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "http://127.0.0.1:1"], ids=["no address", "nothing listens"]
)
def test_a_service_that_cannot_be_asked_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    assert_refused([str(folder), "--url", url], url, capsys)


def test_without_a_model_there_is_no_report(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASKAPI_MODEL_PATH", "models/none.h5")
    assert_refused([str(folder)], "none.h5 cannot be read", capsys)


@pytest.mark.train
def test_the_figures_are_recorded_in_the_card_and_the_compiled_form_is_of_the_new_file(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The picture shows mistakes on MNIST's own files alone: images of other sets are not the
    model's to give away.
    """
    import h5py

    compile_here(monkeypatch)
    for suffix in (".h5", ".onnx"):
        shutil.copy(MODELS / f"my_model{suffix}", tmp_path)
    monkeypatch.setenv("FLASKAPI_MODEL_PATH", str(tmp_path / "my_model.h5"))
    with h5py.File(tmp_path / "my_model.h5", "r+") as file:
        file.pop("mistakes_png", None)
    for _ in range(2):  # the second finds the compiled form of the file that the first wrote
        assert 0 == main(["evaluate", str(folder), "--record"])
        assert "Wrote the figures into my_model.h5" in capsys.readouterr().out
    assert 0 == main(["card", str(tmp_path / "my_model.h5")])
    assert "| drawn | 3 | 66.67% | 1 |" in capsys.readouterr().out
    assert 1 == main(
        ["card", str(tmp_path / "my_model.h5"), "--picture", str(tmp_path / "mistakes.png")]
    )
    assert "has no picture" in capsys.readouterr().err


@pytest.mark.train
def test_figures_of_numbers_are_recorded_in_the_detectors_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_here(monkeypatch)
    slips = tmp_path / "slips"
    slips.mkdir()
    (slips / "slip.png").write_bytes(encode(draw_digit(7)))
    (slips / "labels.csv").write_text("file,label\nslip.png,7\nslip.png,12\n")
    for suffix in (".h5", ".onnx"):
        shutil.copy(MODELS / f"detector{suffix}", tmp_path)
    monkeypatch.setenv("FLASKAPI_DETECTOR_PATH", str(tmp_path / "detector.h5"))
    assert 0 == main(["evaluate", "--number", str(slips), "--record"])
    assert "Wrote the figures into detector.h5" in capsys.readouterr().out
    assert 0 == main(["card", str(tmp_path / "detector.h5")])
    card = capsys.readouterr().out
    assert "Through `/predict/number`" in card
    assert "| slips | 2 | 50.00% | 1 |" in card


def test_a_link_that_leads_to_itself_is_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert_refused([str(tmp_path / "loop")], "loop", capsys)
