"""`score` as people run it: what is written, what is told, and what a kill leaves."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from archives import make_tar, make_tar_gz, make_zip
from fakes import draw_digit, encode
from PIL import Image
from waiting import command_line, until

from flaskapi import create_app
from flaskapi.__main__ import main
from flaskapi.commands.score import plan

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "flaskapi", "score"]
DIGITS = [encode(draw_digit(digit, side=28)) for digit in range(10)]
PATIENCE_S = 240  # for thousands of pictures, on a machine that has much else to do
MEMBERS = [(f"{place:05}.png", DIGITS[place % 10]) for place in range(14_000)]


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few rows, so that few pictures make many."""
    monkeypatch.setattr(plan, "ROWS", 7)
    monkeypatch.setattr(plan, "TASK_FILES", 7)


def make_mixed(folder: Path) -> None:
    """Pictures of every kind, good and bad, in files of every kind."""
    good = {f"{digit}.png": DIGITS[digit] for digit in range(10)}
    good["large.jpg"] = encode(draw_digit(4, side=640), "JPEG")
    good["pages.tif"] = encode(
        Image.fromarray(draw_digit(1)),
        "TIFF",
        save_all=True,
        append_images=[Image.fromarray(draw_digit(2))],
    )
    good["pages.pdf"] = encode(
        Image.fromarray(draw_digit(3)),
        "PDF",
        save_all=True,
        append_images=[Image.fromarray(draw_digit(5))],
    )
    blank = encode(Image.new("L", (28, 28), 255))
    bad = {"words.png": b"words", "blank.png": blank, "cut.png": DIGITS[3][:90], "none.png": b""}
    folder.mkdir(parents=True)
    for name, content in (good | bad).items():
        (folder / name).write_bytes(content)
    (folder / "more").mkdir()
    pictures = [*good.items(), *bad.items()]
    (folder / "more" / "it.zip").write_bytes(make_zip(pictures))
    (folder / "more" / "it.tar").write_bytes(make_tar(pictures))
    (folder / "more" / "it.tar.gz").write_bytes(make_tar_gz(pictures))
    table = pyarrow.table({"path": [*(good | bad)], "image": [*(good | bad).values()]})
    pyarrow.parquet.write_table(table, folder / "more" / "it.parquet", row_group_size=4)


def score(*arguments: object) -> int:
    return main(["score", *map(str, arguments)])


def rows_of(target: Path, folder: str = "predictions") -> list[dict[str, Any]]:
    paths = sorted((target / folder).glob("*.parquet"))
    return [row for path in paths for row in pyarrow.parquet.read_table(path).to_pylist()]


def without_id(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in ("id", "name")}


@pytest.mark.process  # a PDF is read in a process of its own
def test_each_image_is_answered_as_by_predict(tmp_path: Path) -> None:
    """And one without an answer has the error of `/predict`, word for word."""
    make_mixed(tmp_path / "in")
    assert 1 == score(tmp_path / "in", tmp_path / "out", "--processes", 1)
    read = {row["name"]: row for row in rows_of(tmp_path / "out")}
    failed = {row["name"]: row for row in rows_of(tmp_path / "out", "failed")}
    client, asked = create_app().test_client(), 0
    for path in (tmp_path / "in").glob("*.*"):
        response = client.post("/predict", data={"file": (io.BytesIO(path.read_bytes()), "it")})
        answer = response.get_json()
        for place in ("", "/more/it.zip", "/more/it.tar", "/more/it.tar.gz", "/more/it.parquet"):
            name, asked = f"{tmp_path}/in{place}/{path.name}", asked + 1
            if path.suffix in (".tif", ".pdf"):  # of which /predict reads the first page
                assert answer["digit"] == read[f"{name}#1"]["digit"]
                assert {".tif": 2, ".pdf": 5}[path.suffix] == read[f"{name}#2"]["digit"]
            elif response.status_code == 200:
                assert without_id(answer) == without_id(read[name])
            else:
                expected = {
                    "name": name,
                    "error": answer["type"].rpartition("/")[2],
                    "detail": answer["detail"],
                }
                if path.stat().st_size == 0:  # of a request more can be said than of a file
                    expected["detail"] = "The image is empty."
                assert expected == failed[name]
    assert 5 * 17 == asked
    assert 5 * 19 == len(read) + len(failed)


def test_numbers_are_read_as_by_predict_number(tmp_path: Path) -> None:
    picture = ROOT / "examples" / "number.jpg"
    assert 0 == score(picture, tmp_path / "out", "--number", "--processes", 1)
    response = create_app().test_client().post("/predict/number", data=picture.read_bytes())
    (row,) = rows_of(tmp_path / "out")
    for column in ("number", "confidence", "uncertain", "model", "generation"):
        assert response.get_json()[column] == row[column]


