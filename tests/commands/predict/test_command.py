"""The command as people run it: a process, its output, its status."""

import contextlib
import csv
import fcntl
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from archives import make_tar, make_zip
from fakes import draw_digit, encode
from waiting import command_line, is_gone, is_waiting, until

from flaskapi import create_app
from flaskapi.__main__ import main
from flaskapi.commands.predict import command
from flaskapi.commands.predict.writers import RowWriter, make_writer
from flaskapi.reading.reader import Reader
from flaskapi.sources import Item

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "flaskapi", "predict"]
DIGITS = [encode(draw_digit(digit, side=28)) for digit in range(10)]
MANY = [(f"{place:04}.png", DIGITS[place % 10]) for place in range(600)]


@pytest.fixture(autouse=True)
def _own_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASKAPI_INSTANCE_PATH", str(tmp_path / "instance"))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        # As the command sets them, so that they do not outlive the test.
        monkeypatch.setenv(name, "1")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "it.zip"
    path.write_bytes(make_zip([*MANY[:150], ("bad.png", b"words"), *MANY[150:200]]))
    return path


def start(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
    pipes = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    } | options
    return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=ROOT, **pipes)


def test_rows_go_to_standard_output_errors_to_standard_error_and_the_status_tells(
    tmp_path: Path, capfdbinary: Any
) -> None:
    (tmp_path / "7.png").write_bytes(DIGITS[7])
    (tmp_path / "bad.png").write_bytes(b"words")
    assert 0 == main(["predict", str(tmp_path / "7.png")])
    out, err = capfdbinary.readouterr()
    assert out.startswith(
        b"name,digit,confidence,uncertain,error\n%s/7.png,7," % os.fsencode(tmp_path)
    )
    assert b"" == err
    assert 1 == main(["predict", str(tmp_path)])
    out, err = capfdbinary.readouterr()
    assert [b"name", b"7.png", b"bad.png"] == [
        line.split(b",")[0].split(b"/")[-1] for line in out.splitlines()
    ]
    assert err.startswith(b"error: %s/bad.png: This is not an image" % os.fsencode(tmp_path))
    assert err.endswith(b"\nImages without an answer: 1.\n")


def test_lines_are_those_of_the_endpoint(archive: Path, tmp_path: Path) -> None:
    assert 1 == main(["predict", str(archive), "--output", "ndjson", "--to", str(tmp_path / "out")])
    client = create_app().test_client()
    answered = client.post(
        "/predict/batch", data=archive.read_bytes(), content_type="application/zip"
    ).get_json()["results"]
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    for result in answered:
        assert result.pop("id", None) is None, "the command keeps nothing, and has none"
        if "error" in result:
            del result["error"]["request_id"]  # there is no request
        result["name"] = f"{archive}/{result['name']}"
    assert answered == lines


