"""`predict`: read images without a server."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flaskapi.errors import FlaskapiError

if TYPE_CHECKING:
    from flaskapi.reading.many import Route


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `predict`."""
    predicting = commands.add_parser(
        "predict", help="read files, folders, archives or standard input, without a server"
    )
    predicting.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="an image, a folder, a ZIP, tar or tar.gz, or - for standard input",
    )
    predicting.add_argument(
        "--number", action="store_true", help="read each image as a number, not as one digit"
    )
    predicting.add_argument(
        "--output",
        choices=("csv", "ndjson", "parquet"),
        default="csv",
        help="parquet needs the extra 'parquet'",
    )
    predicting.add_argument(
        "--to", type=Path, metavar="FILE", help="write to this file instead of standard output"
    )
    predicting.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="how many processes read at the same time (1)",
    )
    predicting.set_defaults(run=predict)


def predict(options: argparse.Namespace) -> int:
    """Read many images; the exit status is 1 if any has no answer."""
    # Libraries read these when they are imported: processes use the cores, so threads would only
    # slow them down.
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_FOR_THREADS_NUM": "1",
    }
    from flaskapi.commands.predict.command import PredictOrder, predict_paths

    if options.workers < 1:
        raise FlaskapiError(f"--workers is {options.workers}; it must be at least 1.")
    route: Route = "number" if options.number else "digit"
    return predict_paths(
        PredictOrder(options.paths, route, options.output, options.to, options.workers)
    )
