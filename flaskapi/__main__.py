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
    forget,
    keys,
    models,
    predict,
    retrain,
    service,
)
from flaskapi.errors import FlaskapiError


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0; 1 for an error, which it says; 130 after Ctrl-C;
    141 where nobody reads on.
    """
    parser = argparse.ArgumentParser(
        prog="python -m flaskapi", description="Tools beside the service itself."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for part in (
        *(service, files, models, retrain, evaluate, predict),
        *(forget, exchange, keys, backup),
    ):
        part.add_commands(commands)
    options = parser.parse_args(argv)
    try:
        status = options.run(options) or 0
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


if __name__ == "__main__":
    sys.exit(main())
