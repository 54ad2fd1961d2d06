"""The command line: `python -m flaskapi COMMAND`."""

import argparse
import os
import sys

from flaskapi.commands import (
    backup,
    batches,
    check_written,
    evaluate,
    exchange,
    files,
    find_folders,
    find_written,
    forget,
    keys,
    models,
    name_user,
    predict,
    retrain,
    score,
    service,
    store,
    tell_missing,
    tell_switch,
    tell_why,
)
from flaskapi.errors import FlaskapiError
from flaskapi.privileges import drop_to_owner


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0; 1 for an error, which is printed; 130 after
    Ctrl-C; 141 if the reader of the output has gone.
    """
    options, began_as = make_parser().parse_args(argv), os.geteuid()
    try:
        status = run(options)
        sys.stdout.flush()
        return status
    except ModuleNotFoundError as error:
        print(f"error: {tell_missing(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # for example, `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except FlaskapiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {tell_why(error)}{_tell_user(error, began_as)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flaskapi", description="Tools beside the service itself."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for part in (
        *(service, files, models, retrain, evaluate, predict, score, batches),
        *(forget, exchange, keys, backup, store),
    ):
        part.add_commands(commands)
    return parser


def run(options: argparse.Namespace) -> int:
    """Run a command. If root started it, it runs as the owner of the folders that it uses."""
    began_as = os.geteuid()
    if began_as == 0:
        drop_to_owner(find_folders(options))
    for path in find_written(options):
        check_written(path, was_root=began_as != os.geteuid())
    return options.run(options) or 0


def _tell_user(error: OSError, began_as: int) -> str:
    """Which user lacked the rights, after root gave up its own."""
    if not isinstance(error, PermissionError) or began_as == os.geteuid():
        return ""
    return f" {tell_switch(user := name_user())}: let {user} open it, or copy it to /tmp."


if __name__ == "__main__":
    sys.exit(main())
