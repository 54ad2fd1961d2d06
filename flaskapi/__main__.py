"""The command line: `python -m flaskapi COMMAND`."""

import argparse
import os
import sys

from flaskapi.commands import (
    TRAIN_EXTRA,
    backup,
    evaluate,
    exchange,
    files,
    find_folders,
    forget,
    keys,
    models,
    predict,
    retrain,
    service,
)
from flaskapi.errors import FlaskapiError
from flaskapi.privileges import drop_to_owner


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0; 1 for an error, which it says; 130 after Ctrl-C;
    141 where nobody reads on.
    """
    options = make_parser().parse_args(argv)
    try:
        status = run(options)
        sys.stdout.flush()
        return status
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed. {TRAIN_EXTRA}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # as where `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (FlaskapiError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Make what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flaskapi", description="Tools beside the service itself."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for part in (
        *(service, files, models, retrain, evaluate, predict),
        *(forget, exchange, keys, backup),
    ):
        part.add_commands(commands)
    return parser


def run(options: argparse.Namespace) -> int:
    """Run a command as the user whose folders it uses, where root started it."""
    if os.geteuid() == 0:
        drop_to_owner(find_folders(options))
    return options.run(options) or 0


if __name__ == "__main__":
    sys.exit(main())