@pytest.mark.process
def test_workers_change_nothing_but_the_time(archive: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        assert 1 == main(
            [
                "predict",
                str(archive),
                "--output",
                "ndjson",
                "--to",
                str(tmp_path / str(workers)),
                "--workers",
                str(workers),
            ]
        )
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("setting", [None, "MODEL_PATH", "DETECTOR_PATH"])
def test_what_cannot_be_done_is_one_line(
    setting: str | None,
    archive: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if setting:
        monkeypatch.setenv(f"FLASKAPI_{setting}", "models/none.h5")
    arguments = ["--number"] if setting else ["--workers", "0"]
    assert 1 == main(["predict", str(archive), *arguments, "--to", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert ("", 1) == (out, err.count("\n"))
    assert err.startswith("error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.process
def test_a_file_is_replaced_when_it_is_whole_and_a_link_or_a_pipe_written_into(
    archive: Path, tmp_path: Path
) -> None:
    target, link = tmp_path / "out", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    main(["predict", str(archive), "--to", str(link)])
    assert link.is_symlink()
    written = target.read_text()
    assert 202 == len(written.splitlines())
    main(["predict", str(archive), "--to", str(target)])
    assert written == target.read_text()
    assert (tmp_path / "it.zip").stat().st_mode == target.stat().st_mode  # as any other new file
    assert written == start(archive, "--to", "/dev/stdout").communicate()[0].decode()


def test_a_folder_that_is_not_there_is_said_before_the_work(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["predict", str(archive), "--to", str(tmp_path / "none" / "out")])
    assert (
        f"error: {tmp_path}/none/out: the folder for this file does not exist.\n"
        == capsys.readouterr().err
    )


@pytest.mark.process
def test_without_a_model_nothing_is_read_or_written(
    archive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLASKAPI_MODEL_PATH", "models/none.h5")
    for workers in ("1", "2"):
        assert 1 == main(
            ["predict", str(archive), "--to", str(tmp_path / "out"), "--workers", workers]
        )
        assert "none.h5 cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.process
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_standard_input_and_output_can_be_pipes(form: str) -> None:
    process = start("-", "--output", form, stdin=subprocess.PIPE)
    out, err = process.communicate(make_tar(MANY[:30]), 60)
    assert (0, b"") == (process.returncode, err)
    rows = (
        pyarrow.parquet.read_table(io.BytesIO(out)).to_pylist()
        if form == "parquet"
        else out.splitlines()
    )
    assert 30 + (form == "csv") == len(rows)


@pytest.mark.process
def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "it.tar").write_bytes(make_tar(MANY))
    process = start(tmp_path / "it.tar", "--output", "ndjson")
    assert process.stdout
    assert process.stderr
    assert b"0000.png" in process.stdout.readline()
    process.stdout.close()
    assert 141 == process.wait(60)
    assert b"" == process.stderr.read()
    process.stderr.close()


def feed(process: "subprocess.Popen[bytes]", archive: bytes, stop_before: int) -> None:
    """Send an archive but for its end, and wait until all that was sent is worked off."""
    assert process.stdin
    process.stdin.write(archive[:-stop_before])
    process.stdin.flush()

    def waits_for_more() -> bool:
        """Nothing is in the pipe, and no process has anything to do, at several looks."""
        nonlocal quiet
        left = fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, bytes(4))
        all_wait = all(map(is_waiting, [process.pid, *children(process)]))
        quiet = quiet + 1 if not any(left) and all_wait else 0
        return quiet == 10

    quiet = 0
    until(waits_for_more)


@pytest.mark.process
@pytest.mark.parametrize(("form", "workers"), [("csv", 1), ("ndjson", 2), ("parquet", 1)])
def test_ctrl_c_leaves_what_was_done_written_whole(form: str, workers: int, tmp_path: Path) -> None:
    """Sent to the whole group of processes, as a terminal does, and twice, as people do."""
    target = tmp_path / "out"
    process = start(
        "-",
        "--output",
        form,
        "--to",
        target,
        "--workers",
        workers,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    feed(process, make_tar(MANY), 100_000)
    assert process.poll() is None
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (130, b"Interrupted. The rows so far are written.\n") == (process.returncode, err)
    if form == "parquet":
        rows = pyarrow.parquet.read_table(target).to_pylist()
    else:
        assert target.read_text().endswith("\n")
        lines = target.read_text().splitlines()
        rows = (
            [json.loads(line) for line in lines]
            if form == "ndjson"
            else list(csv.DictReader(lines))
        )
    assert len(rows) >= 100
    assert [name for name, _ in MANY[: len(rows)]] == [row["name"] for row in rows]
    assert {"out", "instance"} >= {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """After an interrupt the command leaves the signal ignored, as its process ends."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("error", [RuntimeError("a fault"), OSError("a full disk")])
def test_an_error_that_nobody_expected_leaves_what_was_done(
    form: str, error: Exception, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all = Reader.many

    def read_some(self: Reader, items: Iterable[Item], route: Any) -> Iterator[Any]:
        yield from itertools.islice(read_all(self, items, route), 100)
        raise error

    monkeypatch.setattr(Reader, "many", read_some)
    target = tmp_path / "out"
    with contextlib.suppress(RuntimeError):
        assert 1 == main(["predict", str(archive), "--to", str(target), "--output", form])
    assert 100 == (
        pyarrow.parquet.read_table(target).num_rows
        if form == "parquet"
        else len(target.read_text().splitlines()) - 1
    )
    assert {"out", "it.zip", "instance"} >= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_cannot_be_written_whole_replaces_none(
    form: str,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def make_failing(*arguments: Any) -> RowWriter:
        writer, write = make_writer(*arguments), iter(range(2))

        def write_twice(results: Any) -> None:
            if next(write, None) is None:
                raise OSError("a full disk")
            type(writer).write(writer, results)

        monkeypatch.setattr(writer, "write", write_twice)
        return writer

    monkeypatch.setattr(command, "make_writer", make_failing)
    target = tmp_path / "out"
    target.write_text("before")
    assert 1 == main(["predict", str(archive), "--to", str(target), "--output", form])
    assert "error: a full disk\n" in capsys.readouterr().err
    assert "before" == target.read_text()
    assert {"out", "it.zip", "instance"} >= {path.name for path in tmp_path.iterdir()}


@pytest.mark.usefixtures("_own_signals")
def test_ctrl_c_before_there_is_a_row_replaces_no_file(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_slowly(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command, "make_writer", make_slowly)
    target = tmp_path / "out"
    target.write_text("before")
    assert 130 == main(["predict", str(archive), "--to", str(target), "--output", "parquet"])
    assert "before" == target.read_text()
    assert {"out", "it.zip", "instance"} >= {path.name for path in tmp_path.iterdir()}


@pytest.mark.usefixtures("_own_signals")
def test_ctrl_c_loses_no_error_of_a_row_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def say(line: str, **options: Any) -> None:
        said.append(line)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command.tqdm, "write", say)
    (tmp_path / "it.zip").write_bytes(make_zip([(f"{n}.png", b"words") for n in range(100)]))
    assert 130 == main(["predict", str(tmp_path / "it.zip"), "--to", str(tmp_path / "out")])
    assert len((tmp_path / "out").read_text().splitlines()) - 1 == len(said) > 1


def test_a_name_that_a_terminal_would_obey_is_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "it.zip"
    path.write_bytes(make_zip([("\x1b[2J\nerror: b.png", b"words"), ("七.png", b"words")]))
    assert 1 == main(["predict", str(path), "--to", str(tmp_path / "out")])
    quoted, plain, _ = capsys.readouterr().err.splitlines()
    assert quoted.startswith(f"error: '{path}/\\x1b[2J\\nerror: b.png': This is not")
    assert plain.startswith(f"error: {path}/七.png: This is not")


def children(process: "subprocess.Popen[bytes]") -> Iterator[int]:
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if b"spawn_main" in command_line(child):
            yield int(child)


@pytest.mark.process
def test_a_worker_that_is_killed_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    process = start("-", "--to", tmp_path / "out", "--workers", 2, stdin=subprocess.PIPE)
    feed(process, make_tar(MANY), 100_000)
    os.kill(next(children(process)), signal.SIGKILL)
    _, err = process.communicate(make_tar(MANY)[-100_000:], 60)
    assert 1 == process.returncode
    assert b"error: A worker process ended early" in err
    assert len((tmp_path / "out").read_text().splitlines()) > 100


@pytest.mark.process
def test_workers_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    process = start("-", "--to", tmp_path / "out", "--workers", 2, stdin=subprocess.PIPE)
    feed(process, make_tar(MANY), 100_000)
    started = list(children(process))
    assert len(started) == 2
    process.kill()
    process.communicate()
    until(lambda: all(map(is_gone, started)))
