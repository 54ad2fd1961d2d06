"""`store pictures`: images that were kept, where the setting PICTURES says."""

import argparse
import sys
from pathlib import Path

from flaskapi.commands import LOST_STATUS
from flaskapi.errors import FlaskapiError


def add_commands(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pictures` to the actions of `store`."""
    placing = actions.add_parser(
        "pictures",
        help="bring the images that were kept to where the setting PICTURES says, while a service "
        "runs that was started with it",
    )
    placing.add_argument(
        "--from",
        dest="source",
        metavar="PLACE",
        help="where they are, if PICTURES is not set any more: all come into the database",
    )
    placing.set_defaults(run=place)


def place(options: argparse.Namespace) -> int:
    """Bring images where they belong; the status is 3 where one is lost."""
    from flaskapi.app import make_app
    from flaskapi.commands.store import alone

    instance = Path(make_app().instance_path)
    with alone(instance) as known:
        if known:
            raise FlaskapiError("A move has not ended: store move goes on with it.")
        return _place(instance, options.source)


def _place(instance: Path, source: str | None) -> int:
    import contextlib

    from tqdm import tqdm

    from flaskapi.app import make_app, make_database
    from flaskapi.submissions.outside import find_ids
    from flaskapi.submissions.pictures import open_pictures
    from flaskapi.submissions.relocating import bring, count_misplaced

    out = back = lost = 0
    with contextlib.closing(make_database(make_app())) as store:
        above_bytes = store.pictures.above_bytes if store.pictures else None
        if source is not None:
            if store.pictures:
                raise FlaskapiError("PICTURES says where the images are: leave --from out.")
            address = source if "://" in source else str(instance / source)
            store.pictures = open_pictures(address, 0)
        total = count_misplaced(store, above_bytes)
        if total and store.pictures is None:
            raise FlaskapiError(
                f"{total:,} images are outside the database, and PICTURES is not set. Say where "
                "they are: store pictures --from PLACE"
            )
        with tqdm(total=total, unit=" images", disable=None) as progress:
            for one in bring(store, above_bytes):
                progress.update()
                if one.lost is not None:
                    lost += 1
                    ids = ", ".join(map(str, find_ids(store, one.sha256)))
                    tqdm.write(f"error: {one.lost} Submissions: {ids}", file=sys.stderr)
                elif one.goes_out:
                    out += 1
                else:
                    back += 1
    print(f"Brought {out:,} images out of the database, and {back:,} into it.")
    if lost:
        print(f"{lost:,} could not be brought, for they are missing or damaged.")
    return LOST_STATUS if lost else 0
