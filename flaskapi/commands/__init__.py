"""The commands of `python -m flaskapi`, a module for each subject.

Each module offers `add_commands(commands)`, which is called for every start and so imports nothing
heavy: what a command needs, its function imports. A command's function takes the parsed options and
returns an exit status, or None for 0.
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
_TRAINS = ("h5py", "keras", "onnx", "tensorflow", "tf2onnx")  # what the extra is made of


def tell_missing(error: ModuleNotFoundError) -> str:
    """Which library is not installed, and what to do: of serving none is missing in `.venv`."""
    missing = f"{error.name} is not installed"
    if (error.name or "").partition(".")[0] in _TRAINS:
        return f"{missing}. {TRAIN_EXTRA}"
    return (
        f"{missing} for this Python, {sys.executable}, and serving needs it. Use .venv/bin/python, "
        "which `make run` sets up."
    )


def load_service(**settings: str) -> tuple[dict[str, Any], Any]:
    """Settings and services as a web process has them, but for these settings."""
    from flaskapi import create_app

    app = create_app({"LOG_LEVEL": "ERROR", "HOUSEKEEPING": "off"} | settings)
    return app.config, app.extensions["flaskapi"]


@contextlib.contextmanager
def open_store() -> Iterator["Store"]:
    """What was kept, without the models; also where the setting STORE lets nothing more be kept. It
    is closed afterwards.
    """
    from flaskapi.app import make_app, make_database

    with contextlib.closing(make_database(make_app())) as store:
        yield store


def find_folders(options: argparse.Namespace) -> Iterator[Path]:
    """The folders that a command uses, whose owners root becomes: first those that the service
    writes to, then those that it is told to write to.
    """
    if getattr(options, "is_of_instance", True):
        from flaskapi.app import find_address, find_instance, make_app

        yield Path(find_instance())
        app = make_app()  # read by root only where the folder is root's
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
    """The files and folders that a command is told to write to."""
    names = ["target", "picture", "html", "to"]
    names += ["folder"] if getattr(options, "writes_folder", False) else []
    for name in names:
        if path := getattr(options, name, None):
            yield Path(path)
            # A backup takes its folder's place; of many that are kept each lies within it.
            if getattr(options, "replaces_folder", False) and not getattr(options, "keep", None):
                yield Path(path).absolute().parent


def check_written(path: Path, *, was_root: bool) -> None:
    """Say before any work that a file or a folder cannot be written.

    Args:
        path: the file or the folder; it may be missing, as may the folders above it.
        was_root: root started this, and became the user who owns the service's files.

    Raises:
        FlaskapiError: the user who runs this may not write there.
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
        f"{path}: {user} may not write into {closed}."
        + (
            f" {tell_switch(user)}: name a folder that {user} may write to, as under /tmp."
            if was_root
            else ""
        )
    )


def tell_why(error: OSError) -> str:
    """The file and the reason, as in `x.html: Permission denied.`"""
    if not error.strerror:
        return f"{str(error) or type(error).__name__}"
    return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."


def tell_switch(user: str) -> str:
    """Why root is another user now; what to do about it follows."""
    return f"Root runs this as {user}, who owns the service's files"


def name_user() -> str:
    """Who runs this: a name, or where there is none a number, as in a container."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def load_settings() -> dict[str, Any]:
    """The settings that a web process has; nothing else is made."""
    from flaskapi.app import make_app

    return make_app().config


def read_moment(text: str) -> datetime:
    """An option's date or moment; of no zone it is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected a date, as 2026-11-22, or a moment, as 2026-11-22T15:00, found {text!r}"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def check_page(path: Path | None) -> None:
    """Say that a page cannot be written before there is anything to write.

    Raises:
        FlaskapiError: its folder is not there.
        OSError: it is a link that leads to itself.
    """
    if path is None:
        return
    with contextlib.suppress(FileNotFoundError):
        path.stat()
    if not Path(os.path.realpath(path)).parent.is_dir():
        raise FlaskapiError(f"{path}: there is no such folder to write the page into.")


def write_page(path: Path, page: str) -> None:
    """Write a page with pictures of what people sent, for nobody else on this machine to read."""
    with open(
        path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
    ) as file:
        file.write(page)
