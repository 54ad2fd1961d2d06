"""`forget`: erase submissions; `housekeeping`: apply the limits of the settings."""

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
        help="erase submissions and their images: by id, by age, or the oldest beyond a number",
    )
    forgetting.add_argument("ids", type=UUID, nargs="*", metavar="ID", help="the id in an answer")
    forgetting.add_argument(
        "--older-than",
        type=float,
        metavar="DAYS",
        help="erase submissions that are older than this number of days, such as 90 or 0.5",
    )
    forgetting.add_argument(
        "--beyond-count",
        type=int,
        metavar="N",
        help="erase the oldest that no operator has labelled, until N are left",
    )
    forgetting.add_argument(
        "--beyond-bytes", type=int, metavar="N", help="the same, until the images take N bytes"
    )
    forgetting.set_defaults(run=forget)
    keeping_house = commands.add_parser(
        "housekeeping",
        help="apply the limits now, as the service does about every ten minutes",
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
            f"Erased {erased:,} submission{'' if erased == 1 else 's'}, and the images that no "
            f"other submission has."
        )
    if missing:
        raise FlaskapiError(f"There is no submission with the id {', '.join(map(str, missing))}.")
    if excess:
        raise FlaskapiError(
            "More than that is left: submissions that operators have labelled are erased only by "
            "id or by age."
        )


def _check(options: argparse.Namespace) -> None:
    """Check the options, so that nothing else is erased."""
    amounts = {"--beyond-count": options.beyond_count, "--beyond-bytes": options.beyond_bytes}
    if not options.ids and {options.older_than, *amounts.values()} == {None}:
        raise FlaskapiError(
            "Name what to erase: one or more ids, --older-than DAYS, --beyond-count N or "
            "--beyond-bytes N."
        )
    if options.older_than is not None and not 0 < options.older_than <= MOST_DAYS:
        raise FlaskapiError(
            f"--older-than is {options.older_than:g}; it must be above 0, and at most "
            f"{MOST_DAYS:,} days."
        )
    for name, amount in amounts.items():
        if amount is not None and amount < 0:
            raise FlaskapiError(f"{name} is {amount}; it must be at least 0.")


def keep_house(options: argparse.Namespace) -> None:
    """Apply the limits of the settings now, even if they were applied recently."""
    from flaskapi.submissions.housekeeping import find_limits
    from flaskapi.submissions.housekeeping import keep_house as do_all

    with open_store() as store:
        done = do_all(store, find_limits(load_settings()))
    print(f"Housekeeping {done}.")
