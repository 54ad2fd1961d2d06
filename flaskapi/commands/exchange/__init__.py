"""`export` and `import`: kept images with their labels, into a folder and out of one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flaskapi.commands import LOST_STATUS, load_service, load_settings, open_store, read_moment
from flaskapi.errors import FlaskapiError

if TYPE_CHECKING:
    from flaskapi.reading.many import Route
    from flaskapi.reading.reader import Reader


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export` and `import`."""
    exporting = commands.add_parser(
        "export", help="write the images that were kept into a folder, with labels.csv"
    )
    exporting.add_argument(
        "folder", type=Path, metavar="DIR", help="an empty folder, or one to be made"
    )
    which = exporting.add_mutually_exclusive_group()
    which.add_argument(
        "--labelled",
        action="store_const",
        const=True,
        help="only those that somebody has labelled",
    )
    which.add_argument(
        "--unlabelled",
        dest="labelled",
        action="store_const",
        const=False,
        help="only the others, with a table in which to fill in their labels for import",
    )
    exporting.add_argument(
        "--original",
        action="store_true",
        help="each file as it was sent, byte for byte, in place of a PNG",
    )
    exporting.add_argument(
        "--since",
        type=read_moment,
        metavar="DATE",
        help="received then or later, as 2026-11-22 or 2026-11-22T15:00 (UTC)",
    )
    exporting.add_argument(
        "--until", type=read_moment, metavar="DATE", help="received before that moment"
    )
    exporting.add_argument(
        "--number",
        action="store_true",
        help="numbers, with labels as evaluate --number takes them, not digits",
    )
    exporting.add_argument(
        "--format",
        choices=("folder", "label-studio"),
        default="folder",
        help="a folder of images, or tasks.json for Label Studio, which has the images in it",
    )
    exporting.set_defaults(run=export, writes_folder=True)
    importing = commands.add_parser(
        "import",
        help="read labelled images and keep them with their labels, or label those that are kept",
    )
    importing.add_argument(
        "folder",
        type=Path,
        metavar="PATH",
        help="a folder with images and labels.csv (file,label), an export with unlabelled.csv "
        "filled in, MNIST's files, or Label Studio's JSON",
    )
    importing.add_argument(
        "--number", action="store_true", help="the labels are numbers, such as 05221859 or 12|345"
    )
    importing.set_defaults(run=import_labelled)


def export(options: argparse.Namespace) -> int:
    """Write what was kept into a folder; the status is 1 where an image could not be written, and 3
    where one is lost.
    """
    from flaskapi.commands.exchange.exports import export
    from flaskapi.commands.exchange.label_studio import export_tasks
    from flaskapi.submissions.exchange import Wanted

    wanted = Wanted(options.number, options.labelled, options.since, options.until)
    if options.format == "label-studio" and options.original:
        raise FlaskapiError("Label Studio's tasks have PNGs in them: leave --original out.")
    with open_store() as store:
        if options.format == "label-studio":
            done = export_tasks(store, options.folder, wanted)
        else:
            done = export(store, options.folder, wanted, original=options.original)
    print(
        f"Wrote {done.labelled:,} labelled and {done.unlabelled:,} other images into "
        f"{options.folder}."
    )
    if done.lost:
        print(f"{done.lost:,} are not there, for their images are missing or damaged.")
        return LOST_STATUS
    return 1 if done.failed else 0


def import_labelled(options: argparse.Namespace) -> int:
    """Keep labelled images; the status is 1 where one got no answer."""
    from flaskapi.commands.exchange.imports import import_folder

    if load_settings()["STORE"] == "off":
        raise FlaskapiError(
            "Nothing is kept here (the setting STORE is off), so that nothing can be imported."
        )
    _, services = load_service()
    route: Route = "number" if options.number else "digit"
    reader: Reader = services.reader
    reader.check(route)
    try:
        done = import_folder(services.store, options.folder, reader, numbers=options.number)
    finally:
        services.store.close()
    print(
        f"Kept {done.kept:,} images with their labels, labelled {done.labelled:,} that were kept; "
        f"{done.there:,} were there already, {done.failed:,} got no answer."
    )
    return 1 if done.failed else 0