@pytest.mark.process
def test_processes_change_no_file(tmp_path: Path) -> None:
    (tmp_path / "it.tar").write_bytes(make_tar(MEMBERS[:5000]))
    (tmp_path / "it.zip").write_bytes(make_zip([*MEMBERS[:100], ("bad.png", b"words")]))
    sources = [tmp_path / "it.tar", tmp_path / "it.zip", ROOT / "examples" / "7.png"]
    for processes, status in ((1, 1), (2, 1)):
        target = tmp_path / str(processes)
        assert status == score(*sources, target, "--processes", processes)
    one, two = (
        {path.relative_to(target): path.read_bytes() for path in target.rglob("*.parquet")}
        for target in (tmp_path / "1", tmp_path / "2")
    )
    assert one == two
    assert 4 + 1 == len(one)  # the tar's two parts, the ZIP's, the picture's, and the bad one


@pytest.mark.usefixtures("short_parts")
def test_shards_do_each_task_once_in_any_order(tmp_path: Path) -> None:
    for name, content in MEMBERS[:50]:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in" / "it.zip").write_bytes(make_zip(MEMBERS[50:80]))
    assert 0 == score(tmp_path / "in", tmp_path / "whole", "--processes", 1)
    seen = set[Path]()
    for shard in (2, 3, 1):
        score(tmp_path / "in", tmp_path / "out", "--shard", f"{shard}/3", "--processes", 1)
        parts = {*(tmp_path / "out" / "predictions").iterdir()}
        assert parts > seen, "each has a share"
        seen = parts
    whole, shards = rows_of(tmp_path / "whole"), rows_of(tmp_path / "out")
    assert 80 == len(whole)
    assert whole == shards


@pytest.mark.process
@pytest.mark.parametrize("processes", [1, 2])
def test_after_a_kill_it_goes_on_and_does_no_finished_part_again(
    processes: int, tmp_path: Path
) -> None:
    """Killed twice; the rows are those of a run that nobody killed, each once."""
    (tmp_path / "it.tar").write_bytes(make_tar(MEMBERS))
    target, parts = tmp_path / "out", tmp_path / "out" / "predictions"
    command = [*COMMAND, tmp_path / "it.tar", ROOT / "examples" / "7.png", target]
    command += ["--processes", str(processes)]
    before = dict[str, tuple[int, int]]()
    for wanted in (1, 2):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        until(lambda: len([*parts.glob("part-00000000*")]) >= wanted, PATIENCE_S)  # noqa: B023
        process.kill()
        process.communicate()
        now = {path.name: identity(path) for path in parts.glob("part*")}
        assert before.items() <= now.items()
        before = now
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    after = {path.name: identity(path) for path in parts.glob("part*")}
    assert before.items() <= after.items(), "no finished part was written again"
    expected = [*(f"{tmp_path}/it.tar/{name}" for name, _ in MEMBERS), f"{ROOT}/examples/7.png"]
    rows = rows_of(target)
    assert sorted(expected) == sorted(row["name"] for row in rows)
    assert all(row["digit"] == int(row["name"][-5]) for row in rows)
    assert not [*parts.glob(".*")], "what the kill left beside them was overwritten"
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Images: 0, " in again.stderr
    assert "done before: 2." in again.stderr


def identity(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


@pytest.mark.process
def test_ctrl_c_is_said_in_a_line_and_ends_all_processes(tmp_path: Path) -> None:
    (tmp_path / "it.tar").write_bytes(make_tar(MEMBERS))
    command = [*COMMAND, tmp_path / "it.tar", tmp_path / "out", "--processes", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    until(lambda: [*tmp_path.glob("out/predictions/part*")], PATIENCE_S)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert 130 == process.returncode
    assert b"Interrupted. The finished parts stay; the same command goes on after them.\n" == err
    until(lambda: is_empty(process.pid))


def is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.process
def test_a_part_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    """As on a full disk: no file may have more than 2 KB, and a part has more."""
    (tmp_path / "it.tar").write_bytes(make_tar(MEMBERS[:5000]))
    command = [*COMMAND, tmp_path / "it.tar", tmp_path / "out", "--processes", "1"]
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, -1)); "
    limit += "from flaskapi.__main__ import main; sys.exit(main(sys.argv[1:]))"
    limited = [sys.executable, "-c", limit, *command[3:]]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 1 == done.returncode
    assert done.stderr.startswith("error: ")
    assert "File too large. The finished parts stay" in done.stderr
    assert not [*(tmp_path / "out" / "predictions").glob("part*")]
    assert 0 == subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode
    assert 5000 == len(rows_of(tmp_path / "out"))


