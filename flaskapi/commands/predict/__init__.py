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
        "predict", help="read files, folders, archives or standard input; no server is needed"
    )
    predicting.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="an image, a folder, a ZIP, tar or tar.gz, or - for standard input",
    )
    predicting.add_argument(
        "--number", action="store_true", help="read a number in each image, not one digit"
    )
    predicting.add_argument(
        "--output",
        choices=("csv", "ndjson", "parquet"),
        default="csv",
        help="parquet needs the extra 'parquet'",
    )
    predicting.add_argument(
        "--to", type=Path, metavar="FILE", help="write there instead of standard output"
    )
    predicting.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that read at the same time (1)",
    )
    predicting.set_defaults(run=predict)


def predict(options: argparse.Namespace) -> int:
    """Read many images; the status is 1 where any got no answer."""
    # Read by libraries when they are imported: processes use the cores, and threads would only get
    # in their way.
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
