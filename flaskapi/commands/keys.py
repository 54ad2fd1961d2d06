"""`keys`: make, list and revoke keys."""

import argparse
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from flaskapi.commands import load_settings, open_store
from flaskapi.contract.keys import check_name, read_expiry, read_limit
from flaskapi.errors import FlaskapiError, InvalidRequestError
from flaskapi.submissions import SCOPES

T = TypeVar("T")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `keys`."""
    keeping = commands.add_parser("keys", help="make, list and revoke keys")
    what = keeping.add_subparsers(required=True, metavar="make|list|revoke")
    making = what.add_parser(
        "make", help="make a key and print it; it is shown once, and only its SHA-256 is kept"
    )
    making.add_argument(
        "name", metavar="NAME", help="the name of its holder; labels are stored with this name"
    )
    making.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="predict: read images, if that needs a key; label: list and label submissions; "
        "operate: everything (the default); may be given twice",
    )
    making.add_argument(
        "--expires",
        type=_option(read_expiry),
        metavar="DATE|DAYSd",
        help="when it expires, such as 2027-01-31, 2027-01-31T12:00 or 90d",
    )
    making.add_argument(
        "--limit",
        type=_option(read_limit),
        metavar="RATE",
        help="its rate limit, such as '60 per minute', instead of that of its address",
    )
    making.set_defaults(run=make)
    what.add_parser(
        "list", help="names, scopes, times of making, last use, expiry and revocation, rate limits"
    ).set_defaults(run=list_all)
    revoking = what.add_parser("revoke", help="make a key invalid at once")
    revoking.add_argument("name", metavar="NAME")
    revoking.set_defaults(run=revoke)


def make(options: argparse.Namespace) -> None:
    """Make a key. Only the key goes to standard output, so that a script can use it."""
    from flaskapi.submissions.keys import make_key

    check_name(options.name)
    if load_settings()["STORE"] == "off":
        raise FlaskapiError(
            "Keys are kept in the store, but the setting STORE is off, so no key would be "
            "accepted. Set STORE to on or required."
        )
    with open_store() as store:
        token = make_key(
            store,
            options.name,
            scopes=options.scope or ["operate"],
            expires_at=options.expires,
            rate_limit=options.limit,
        )
    print(
        f"The key of {options.name}. It is not shown again. Send it as: Authorization: Bearer "
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
        print(
            "There are no keys. To make one: .venv/bin/python -m flaskapi keys make NAME",
            file=sys.stderr,
        )
        return
    rows: list[tuple[str, ...]] = [
        ("name", "scope", "made", "last used", "expires", "revoked", "limit")
    ]
    for one in found:
        moments = map(_tell, (one.created_at, one.used_at, one.expires_at, one.revoked_at))
        rows.append((one.name, one.scopes.replace(" ", ","), *moments, one.rate_limit or "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        fields = (field.ljust(width) for field, width in zip(row, widths, strict=True))
        print("  ".join(fields).rstrip())


def revoke(options: argparse.Namespace) -> None:
    """Revoke a key."""
    from flaskapi.submissions.keys import revoke_key

    with open_store() as store:
        done = revoke_key(store, options.name)
    if not done:
        raise FlaskapiError(f"There is no key named {options.name!r}, or it is already revoked.")
    print(f"The key of {options.name} is revoked.")


def _option(read: Callable[[str], T]) -> Callable[[str], T]:
    """Turn a reader of texts into a parser of options."""

    def read_option(text: str) -> T:
        try:
            return read(text)
        except InvalidRequestError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read_option


def _tell(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else "-"