@pytest.mark.process
def test_a_process_that_is_killed_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    (tmp_path / "it.tar").write_bytes(make_tar(MEMBERS))
    command = [*COMMAND, tmp_path / "it.tar", tmp_path / "out", "--processes", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    until(lambda: [*tmp_path.glob("out/predictions/part*")], PATIENCE_S)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        if b"spawn_main" in command_line(child):
            os.kill(int(child), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert 1 == process.returncode
    assert b"error: A process ended early: it was killed, or memory ran out. The finished" in err


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert 1 == score(*arguments, "--processes", 1)
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_target_is_of_one_piece_of_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is gone on with by the same sources, unchanged, and by the same model."""
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "7.png").write_bytes(DIGITS[7])
    assert 0 == score(folder, target, "--processes", 1)
    assert "begun with another value of 'route': 'digit'" in said(
        capsys, folder, target, "--number"
    )
    assert "another value of 'sources'" in said(capsys, folder / "7.png", target)
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps(manifest | {"model": "another"}))
    assert "begun with another value of 'model': 'another'" in said(capsys, folder, target)
    (target / "manifest.json").write_text(json.dumps(manifest))
    (folder / "8.png").write_bytes(DIGITS[8])
    assert "The sources have changed since" in said(capsys, folder, target)
    (target / "manifest.json").write_text("[7")
    assert "manifest.json is not of this command" in said(capsys, folder, target)


def test_what_cannot_be_done_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "in" / "out"
    (tmp_path / "in").mkdir()
    assert "name a target outside of it" in said(capsys, tmp_path / "in", target)
    assert "must be files of this machine, or all" in said(
        capsys, "s3://bucket/in", tmp_path / "in", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()
    assert "none: there is no such file" in said(capsys, tmp_path / "none", tmp_path / "out")
    assert "no file matches" in said(capsys, tmp_path / "*.png", tmp_path / "out2")
    assert "The sources contain no image." in said(capsys, tmp_path / "in", tmp_path / "out3")


def test_a_pattern_names_files(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/b/2.png", "a/b/3.jpg", "[4].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(DIGITS[7])
    sources = [tmp_path / "a" / "**" / "*.png", tmp_path / "[4].png"]
    assert 0 == score(*sources, tmp_path / "out", "--processes", 1)
    expected = [f"{tmp_path}/{name}" for name in ("a/1.png", "a/b/2.png", "[4].png")]
    assert expected == [row["name"] for row in rows_of(tmp_path / "out")]


def test_an_archive_without_a_suffix_is_read_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(make_zip(MEMBERS[:3]))
    assert 0 == score(tmp_path / "upload", tmp_path / "out", "--processes", 1)
    assert 3 == len(rows_of(tmp_path / "out"))


def test_a_damaged_archive_is_one_failed_image(tmp_path: Path) -> None:
    archive = make_zip(MEMBERS[:5])
    (tmp_path / "cut.zip").write_bytes(archive[:-30])
    (tmp_path / "cut.tar").write_bytes(make_tar(MEMBERS[:5])[:3000])
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and no more")
    assert 1 == score(*sorted(tmp_path.iterdir()), tmp_path / "out", "--processes", 1)
    failed = {row["name"]: row["detail"] for row in rows_of(tmp_path / "out", "failed")}
    assert {f"{tmp_path}/{name}" for name in ("cut.zip", "cut.tar", "no.parquet")} == {*failed}
    assert "is damaged" in failed[f"{tmp_path}/no.parquet"]
    assert len(rows_of(tmp_path / "out")) >= 2  # of the tar, up to the cut


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "a/b"])
def test_a_share_that_is_none_is_refused(
    shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        score(tmp_path, tmp_path / "out", "--shard", shard)
    assert "expected 1/16 to 16/16" in capsys.readouterr().err


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Serving needs no pyarrow, and `make run` installs none."""
    for name in [name for name in sys.modules if name.startswith("flaskapi.commands.score.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert 1 == main(["score", str(ROOT / "examples"), str(tmp_path / "read")])
    said = capsys.readouterr().err
    assert "'.[parquet]'" in said
    assert "serving" not in said


def test_what_is_neither_file_nor_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert 1 == main(["score", str(tmp_path / "pipe"), str(tmp_path / "read")])
    assert "is no file and no folder" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["images/**", "link"])
def test_a_target_that_the_source_would_find_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(DIGITS[0])
    (tmp_path / "link").symlink_to("images")
    assert 1 == main(["score", str(tmp_path / source), str(tmp_path / "images" / "read")])
    assert "name a target outside of it" in capsys.readouterr().err
