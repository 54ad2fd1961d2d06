"""`batches`: be the worker that answers asynchronous batches."""

import argparse
import signal

from flaskapi.errors import FlaskapiError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `batches`."""
    answering = commands.add_parser(
        "batches", help="answer the batches that were sent with 'Prefer: respond-async'"
    )
    answering.add_argument(
        "--watch",
        action="store_true",
        help="be the worker: answer each that comes, until SIGTERM; otherwise those that wait",
    )
    answering.set_defaults(run=answer)


def answer(options: argparse.Namespace) -> None:
    """Answer those that wait, or watch."""
    from flaskapi.app import create_app, make_app, make_database
    from flaskapi.web.batch_worker import BatchWorker

    settings = make_app()
    if settings.config["STORE"] == "off":
        raise FlaskapiError("The setting STORE is off, so no batch is kept for a worker.")
    store = make_database(settings)
    app = create_app(store=store)
    worker = BatchWorker(app, store)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    if options.watch:
        print("Waiting for batches.", flush=True)
    try:
        done = worker.run(watch=options.watch)
    finally:
        store.close()
    print(f"Answered {done:,} batches.")
