"""`check`: would the service be ready?"""

import argparse
import sys

from flaskapi.commands import load_service
from flaskapi.errors import ModelFileError, StoreUnavailableError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check`."""
    checking = commands.add_parser(
        "check",
        help="would the service be ready? builds it as a web process does, including the compiled "
        "form",
    )
    checking.set_defaults(run=check)


def check(options: argparse.Namespace) -> None:
    """Build the service and check whether it is ready."""
    from flaskapi.handwriting.conventions import explain, find_convention

    config, services = load_service()
    card = services.classifier.card
    if finding := find_convention(services.classifier.probabilities):
        raise ModelFileError(f"Model {card['version']}: {explain(finding)}.")
    print(f"Ready: model {card['version']}, detector {services.detector.card['version']}.")
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
            f"But the store cannot be used: {error} Predictions would be answered and not kept.",
            file=sys.stderr,
        )
    services.store.close()
