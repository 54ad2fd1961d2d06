"""The commands of `python -m flaskapi`, a module for each subject.

Each module has `add_commands(commands)`. It runs at every start, so it imports nothing heavy: a
command's function imports what it needs. That function takes the parsed options and returns an exit
status, or None for 0.
"""

import argparse
import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaskapi.errors import FlaskapiError

if TYPE_CHECKING:
    from flaskapi.submissions import Store

TRAIN_EXTRA = (
    "This needs the extra 'train': .venv/bin/pip install --constraint requirements.txt "
    "--editable '.[train]'"
)
# The exit status of a command that did all, but for images that are missing or damaged.
LOST_STATUS = 3
_TRAINS = ("h5py", "keras", "onnx", "tensorflow", "tf2onnx")  # the libraries of the extra


def tell_missing(error: ModuleNotFoundError) -> str:
    """Name the missing library and say what to do: `.venv` has every library that serving needs."""
    missing = f"{error.name} is not installed"
    if (error.name or "").partition(".")[0] in _TRAINS:
        return f"{missing}. {TRAIN_EXTRA}"
    return (
        f"{missing} for this Python, {sys.executable}, but serving needs it. Use .venv/bin/python, "
        "which `make run` installs."
    )


def load_service(**settings: str) -> tuple[dict[str, Any], Any]:
    """The settings and services of a web process, with these settings changed."""
    from flaskapi import create_app

    app = create_app({"LOG_LEVEL": "ERROR", "HOUSEKEEPING": "off"} | settings)
    return app.config, app.extensions["flaskapi"]


@contextlib.contextmanager
def open_store() -> Iterator["Store"]:
    """Open the store without the models, also if the setting STORE is off, and close it
    afterwards.
    """
    from flaskapi.app import make_app, make_database

    with contextlib.closing(make_database(make_app())) as store:
        yield store


def find_folders(options: argparse.Namespace) -> Iterator[Path]:
    """The folders that a command uses, whose owner root becomes: first those of the service, then
    those that the options name for output.
    """
    if getattr(options, "is_of_instance", True):
        from flaskapi.app import find_address, find_instance, make_app

        yield Path(find_instance())
        app = make_app()  # root reads it only if root owns the folder
        for name in ("VERSIONS_PATH", "CACHE_PATH", "METRICS_PATH"):
            if app.config[name] is not None:
                yield app.config[name]
        if (address := find_address(app)).startswith("sqlite:///"):
            yield Path(address.removeprefix("sqlite:///")).parent
    written = [*find_written(options)]
    written += [Path(options.model)] if not getattr(options, "is_of_instance", True) else []
    for path in written:
        yield path.absolute().parent
        yield path


def find_written(options: argparse.Namespace) -> Iterator[Path]:
    """The files and folders that the options name for output."""
    names = ["target", "picture", "html", "to"]
    names += ["folder"] if getattr(options, "writes_folder", False) else []
    for name in names:
        path = getattr(options, name, None)
        if path and "://" not in str(path):  # an address is no file of this machine
            yield Path(path)
            # A backup takes its folder's place; of many that are kept each lies within it.
            if getattr(options, "replaces_folder", False) and not getattr(options, "keep", None):
                yield Path(path).absolute().parent


def check_written(path: Path, *, was_root: bool) -> None:
    """Check before any work that a file or a folder can be written.

    Args:
        path: the file or the folder; it and the folders above it may be missing.
        was_root: root started this, and became the owner of the service's files.

    Raises:
        FlaskapiError: the current user may not write there.
    """
    if path == Path("/dev/stdout"):  # it is open already
        return
    folder = path if path.is_dir() else path.absolute().parent
    while not os.path.lexists(folder):
        folder = folder.parent
    closed = folder if not path.exists() or path.is_dir() else path
    if os.access(closed, os.W_OK):
        return
    user = name_user()
    raise FlaskapiError(
        f"{path}: {user} may not write to {closed}."
        + (
            f" {tell_switch(user)}: name a folder that {user} may write to, such as one under /tmp."
            if was_root
            else ""
        )
    )


def tell_why(error: OSError) -> str:
    """The file and the reason, such as `x.html: Permission denied.`"""
    if not error.strerror:
        return f"{str(error) or type(error).__name__}"
    return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."


def tell_switch(user: str) -> str:
    """Why root is another user now; the caller adds what to do."""
    return f"Root runs this as {user}, who owns the service's files"


def name_user() -> str:
    """The current user's name, or number if it has no name, as in a container."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def load_settings() -> dict[str, Any]:
    """The settings of a web process; nothing else is made."""
    from flaskapi.app import make_app

    return make_app().config


def read_moment(text: str) -> datetime:
    """Read a date or time in an option; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected a date, such as 2026-11-22, or a time, 2026-11-22T15:00, found {text!r}"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def check_page(path: Path | None) -> None:
    """Check that a page can be written, before there is anything to write.

    Raises:
        FlaskapiError: the folder does not exist.
        OSError: the path is a link to itself.
    """
    if path is None:
        return
    with contextlib.suppress(FileNotFoundError):
        path.stat()
    if not Path(os.path.realpath(path)).parent.is_dir():
        raise FlaskapiError(f"{path}: the folder for this page does not exist.")


def write_page(path: Path, page: str) -> None:
    """Write a page with submitted pictures; only its owner can read it."""
    with open(
        path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
    ) as file:
        file.write(page)
