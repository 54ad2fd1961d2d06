"""`keys`: make, list and revoke operators' keys."""

import argparse
import re
import sys
from datetime import datetime

from flaskapi.commands import load_settings, open_store
from flaskapi.errors import FlaskapiError

_NAME = re.compile(r"[\w.@-]{1,64}")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `keys`."""
    keeping = commands.add_parser("keys", help="make, list and revoke the keys of operators")
    what = keeping.add_subparsers(required=True, metavar="make|list|revoke")
    making = what.add_parser(
        "make", help="make a key and print it: it is shown this once, and only its SHA-256 is kept"
    )
    making.add_argument(
        "name", metavar="NAME", help="whose it is; it stands with the labels given with it"
    )
    making.set_defaults(run=make)
    what.add_parser(
        "list", help="names, when each was made and last used, and which were revoked"
    ).set_defaults(run=list_all)
    revoking = what.add_parser("revoke", help="let a key open nothing from now on")
    revoking.add_argument("name", metavar="NAME")
    revoking.set_defaults(run=revoke)


def make(options: argparse.Namespace) -> None:
    """Make a key; it alone goes to standard output, so that a script can take it."""
    from flaskapi.submissions.keys import make_key

    if not _NAME.fullmatch(options.name):
        raise FlaskapiError(
            f"{options.name!r} cannot be a key's name: 1 to 64 letters, digits and signs of '_.@-'."
        )
    if load_settings()["STORE"] == "off":
        raise FlaskapiError(
            "Keys are kept in the store, which is off here (the setting STORE): one would open "
            "nothing."
        )
    with open_store() as store:
        token = make_key(store, options.name)
    print(
        f"The key of {options.name}, which is not shown again. Send it as: Authorization: Bearer "
        f"<key>",
        file=sys.stderr,
    )
    print(token)


def list_all(options: argparse.Namespace) -> None:
    """Print a line for each key."""
    from flaskapi.submissions.keys import list_keys

    with open_store() as store:
        found = list_keys(store)
    if not found:
        print("There are no keys. To make one: python -m flaskapi keys make NAME", file=sys.stderr)
        return
    rows = [
        ("name", "made", "last used", "revoked"),
        *((one.name, *map(_tell, one[1:])) for one in found),
    ]
    width = max(len(row[0]) for row in rows)
    for name, *moments in rows:
        print("  ".join([name.ljust(width), *(moment.ljust(20) for moment in moments)]).rstrip())


def revoke(options: argparse.Namespace) -> None:
    """Revoke a key."""
    from flaskapi.submissions.keys import revoke_key

    with open_store() as store:
        done = revoke_key(store, options.name)
    if not done:
        raise FlaskapiError(
            f"There is no key of the name {options.name!r} that is not revoked already."
        )
    print(f"The key of {options.name} opens nothing any more.")


def _tell(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else "-"
