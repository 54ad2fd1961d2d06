"""`score` on a Ray cluster of two nodes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import make_zip
from clusters import RayCluster, kill, ray_cluster, why_no_ray
from fakes import draw_digit, encode
from servers import free_port
from waiting import until

from flaskapi.__main__ import main

pytestmark = pytest.mark.process

DIGITS = [encode(draw_digit(digit, side=28)) for digit in range(10)]


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    if reason := why_no_ray():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with ray_cluster() as made:
        yield made


def contents(target: Path) -> dict[str, bytes]:
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*.parquet")}


def test_a_cluster_writes_the_same_also_if_a_node_is_killed(
    cluster: RayCluster, tmp_path: Path
) -> None:
    source = tmp_path / "scans"
    source.mkdir()
    for archive in range(12):
        members = [(f"{archive}-{n}.png", DIGITS[n % 10]) for n in range(1000)]
        (source / f"{archive:02}.zip").write_bytes(make_zip([*members, ("words.png", b"words")]))
    running = cluster.score(source, tmp_path / "by ray")
    until(lambda: len([*(tmp_path / "by ray").glob("predictions/part*")]) >= 3, 120)
    assert running.poll() is None, "in the middle"
    kill(cluster.nodes[1])
    _, said = running.communicate(timeout=240)
    assert 1 == running.returncode, said
    assert "Images: 12,012, of them without an answer: 12." in said
    main(["score", str(source), str(tmp_path / "here"), "--processes", "1"])
    assert 24 == len(contents(tmp_path / "here"))
    assert contents(tmp_path / "here") == contents(tmp_path / "by ray")
    again = cluster.score(source, tmp_path / "by ray")
    _, said = again.communicate(timeout=120)
    assert (0, True) == (again.returncode, "Tasks that were done before: 12." in said), said


def test_what_cannot_be_done_on_a_cluster_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "7.png").write_bytes(DIGITS[7])
    command = ["score", str(tmp_path / "7.png"), str(tmp_path / "read"), "--ray"]
    assert 1 == main([*command, "auto", "--processes", "2"])
    assert "--processes is of this machine" in capsys.readouterr().err
    assert 1 == main(["score", "scans", str(tmp_path / "read"), "--ray", "auto"])
    assert "scans is another folder on each machine" in capsys.readouterr().err
    for bad in ("", "ray://127.0.0.1:10001", "127.0.0.1"):
        with pytest.raises(SystemExit):
            main([*command, bad])
        assert f"expected HOST:PORT or auto, found '{bad}'" in capsys.readouterr().err
    assert 1 == main([*command, f"127.0.0.1:{free_port()}"])
    assert "cannot be reached: [Errno 111] Connection refused" in capsys.readouterr().err
