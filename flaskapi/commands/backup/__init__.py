"""`backup` and `restore`: everything that cannot be made again, in one folder."""

import argparse
import contextlib
import json
import os
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flaskapi.commands import LOST_STATUS
from flaskapi.commands.backup.folder import (
    DATABASE,
    INSTANCE,
    LIST,
    PICTURES,
    VERSIONS,
    check_whole,
    copy_instance,
    copy_versions,
    digest,
    find_files,
    put_back_files,
    put_back_versions,
    unfinished,
    write_list,
)
from flaskapi.config import read_environment
from flaskapi.errors import FlaskapiError

_NAMED = "%Y-%m-%dT%H%M%SZ"  # of backups of which some are kept


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `backup` and `restore`."""
    backing = commands.add_parser(
        "backup",
        help="copy the database, keys, settings and versions into a new folder, while the service "
        "runs",
    )
    backing.add_argument("folder", type=Path, metavar="FOLDER")
    backing.add_argument(
        "--keep",
        type=_at_least_one,
        metavar="N",
        help="write a folder with the time for a name into FOLDER, and remove all but the newest N",
    )
    backing.set_defaults(run=back_up, writes_folder=True, replaces_folder=True)
    restoring = commands.add_parser("restore", help="restore a backup that `backup` wrote")
    restoring.add_argument("folder", type=Path, metavar="FOLDER")
    restoring.add_argument(
        "--overwrite",
        action="store_true",
        help="replace rows, keys, settings and versions that differ",
    )
    restoring.set_defaults(run=restore)


def _at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def back_up(options: argparse.Namespace) -> int:
    """Write a backup, whole or not at all; only its owner can read it. The status is 3 where images
    outside the database are missing.
    """
    target = options.folder.absolute()
    if options.keep is None:
        return _back_up(target)
    status = _back_up(target / datetime.now(UTC).strftime(_NAMED))
    there = find_dated(target)
    whole = [path for path in there if not count_missing(path)]
    for old in there[: -options.keep]:
        if old not in whole[-1:]:  # the newest that lacks no image stays, however old it is
            shutil.rmtree(old)
            print(f"Removed {old}.")
    return status


def count_missing(folder: Path) -> int:
    """The number of images that a backup lacks by its list."""
    try:
        return len(json.loads((folder / LIST).read_text("utf-8")).get("missing", []))
    except ValueError:
        return 1  # it is none that could be restored


def find_dated(folder: Path) -> list[Path]:
    """The backups in a folder that have a time for a name, the oldest first; nothing else."""
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(ValueError):
            datetime.strptime(path.name, _NAMED)
            if (path / LIST).is_file() and not path.is_symlink():
                found.append(path)
    return sorted(found)


def _back_up(target: Path) -> int:
    from flaskapi.app import find_address, make_app, make_database
    from flaskapi.commands.backup.pictures import copy_pictures
    from flaskapi.submissions.backup import copy_database, count_rows, find_places

    app = make_app()
    # A link is not replaced by a folder, whatever its target.
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise FlaskapiError(f"{target} exists already, and is not an empty folder.")
    with unfinished(target) as folder:
        for name in (DATABASE, INSTANCE, VERSIONS):
            (folder / name).mkdir(mode=0o700)
        copy_instance(Path(app.instance_path), folder / INSTANCE)
        copy_versions(app.config["VERSIONS_PATH"], folder / VERSIONS)
        copied, pictures = None, dict[str, list[Any]]()
        # Submissions from before STORE was off still exist.
        if app.config["STORE"] != "off" or count_rows(find_address(app)):
            copied = copy_database(find_address(app), folder / DATABASE)
            # After the rows: the images of all of them are there, but of those erased since.
            places = find_places(folder / DATABASE, copied)
            with contextlib.closing(make_database(app)) as store:
                pictures = copy_pictures(store, folder / PICTURES, places)
        write_list(folder, copied._asdict() if copied else None, pictures)
        check_whole(folder)
    rows = sum(copied.rows.values()) if copied else 0
    print(f"Wrote {target}: {rows:,} rows. All files match their checksums.")
    return _tell_missing(pictures.get("missing", []))


def _tell_missing(missing: list[Any]) -> int:
    """Say which images a backup lacks. Returns the exit status."""
    if not missing:
        return 0
    many = "1 image is" if len(missing) == 1 else f"{len(missing):,} images are"
    print(f"It is not complete: {many} missing or damaged outside the database. {LIST} names them.")
    return LOST_STATUS


def restore(options: argparse.Namespace) -> int:
    """Restore a backup, after all of it was checked. The status is 3 where it lacks images."""
    from flaskapi.app import find_address, make_app, make_database
    from flaskapi.commands.backup.pictures import erase_again, put_back_pictures
    from flaskapi.submissions.backup import Copied, check_known, count_rows, put_back
    from flaskapi.submissions.outside import erase_if_possible

    folder = options.folder.absolute()
    listed = check_whole(folder)
    copied = Copied(**listed["database"]) if listed["database"] else None
    if copied:
        check_known(copied)
    app = make_app(_settings_of(folder))
    if copied:
        _check_place(folder, Path(app.instance_path))
    address = find_address(app)
    if copied and not address.startswith(copied.kind):
        raise FlaskapiError(
            f"The backup is of {copied.kind}, but the settings name another kind of database: set "
            "DATABASE_URL to one of that kind."
        )
    if not options.overwrite:
        filled = [name for name, rows in count_rows(address).items() if rows and copied]
        targets = {INSTANCE: Path(app.instance_path), VERSIONS: app.config["VERSIONS_PATH"]}
        _refuse_other(folder, targets, filled)
    if copied:
        with contextlib.closing(make_database(app)) as store:
            put_back_pictures(store, folder / PICTURES)
    if copied:
        # First, as it is what may fail, and all of it or nothing.
        put_back(address, folder / DATABASE, copied)
        now = count_rows(address)
        # Notes of what is to be erased outside are none of the copy's rows.
        if any(now[name] != rows for name, rows in copied.rows.items() if name != "outside"):
            print("Meanwhile the service has kept more submissions.")
        with contextlib.closing(make_database(app)) as store:
            erase_again(store, listed["erased"])
            erase_if_possible(store)
    put_back_files(folder / INSTANCE, Path(app.instance_path), 0o600)
    put_back_versions(folder / VERSIONS, app.config["VERSIONS_PATH"])
    print(f"Restored the backup of {listed['made_at']}. Restart the service: deploy/roll.")
    return _tell_missing(listed["missing"])


def _settings_of(folder: Path) -> dict[str, Any]:
    """The settings of a backup, if this instance has none of its own and no variable is set."""
    from flaskapi.app import make_app

    path = folder / INSTANCE / "config.toml"
    if not path.exists() or (Path(make_app().instance_path) / "config.toml").exists():
        return {}
    with path.open("rb") as file:
        found = tomllib.load(file)
    return {name: value for name, value in found.items() if name not in read_environment()}


def _check_place(folder: Path, instance: Path) -> None:
    """Check that the rows go where the service looks for them with the backup's settings.

    Raises:
        FlaskapiError: it would look elsewhere.
    """
    paths = folder / INSTANCE / "config.toml", instance / "config.toml"
    if not all(path.exists() for path in paths):
        return
    theirs, ours = (tomllib.loads(path.read_text("utf-8")) for path in paths)
    for name in ("DATABASE_URL", "PICTURES"):
        if name not in read_environment() and theirs.get(name) != ours.get(name):
            raise FlaskapiError(
                f"The backup's settings have another {name} than {paths[1]}, which they replace. "
                f"Set it there as in {paths[0]} first, or remove that file."
            )


def _refuse_other(folder: Path, targets: dict[str, Path], filled: list[str]) -> None:
    """Refuse a restore that would replace something.

    Raises:
        FlaskapiError: there are rows, or a file that differs.
    """
    others = [f"rows in the table {name}" for name in filled]
    for name, target in targets.items():
        for path in find_files(folder / name):
            there = target / path.relative_to(folder / name)
            if os.path.lexists(there) and (
                there.is_symlink() or not there.is_file() or digest(there) != digest(path)
            ):
                others.append(str(there))
    if others:
        raise FlaskapiError(
            f"These would be replaced: {', '.join(others[:5])}. If that is wanted: "
            f"restore --overwrite."
        )
