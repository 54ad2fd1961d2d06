"""`retrain`: learn from labelled submissions, once, or as the worker for requests over HTTP."""

import argparse
import getpass
import json
import logging
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaskapi.commands import check_page, read_moment, tell_why, write_page
from flaskapi.errors import FlaskapiError

if TYPE_CHECKING:
    from flaskapi.learning.retrain import Progress, RetrainingResult, RetrainOrder


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `retrain`."""
    parser = commands.add_parser(
        "retrain",
        help="train the serving model further on labelled submissions; needs the extra 'train'",
    )
    add = parser.add_argument
    add(
        "--since",
        type=read_moment,
        metavar="DATE",
        help="learn only from submissions received since then, such as 2026-11-22 or "
        "2026-11-22T15:00 (UTC)",
    )
    add(
        "--dry-run",
        action="store_true",
        help="list the labels to be used and the suspicious ones; train nothing",
    )
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with MNIST's four files, or an .npz; by default the setting MNIST_PATH",
    )
    add(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write a page with pictures of suspicious labels and changed answers",
    )
    add("--no-promote", action="store_true", help="make a version, but do not promote it")
    add("--steps", type=_count, metavar="N", help="batches of each training (160)")
    add("--seed", type=int, default=0, metavar="N", help="random seed (0)")
    add(
        "--json",
        action="store_true",
        help="print progress and result as lines of JSON, for the worker",
    )
    add(
        "--watch",
        action="store_true",
        help="be the worker: run the retrainings of POST /retrainings, until SIGTERM",
    )
    parser.set_defaults(run=retrain)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def retrain(options: argparse.Namespace) -> None:
    """Retrain once, or watch."""
    # TensorFlow reads them when it is imported.
    os.environ |= {
        "KERAS_BACKEND": "tensorflow",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    from flaskapi.app import make_app
    from flaskapi.sources.mnist import check_there

    app = make_app()
    if app.config["STORE"] == "off":
        raise FlaskapiError("The setting STORE is off, so there are no labels to learn from.")
    check_page(options.html)
    once = {
        "--since": options.since,
        "--dry-run": options.dry_run,
        "--html": options.html,
        "--no-promote": options.no_promote,
    }
    if options.watch and (given := [name for name, value in once.items() if value]):
        raise FlaskapiError(
            f"--watch runs each retraining of POST /retrainings; omit {given[0]}. A request can "
            f"set 'since' and 'promote'."
        )
    if data := options.data or app.config["MNIST_PATH"]:
        check_there(data)
    if options.watch:
        _watch(app, options)
    else:
        _retrain_once(app, options)


def _retrain_once(app: Any, options: argparse.Namespace) -> None:
    try:
        _retrain(app, options)
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            error.strerror = os.strerror(error.errno)  # HDF5 says much more
        reason = tell_why(error) if isinstance(error, OSError) else "Memory ran out."
        rest = "" if options.dry_run else " The serving version is unchanged."
        print(f"error: {reason}{rest}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        # HDF5 holds on to a file that it could not write, and would crash as Python ends.
        os._exit(1)


def _retrain(app: Any, options: argparse.Namespace) -> None:
    from flaskapi.app import make_registry
    from flaskapi.learning.report import render_page, render_text, to_figures
    from flaskapi.learning.retrain import promote

    registry = make_registry(app)
    done = _show_progress(app, registry, options)
    may_serve = bool(done.candidate) and not done.reasons
    if promoted := may_serve and not options.no_promote:
        if options.json:
            print(json.dumps({"progress": 1.0}), flush=True)  # ends here if the worker has gone
        promote(registry, done, "retrain" if options.json else getpass.getuser())
    text = render_text(done, promoted=promoted)
    if options.html:
        write_page(options.html, render_page(done, promoted=promoted))
    if options.json:
        state = "promoted" if promoted else "stayed"
        print(
            json.dumps(
                {"say": text, "done": state, "version": done.candidate, "figures": to_figures(done)}
            ),
            flush=True,
        )
        return
    print(text)
    if options.html:
        print(f"\nWrote {options.html}.")


def _show_progress(app: Any, registry: Any, options: argparse.Namespace) -> "RetrainingResult":
    """Retrain with a progress bar, or with lines for the worker."""
    from tqdm import tqdm

    from flaskapi.app import make_database, make_detector
    from flaskapi.learning.retrain import retrain as retrain_now

    order, store, detector = _order(app.config, options), make_database(app), make_detector(app)
    try:
        if options.json:
            return retrain_now(store, registry, order, _tell_worker(), detector)
        with tqdm(
            total=100,
            unit="%",
            bar_format="{l_bar}{bar}| {elapsed}<{remaining} {postfix}",
            disable=None,
        ) as bar:

            def tell(share: float, said: str) -> None:
                bar.update(100 * share - bar.n)
                if said:
                    bar.set_postfix_str(said)

            return retrain_now(store, registry, order, tell, detector)
    finally:
        store.close()


def _tell_worker() -> "Progress":
    """Report each per cent, not each step."""
    told = -1.0

    def tell(share: float, said: str) -> None:
        nonlocal told
        if said or share - told >= 0.01:
            told = share
            print(json.dumps({"progress": round(share, 3), "say": said}), flush=True)

    return tell


def _order(config: dict[str, Any], options: argparse.Namespace) -> "RetrainOrder":
    from flaskapi.learning.retrain import RetrainOrder

    data = options.data or config["MNIST_PATH"]
    return RetrainOrder(
        data, options.since, options.steps, options.seed, config["UNCERTAIN_BELOW"], options.dry_run
    )


def _watch(app: Any, options: argparse.Namespace) -> None:
    if (
        find_spec("keras") is None
    ):  # checked before a request is taken, because every one would fail
        raise ModuleNotFoundError(name="keras")
    from flaskapi.app import make_database
    from flaskapi.learning.watch import Worker

    logging.basicConfig(
        level=app.config["LOG_LEVEL"], format="%(asctime)s %(levelname)s %(message)s"
    )
    store = make_database(app)
    worker = Worker(store, lambda asked: _command(asked, options))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    print("Waiting for requests.", flush=True)
    try:
        worker.run()
    finally:
        store.close()


def _command(asked: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """The command of a child: with the options of the request and this worker's data."""
    chosen = {
        "--data": options.data,
        "--steps": options.steps,
        "--seed": options.seed,
        "--since": asked.get("since"),
    }
    values = [
        str(part) for name, value in chosen.items() if value is not None for part in (name, value)
    ]
    flags = [] if asked.get("promote", True) else ["--no-promote"]
    return [sys.executable, "-m", "flaskapi", "retrain", "--json", *values, *flags]
