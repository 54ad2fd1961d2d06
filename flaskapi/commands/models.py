"""`models`: list, compare, promote and remove versions of the model."""

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaskapi.commands import load_settings
from flaskapi.commands.wait import add_wait, check_wait, wait_for
from flaskapi.errors import FlaskapiError, VersionError

if TYPE_CHECKING:
    from flaskapi.versions.pointer import Pointer
    from flaskapi.versions.registry import Registry
    from flaskapi.versions.version import Version

KEPT, SHARE = 5, 0.1
_NAMED = "its name or the last eight characters of its name"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `models` with its own commands."""
    parser = commands.add_parser(
        "models",
        help="versions of the model: register, compare, promote, roll back, while the service runs",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    actions.add_parser("list", help="list all versions, and mark the serving one").set_defaults(
        run=list_versions
    )

    showing = actions.add_parser(
        "show", help="print a version's card, and how many submissions it was learned from"
    )
    showing.add_argument("version", help=_NAMED)
    showing.set_defaults(run=show)

    comparing = actions.add_parser("compare", help="compare two versions by their cards")
    comparing.add_argument("first", metavar="VERSION")
    comparing.add_argument("second", metavar="VERSION")
    comparing.add_argument(
        "--on",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="let both versions also read labelled images",
    )
    comparing.set_defaults(run=compare)

    promoting = actions.add_parser(
        "promote", help="let a version serve, in every process, without a restart"
    )
    promoting.add_argument("version", help=f"{_NAMED}, or MODEL_PATH for the file of that setting")
    add_wait(promoting)
    promoting.set_defaults(run=promote)

    returning = actions.add_parser("rollback", help="let the previous version serve again")
    add_wait(returning)
    returning.set_defaults(run=roll_back)

    shadowing = actions.add_parser(
        "shadow", help="let a version answer beside the serving one; callers do not see it"
    )
    shadowing.add_argument("version", help=f"{_NAMED}, or off")
    shadowing.add_argument(
        "--share",
        type=float,
        default=SHARE,
        help=f"share of the digits that it answers, above 0 and at most 1 ({SHARE:g})",
    )
    shadowing.set_defaults(run=shadow)

    registering = actions.add_parser(
        "register", help="make a version of a model file (.h5, .keras)"
    )
    registering.add_argument("model", type=Path, metavar="FILE")
    registering.set_defaults(run=register)

    pruning = actions.add_parser("prune", help="remove old versions")
    pruning.add_argument(
        "--keep", type=int, default=KEPT, metavar="N", help=f"how many new ones to keep ({KEPT})"
    )
    pruning.set_defaults(run=prune)


def open_registry() -> "Registry":
    """The registry of the settings."""
    from flaskapi.app import make_app, make_registry

    return make_registry(make_app())


def list_versions(options: argparse.Namespace) -> None:
    """Print a line for each version."""
    registry = open_registry()
    pointer = registry.read()
    print(f"  {'version':22}{'registered':18}{'test set':>9}  {'learned from':>12}  state")
    for version in (None, *registry.versions()):
        print(_row(registry, pointer, version))


def _row(registry: "Registry", pointer: "Pointer", version: "Version | None") -> str:
    """The line of a version, or of the file of the setting MODEL_PATH, which is not a version."""
    from flaskapi.versions.overview import describe_version

    one = describe_version(registry, pointer, version)
    registered = (
        datetime.fromtimestamp(one.registered_s, UTC).strftime("%Y-%m-%d %H:%M")
        if one.registered_s
        else ""
    )
    learned = "" if one.learned is None else f"{one.learned:,}"
    state = [f"serves, generation {pointer.generation}"] if one.serves else []
    state += [f"shadow, share {one.share:g}"] if one.share else []
    state += [f"broke: {one.broke}"] if one.broke else []
    state += [f"is {one.card['version']}"] if one.card and not version else []
    state += [one.trouble] if one.trouble else []
    accuracy = f"{one.card['accuracy']['test']:.2%}" if "accuracy" in one.card else ""
    mark = "*" if one.serves else " "
    return (
        f"{mark} {one.name:22}{registered:18}{accuracy:>9}  {learned:>12}  {'; '.join(state)}"
    ).rstrip()


def show(options: argparse.Namespace) -> None:
    """Print a version's card, and how many submissions it was learned from."""
    from flaskapi.versions.version import CARD, SUBMISSIONS

    registry = open_registry()
    version = registry.get(options.version)
    print((version.path / CARD).read_text("utf-8"), end="")
    if (submissions := version.submissions) is not None:
        print(f"Learned from {len(submissions):,} submissions: {version.path / SUBMISSIONS}")
    print(f"State: {_row(registry, registry.read(), version).strip('* ')}")


