"""The command line: `python -m flaskapi COMMAND`."""

import argparse
import sys

from flaskapi.commands import TRAIN_EXTRA, evaluate, exchange, files, forget, keys, models, predict, retrain, service
from flaskapi.errors import FlaskapiError


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 for an error, which is said on standard error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m flaskapi", description="Tools beside the service itself.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for part in (service, files, models, retrain, evaluate, predict, forget, exchange, keys):
        part.add_commands(commands)
    options = parser.parse_args(argv)
    try:
        return options.run(options) or 0
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed. {TRAIN_EXTRA}", file=sys.stderr)
        return 1
    except (FlaskapiError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
