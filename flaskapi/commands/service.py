"""`check`: would the service be ready?"""

import argparse
import sys

from flaskapi.commands import load_service
from flaskapi.errors import StoreUnavailableError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check`."""
    checking = commands.add_parser(
        "check",
        help="would the service be ready? makes it as a web process does, the compiled form "
        "included",
    )
    checking.set_defaults(run=check)


def check(options: argparse.Namespace) -> None:
    """Make the service and ask it whether it is ready."""
    config, services = load_service()
    print(
        f"Ready: model {services.classifier.card['version']}, detector "
        f"{services.detector.card['version']}."
    )
    if services.models.refused:
        print(f"But: {services.models.refused}", file=sys.stderr)
    if config["STORE"] == "off":
        return
    try:
        print(f"Ready: store {services.store.check()['kind']}.")
    except StoreUnavailableError as error:
        if config["STORE"] == "required":
            raise
        print(
            f"But: the store cannot be used: {error} Predictions will be answered without being "
            f"kept.",
            file=sys.stderr,
        )
    services.store.close()
