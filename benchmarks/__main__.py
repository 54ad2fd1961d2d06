"""`python -m benchmarks`: all that needs no data; `python -m benchmarks NAME ...` for one of them."""

import argparse
from pathlib import Path

from benchmarks import files, reading, serving, startup


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(metavar="NAME")
    commands.add_parser("serving", help=serving.__doc__).set_defaults(run=lambda _: serving.main())
    commands.add_parser("startup", help=startup.__doc__).set_defaults(run=lambda _: startup.main())
    commands.add_parser("reading", help=reading.__doc__).set_defaults(run=lambda _: reading.main())
    sending = commands.add_parser("files", help=files.__doc__)
    sending.add_argument("folder", type=Path)
    sending.set_defaults(run=lambda options: files.main(options.folder))
    options = parser.parse_args()
    if hasattr(options, "run"):
        options.run(options)
    else:
        serving.main()
        startup.main()
        reading.main()


if __name__ == "__main__":
    main()
