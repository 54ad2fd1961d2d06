"""Buckets, by a server that speaks as S3 does: moto's."""

import io
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import s3fs
from archives import make_tar_gz, make_zip
from fakes import draw_digit, encode
from servers import free_port
from waiting import until

from flaskapi.__main__ import main
from flaskapi.commands.score import remote
from flaskapi.commands.score.places import ListedFile, UnreachableError
from flaskapi.commands.score.remote import RemoteStorage
from flaskapi.errors import FlaskapiError
from flaskapi.sources import Allowance
from flaskapi.sources.archives import read_file

pytestmark = pytest.mark.process
DIGITS = [encode(draw_digit(digit, side=28)) for digit in range(10)]
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}


class Moto:
    """A server of its own, which keeps in memory what it is sent."""

    def __init__(self, log: Path) -> None:
        self.port, program = free_port(), Path(sys.executable).with_name("moto_server")
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [program, "-H", "127.0.0.1", "-p", str(self.port)], stdout=file, stderr=file
            )
        until(lambda: self.process.poll() is None and b"Running on" in log.read_bytes())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    server = Moto(tmp_path_factory.mktemp("moto") / "log")
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Moto]:
    server = Moto(tmp_path / "moto.log")
    yield server
    server.stop()


def make_bucket(server: Moto, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket; the settings are those that every client of S3 reads."""
    for key, value in {**SETTINGS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}.items():
        monkeypatch.setenv(key, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


@pytest.fixture
def bucket(
    lasting_server: Moto, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    name = f"bucket-{zlib.crc32(request.node.name.encode())}"
    return make_bucket(lasting_server, name, monkeypatch)


def put(address: str, content: bytes) -> None:
    s3fs.S3FileSystem().pipe_file(address, content)


@pytest.fixture
def few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pictures are fetched at the same time, so that few make several rounds."""
    monkeypatch.setattr(remote, "TOGETHER", 4)


def rows_of(target: str, folder: str = "predictions") -> list[dict[str, Any]]:
    files = s3fs.S3FileSystem(use_listings_cache=False)
    return [
        row
        for path in sorted(files.glob(f"{target}/{folder}/*.parquet"))
        for row in pyarrow.parquet.read_table(io.BytesIO(files.cat_file(path))).to_pylist()
    ]


@pytest.mark.usefixtures("few_together")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_bucket_is_read_and_written_as_folders_are(
    bucket: str, processes: str, tmp_path: Path
) -> None:
    """Pictures, archives and a bad file, with the rows that the same files give from a folder."""
    files = {f"{place // 5}/{place:03}.png": DIGITS[place % 10] for place in range(10)}
    files |= {"bad.png": b"words", "README": b"no picture's name"}
    files |= {"it.zip": make_zip([("a.png", DIGITS[1]), ("b.png", DIGITS[2])])}
    files |= {"it.tar.gz": make_tar_gz([("c.png", DIGITS[3])])}
    for name, content in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    s3fs.S3FileSystem().pipe({f"{bucket}/in/{name}": files[name] for name in files})
    assert 1 == main(["score", f"{bucket}/in", f"{bucket}/out", "--processes", processes])
    assert 1 == main(["score", str(tmp_path / "in"), f"{bucket}/local", "--processes", "1"])
    for folder, count in (("predictions", 13), ("failed", 1)):
        rows = rows_of(f"{bucket}/out", folder)
        assert count == len(rows)
        for row in rows:
            row["name"] = row["name"].replace(bucket, str(tmp_path))
        assert rows_of(f"{bucket}/local", folder) == rows


def test_a_run_goes_on_in_a_bucket(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(f"{bucket}/in/7.png", DIGITS[7])
    command = ["score", f"{bucket}/in/*.png", f"{bucket}/out", "--processes", "1"]
    assert [0, 0] == [main(command), main(command)]
    assert "Tasks that were done before: 1." in capsys.readouterr().err
    put(f"{bucket}/in/8.png", DIGITS[8])
    assert 1 == main(command)
    assert "The sources have changed" in capsys.readouterr().err


def test_what_is_not_there_is_said(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    for source, reason in (
        ("none", "none: nothing is there."),
        ("*.png", "no file matches this pattern."),
    ):
        assert 1 == main(["score", f"{bucket}/{source}", f"{bucket}/out", "--processes", "1"])
        assert reason in capsys.readouterr().err
    assert 1 == main(["score", "nosuch://bucket/in", f"{bucket}/out"])
    assert "must be files of this machine, or all" not in (err := capsys.readouterr().err)
    assert "nosuch" in err


def test_a_file_that_has_gone_is_a_failed_image_and_a_large_one_is_not_fetched(
    bucket: str,
) -> None:
    put(f"{bucket}/7.png", DIGITS[7])
    files = [ListedFile(f"{bucket}/7.png", 300), ListedFile(f"{bucket}/8.png", 300)]
    files += [ListedFile(f"{bucket}/none.png", 10**9)]
    found, gone, large = RemoteStorage(bucket).read(files, Allowance(1000))
    assert DIGITS[7] == found
    assert isinstance(gone, FlaskapiError)
    assert "It cannot be read" in str(gone)
    assert isinstance(large, FlaskapiError)
    assert "The image has more than 1,000 bytes" in str(large)


def test_a_server_that_is_lost_ends_the_run_and_no_image(
    own_server: Moto, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure of the network is none of the images: what was not read is read by the next run."""
    bucket = make_bucket(own_server, "lost", monkeypatch)
    put(f"{bucket}/it.zip", make_zip((f"{n}.bin", os.urandom(500_000)) for n in range(30)))
    place = RemoteStorage(bucket)
    with place.open(f"{bucket}/it.zip") as file:
        items = read_file(file, "it.zip", Allowance(10**6))
        next(items)
        own_server.stop()
        with pytest.raises(UnreachableError):
            list(items)
    with pytest.raises(UnreachableError):
        next(place.read([ListedFile(f"{bucket}/7.png", 300)], Allowance(1000)))
    assert 1 == main(["score", f"{bucket}/it.zip", f"{bucket}/out", "--processes", "1"])
    assert capsys.readouterr().err.startswith("error: s3: ")
