"""`forget`: erase what was kept; `housekeeping`: erase what is beyond the limits of the
settings.
"""

import argparse
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flaskapi.commands import load_settings, open_store
from flaskapi.errors import FlaskapiError

MOST_DAYS = 36_500


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `forget` and `housekeeping`."""
    forgetting = commands.add_parser(
        "forget",
        help="erase submissions and their images, by their ids, their age, or the oldest of too "
        "many",
    )
    forgetting.add_argument(
        "ids", type=UUID, nargs="*", metavar="ID", help="an id that an answer bore"
    )
    forgetting.add_argument(
        "--older-than",
        type=float,
        metavar="DAYS",
        help="all that were received before so many days, as 90 or 0.5",
    )
    forgetting.add_argument(
        "--beyond-count",
        type=int,
        metavar="N",
        help="the oldest that no operator has labelled, until N are left",
    )
    forgetting.add_argument(
        "--beyond-bytes", type=int, metavar="N", help="the same, until the images have N bytes"
    )
    forgetting.set_defaults(run=forget)
    keeping_house = commands.add_parser(
        "housekeeping",
        help="do at once what the service does about every ten minutes: apply the limits",
    )
    keeping_house.set_defaults(run=keep_house)


def forget(options: argparse.Namespace) -> None:
    """Erase submissions with their images."""
    from flaskapi.submissions.erasing import erase, erase_before, erase_beyond

    _check(options)
    with open_store() as store:
        missing = [one for one in options.ids if not erase(store, one)]
        erased = len(options.ids) - len(missing)
        if options.older_than is not None:
            erased += erase_before(store, datetime.now(UTC) - timedelta(days=options.older_than))
        too_many, excess = erase_beyond(store, options.beyond_count, options.beyond_bytes)
        erased += too_many
    if erased or not missing:
        print(
            f"Erased {erased:,} submission{'' if erased == 1 else 's'}, with the images that no "
            f"other has."
        )
    if missing:
        raise FlaskapiError(f"There is no submission of the id {', '.join(map(str, missing))}.")
    if excess:
        raise FlaskapiError(
            "What is left is more than that, for what operators have labelled goes by its id or "
            "its age alone."
        )


def _check(options: argparse.Namespace) -> None:
    """Erase nothing that was not asked for."""
    amounts = {"--beyond-count": options.beyond_count, "--beyond-bytes": options.beyond_bytes}
    if not options.ids and {options.older_than, *amounts.values()} == {None}:
        raise FlaskapiError(
            "Say what to forget: an id, or several, --older-than DAYS, --beyond-count N or "
            "--beyond-bytes N."
        )
    if options.older_than is not None and not 0 < options.older_than <= MOST_DAYS:
        raise FlaskapiError(
            f"--older-than is {options.older_than:g}; it must be above 0, and {MOST_DAYS:,} days "
            f"at most."
        )
    for name, amount in amounts.items():
        if amount is not None and amount < 0:
            raise FlaskapiError(f"{name} is {amount}; it must be at least 0.")


def keep_house(options: argparse.Namespace) -> None:
    """Apply the limits of the settings, whether or not it is time."""
    from flaskapi.submissions.housekeeping import find_limits
    from flaskapi.submissions.housekeeping import keep_house as do_all

    with open_store() as store:
        done = do_all(store, find_limits(load_settings()))
    print(f"Housekeeping {done}.")