def promote(options: argparse.Namespace) -> int:
    """Promote a version."""
    registry = open_registry()
    check_wait(options, registry)
    pointer = registry.promote(options.version, getpass.getuser())
    print(f"{pointer.version} serves, generation {pointer.generation}.")
    return wait_for(options, pointer.generation, registry)


def roll_back(options: argparse.Namespace) -> int:
    """Let the previous version serve again."""
    registry = open_registry()
    check_wait(options, registry)
    left = registry.read().version
    pointer = registry.roll_back(getpass.getuser())
    print(f"{pointer.version} serves again, generation {pointer.generation}, instead of {left}.")
    return wait_for(options, pointer.generation, registry)


def shadow(options: argparse.Namespace) -> None:
    """Start or end a shadow."""
    if not 0 < options.share <= 1:
        raise FlaskapiError(f"--share is {options.share:g}; it must be above 0, and at most 1.")
    pointer = open_registry().set_shadow(
        None if options.version == "off" else options.version, options.share
    )
    print(
        f"{pointer.shadow.version} answers beside {pointer.version}."
        if pointer.shadow
        else "No version answers in the shadow."
    )


def register(options: argparse.Namespace) -> None:
    """Make a version of a model file."""
    # A compiled form beside a file from elsewhere could answer anything, or never.
    version = open_registry().add(options.model, is_trusted=False)
    print(f"Registered {options.model} as {version.name}.")


def prune(options: argparse.Namespace) -> None:
    """Remove old versions."""
    if options.keep < 0:
        raise FlaskapiError(f"--keep is {options.keep}; it must be 0 or more.")
    removed = open_registry().prune(options.keep)
    print(f"Removed {', '.join(removed)}." if removed else "There is no version to remove.")


def compare(options: argparse.Namespace) -> None:
    """Print two cards side by side, and the results of both on labelled images."""
    from flaskapi.versions.pointer import MODEL_FILE

    registry = open_registry()
    names = [
        name if name == MODEL_FILE else registry.get(name).name
        for name in (options.first, options.second)
    ]
    classifiers = [registry.load(name) for name in names]
    cards = [_figures(classifier.card) for classifier in classifiers]
    if classifiers[0].version == classifiers[1].version:
        raise VersionError(f"{names[0]} and {names[1]} are the same version.")
    print(f"{'':32}{classifiers[0].version:>22}{classifiers[1].version:>22}")
    for row in dict.fromkeys([*cards[0], *cards[1]]):
        print(f"{row:32}{cards[0].get(row, '-'):>22}{cards[1].get(row, '-'):>22}")
    for folder in options.on:
        _compare_on(folder, classifiers)


def _figures(card: dict[str, Any]) -> dict[str, str]:
    """The figures of a card that can be compared with another's."""
    rows = {
        "network": card.get("network", "-"),
        "weights": f"{card['weights']:,}" if "weights" in card else "-",
    }
    rows |= {
        f"right, its own {part} part": f"{share:.2%}"
        for part, share in card.get("accuracy", {}).items()
    }
    for name, figures in card.get("evaluation", {}).items():
        if "accuracy" in figures:
            rows |= {
                f"right, {name}": f"{figures['accuracy']:.2%}",
                f"uncertain, {name}": f"{figures['uncertain']:.2%}",
            }
    return rows


def _compare_on(folder: Path, classifiers: list[Any]) -> None:
    """Let both read each labelled image, and count those that only one read correctly."""
    from flaskapi.evaluation.ask import ask_digits
    from flaskapi.evaluation.labelled import load_labelled
    from flaskapi.reading.protocols import Limits
    from flaskapi.reading.reader import Reader
    from flaskapi.serving.detector import NoDetector

    images = [image for image in load_labelled(folder) if image.label]
    limits = Limits(load_settings()["MAX_IMAGE_PIXELS"], uncertain_below=0)
    none = NoDetector("This compares digits, not numbers.")
    asked = [ask_digits(Reader(classifier, none, limits)) for classifier in classifiers]
    right = [[ask(image).outcome.said == image.label for image in images] for ask in asked]
    alone = [
        sum(ours and not theirs for ours, theirs in zip(one, other, strict=True))
        for one, other in (right, right[::-1])
    ]
    print(
        f"{f'wrong of {len(images):,}, {folder.name}':32}"
        f"{len(images) - sum(right[0]):>22,}{len(images) - sum(right[1]):>22,}"
    )
    print(f"{f'right alone, {folder.name}':32}{alone[0]:>22,}{alone[1]:>22,}")
