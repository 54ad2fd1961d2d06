"""`forget`: erase what was kept."""

import argparse
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flaskapi.commands import load_service
from flaskapi.errors import FlaskapiError

MOST_DAYS = 36_500


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `forget`."""
    forgetting = commands.add_parser("forget", help="erase submissions and their images, by their ids or by their age")
    forgetting.add_argument("ids", type=UUID, nargs="*", metavar="ID", help="an id that an answer bore")
    forgetting.add_argument("--older-than", type=float, metavar="DAYS", help="all that were received before so many days, as 90 or 0.5")
    forgetting.set_defaults(run=forget)


def forget(options: argparse.Namespace) -> None:
    """Erase submissions with their images."""
    if not options.ids and options.older_than is None:
        raise FlaskapiError("Say what to forget: an id, or several, or --older-than DAYS.")
    if options.older_than is not None and not 0 <= options.older_than <= MOST_DAYS:
        raise FlaskapiError(f"--older-than is {options.older_than:g}; it must be 0 to {MOST_DAYS:,} days.")
    store = load_service(STORE="on")[1].store  # what was kept can be erased also where nothing more is
    try:
        missing = [one for one in options.ids if not store.delete(one)]
        erased = len(options.ids) - len(missing)
        if options.older_than is not None:
            erased += store.delete_before(datetime.now(UTC) - timedelta(days=options.older_than))
    finally:
        store.close()
    print(f"Erased {erased:,} submission{'' if erased == 1 else 's'}, with the images that no other has.")
    if missing:
        raise FlaskapiError(f"There is no submission of the id {', '.join(map(str, missing))}.")
