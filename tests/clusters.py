"""A Ray cluster of two nodes on one machine."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from instances import family, wires
from servers import ROOT, free_port
from waiting import is_gone, until

RAY = Path(sys.prefix) / "bin" / "ray"
MEMORY_BYTES = 100_000_000
SILENT = {"RAY_USAGE_STATS_ENABLED": "0"}  # else Ray reports its use to its makers


def why_no_ray() -> str | None:
    return None if RAY.exists() else "Ray is not installed: pip install '.[test]'"


class RayCluster(NamedTuple):
    """Two nodes with a processor each, the first of which holds the other together."""

    address: str
    inside: Sequence[str]  # what starts a program in the network of the cluster
    nodes: "list[subprocess.Popen[bytes]]"

    def score(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start the command on it."""
        command = [*self.inside, sys.executable, "-m", "flaskapi", "score"]
        return subprocess.Popen(
            [*command, *map(str, arguments), "--ray", self.address],
            cwd=ROOT,
            env=os.environ | SILENT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self) -> list[int]:
        """Those of all nodes."""
        return [process for node in self.nodes for process in family(node.pid)]


def kill(node: "subprocess.Popen[bytes]") -> None:
    """End a node with all its processes, as when a machine loses its power."""
    processes = [*family(node.pid)]
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    node.wait()
    until(lambda: all(map(is_gone, processes)))


@contextlib.contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Its servers listen on all addresses, so it has a network of its own where that can be."""
    # With a short name, for sockets.
    folder, port = tempfile.mkdtemp(prefix="ray-", dir="/tmp"), free_port()
    nodes = list[subprocess.Popen[bytes]]()

    def start(host: str, *options: object) -> None:
        some = ["--node-ip-address", host, "--num-cpus", 1, "--object-store-memory", MEMORY_BYTES]
        node = subprocess.Popen(
            [*map(str, [*wire.inside, RAY, "start", "--block", *some, *options])],
            env=os.environ | SILENT,
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
            start(
                "127.0.0.2",
                *("--head", "--port", port, "--include-dashboard=false", "--temp-dir", folder),
            )
            start("127.0.0.3", "--address", f"127.0.0.2:{port}")
            yield RayCluster(f"127.0.0.2:{port}", wire.inside, nodes)
        finally:
            for node in nodes:
                if node.poll() is None:
                    kill(node)
                assert node.stdout
                node.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)
