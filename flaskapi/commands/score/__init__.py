"""`score`: read millions of images into Parquet, in parts, on one machine or on many."""

import argparse
import os
import re
from typing import TYPE_CHECKING

from flaskapi.errors import FlaskapiError

if TYPE_CHECKING:
    from flaskapi.reading.many import Route


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `score`."""
    scoring = commands.add_parser(
        "score", help="read millions of images into Parquet; after a kill it goes on"
    )
    scoring.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a file, a folder, a quoted pattern, or an address such as s3://bucket/folder",
    )
    scoring.add_argument(
        "target", metavar="TARGET", help="a folder, or an address such as s3://bucket/folder"
    )
    scoring.add_argument(
        "--number", action="store_true", help="read each image as a number, not as one digit"
    )
    scoring.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="how many read at the same time (as many as there are processors for this process)",
    )
    scoring.add_argument(
        "--shard",
        type=_read_shard,
        default=(1, 1),
        metavar="K/N",
        help="do only this share of the work, such as 3/16",
    )
    scoring.add_argument(
        "--ray",
        type=_read_cluster,
        metavar="ADDRESS",
        help="on a machine of a Ray cluster: use all of them; such as 10.0.0.1:6379, or auto",
    )
    scoring.set_defaults(run=score)


def _read_shard(text: str) -> tuple[int, int]:
    if (found := re.fullmatch(r"(\d+)/(\d+)", text)) and 1 <= int(found[1]) <= int(found[2]):
        return int(found[1]), int(found[2])
    raise argparse.ArgumentTypeError(f"expected 1/16 to 16/16, for example, found {text!r}")


def _read_cluster(text: str) -> str:
    if text == "auto" or re.fullmatch(r"[^/]+:\d{1,5}", text):
        return text
    raise argparse.ArgumentTypeError(f"expected HOST:PORT or auto, found {text!r}")


def score(options: argparse.Namespace) -> int:
    """Read all images; the exit status is 1 if any has no answer."""
    # Libraries read these when they are imported: processes use the cores.
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_FOR_THREADS_NUM": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of what a later version will do
    }
    from flaskapi.commands.predict.writers import check_form

    check_form("parquet")  # all that follows needs its library
    from flaskapi.commands.score.command import ScoreOrder, score_sources

    processes = options.processes
    if options.ray is not None and processes is not None:
        raise FlaskapiError("--processes is of this machine; with --ray the cluster says how many.")
    if processes is None:
        processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if processes < 1:
        raise FlaskapiError(f"--processes is {processes}; it must be at least 1.")
    route: Route = "number" if options.number else "digit"
    return score_sources(
        ScoreOrder(options.sources, options.target, route, processes, options.shard, options.ray)
    )
