"""`score` on a Ray cluster of two nodes."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from archives import make_zip
from fakes import draw_digit, encode
from instances import Wire, family, wires
from servers import free_port
from waiting import is_gone, until

from flaskapi.__main__ import main

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
RAY = Path(sys.prefix) / "bin" / "ray"
MEMORY_BYTES = 100_000_000
ENVIRON = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
DIGITS = [encode(draw_digit(digit, side=28)) for digit in range(10)]


class RayCluster(NamedTuple):
    """Two nodes with a processor each, the first of which holds the other together."""

    address: str
    wire: Wire
    nodes: "list[subprocess.Popen[bytes]]"

    def score(self, *arguments: object) -> "subprocess.Popen[str]":
        command = [*self.wire.inside, sys.executable, "-m", "flaskapi", "score"]
        return subprocess.Popen(
            [*command, *map(str, arguments), "--ray", self.address],
            cwd=ROOT,
            env=ENVIRON,
            stderr=subprocess.PIPE,
            text=True,
        )


def kill(node: "subprocess.Popen[bytes]") -> None:
    """End a node with all its processes, as when a machine loses its power."""
    processes = [*family(node.pid)]
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    node.wait()
    until(lambda: all(map(is_gone, processes)))


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    """Its servers listen on all addresses, so it has a network of its own where that can be."""
    if not RAY.exists():
        reason = "Ray is not installed: pip install '.[test]'"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    # With a short name, for sockets.
    folder, port = tempfile.mkdtemp(prefix="ray-", dir="/tmp"), free_port()
    first = ["--head", "--port", port, "--include-dashboard=false", "--temp-dir", folder]
    nodes = list[subprocess.Popen[bytes]]()

    def start(host: str, *options: object) -> None:
        some = ["--node-ip-address", host, "--num-cpus", 1, "--object-store-memory", MEMORY_BYTES]
        command = [*wire.inside, RAY, "start", "--block", *some, *options]
        node = subprocess.Popen(
            [*map(str, command)],
            env=ENVIRON,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        nodes.append(node)
        assert node.stdout
        for line in node.stdout:
            if b"Ray runtime started" in line:
                return
        raise AssertionError("a node has not started")

    with wires(1) as (wire,):
        try:
            start("127.0.0.2", *first)
            start("127.0.0.3", "--address", f"127.0.0.2:{port}")
            yield RayCluster(f"127.0.0.2:{port}", wire, nodes)
        finally:
            for node in nodes:
                if node.poll() is None:
                    kill(node)
                assert node.stdout
                node.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)


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
    assert 1 == main([*command, f"127.0.0.1:{free_port()}"])
    assert "cannot be reached" in capsys.readouterr().err
    assert 1 == main([*command, "auto", "--processes", "2"])
    assert "--processes is of this machine" in capsys.readouterr().err
