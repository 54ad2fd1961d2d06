"""`store`: what is kept, into another database or out of it, while the service runs."""

import argparse
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from flaskapi.commands import pictures
from flaskapi.config import PACKAGE, database_url, hide_secrets, read_environment
from flaskapi.errors import FlaskapiError

NOTE = "moving.json"  # in the instance folder, from the first row until the end
ROLL = PACKAGE.parent / "deploy" / "roll"
_EVERY_S = 0.1  # between two looks at what old processes wrote


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `store`."""
    storing = commands.add_parser("store", help="move what is kept")
    actions = storing.add_subparsers(required=True, metavar="ACTION")
    moving = actions.add_parser(
        "move",
        help="copy all rows to another database while the service runs, check each, and let the "
        "service use it",
    )
    moving.add_argument(
        "url",
        metavar="URL",
        type=_address,
        help="postgresql://USER:PASSWORD@HOST/NAME, or sqlite:/// and a path from /; - reads it "
        "from standard input, where no list of processes shows the password",
    )
    moving.add_argument(
        "--overwrite", action="store_true", help="also where that database has rows: they go"
    )
    moving.set_defaults(run=move)
    migrating = actions.add_parser(
        "migrate", help="bring the tables to a version, as before older code serves"
    )
    migrating.add_argument("revision", metavar="REVISION", help="as r0005")
    migrating.set_defaults(run=migrate)
    cancelling = actions.add_parser("cancel", help="give up a move that did not end")
    cancelling.set_defaults(run=cancel)
    pictures.add_commands(actions)


def _address(text: str) -> str:
    text = sys.stdin.readline().strip() if text == "-" else text
    try:
        if text.startswith("sqlite:") and not text.startswith("sqlite:////"):
            raise ValueError
        return database_url(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected {database_url.__doc__} from /, found something else"
        ) from None


def move(options: argparse.Namespace) -> None:
    """Move to the database of an address; a move that was interrupted goes on where it can."""
    from flaskapi.app import find_address, make_app

    app, instance = make_app(), Path(make_app().instance_path)
    if "DATABASE_URL" in read_environment():
        raise FlaskapiError(
            "The environment says where the database is, FLASKAPI_DATABASE_URL, and no command can "
            "change that: write DATABASE_URL into config.toml in its place."
        )
    with _noted(instance) as note:
        known = _read(note)
        if known.get("switched") and known["to"] == options.url:
            print(f"Goes on with the move from {hide_secrets(known['from'])}.")
        elif known.get("switched"):
            raise FlaskapiError(
                f"A move to {hide_secrets(known['to'])} has not ended: give the same address, or "
                "first: store cancel."
            )
        else:
            address = find_address(app)
            if address == options.url:
                raise FlaskapiError("The service uses that database already.")
            again = known.get("to") == options.url  # what is there is half of the last attempt
            known = {"from": address, "to": options.url, "switched": False}
            _copy(note, known, overwrite=options.overwrite or again)
            _switch(instance, note, known)
        _finish(instance, known)
        _write(note, {})
    print(
        f"Moved. What was in {hide_secrets(known['from'])} is there still, as it was: erase it "
        "when you need it no more."
    )


def cancel(options: argparse.Namespace) -> None:
    """Forget a move: nothing is noted any more, and the settings stay as they are."""
    from flaskapi.app import make_app
    from flaskapi.submissions import moving
    from flaskapi.submissions.changes import end_notes

    instance = Path(make_app().instance_path)
    if not (instance / NOTE).exists():
        raise FlaskapiError("No move is under way.")
    with _noted(instance) as note:
        known = _read(note)
        if known:
            with moving.opened(known["from"], known["to"]) as (source, _):
                end_notes(source)
        _write(note, {})
    print(f"The move is given up. The service uses {hide_secrets(_in_use())}.")


def migrate(options: argparse.Namespace) -> None:
    """Bring the tables up or down to a version that this code knows, in one transaction."""
    from flaskapi.submissions import moving
    from flaskapi.submissions.migrate import known_revisions
    from flaskapi.submissions.migrate import migrate as bring_to

    if options.revision not in known_revisions():
        raise FlaskapiError(f"This code does not know the version {options.revision}.")
    with moving.opened(_in_use(), _in_use()) as (engine, _):
        bring_to(engine, options.revision)
    print(f"The tables are of version {options.revision}.")


def _in_use() -> str:
    from flaskapi.app import find_address, make_app

    return find_address(make_app())


@contextlib.contextmanager
def alone(instance: Path) -> Iterator[dict[str, Any]]:
    """Give what is known of a move, and let none begin meanwhile.

    Raises:
        FlaskapiError: a move is under way.
    """
    with _noted(instance) as note:
        yield _read(note)


@contextlib.contextmanager
def _noted(instance: Path) -> Iterator[IO[str]]:
    """The file that says how far a move is, which one process at a time has."""
    path = instance / NOTE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FlaskapiError("Another command moves what is kept.") from None
        try:
            yield file
        finally:
            if path.exists() and not path.stat().st_size:
                path.unlink()  # nothing is under way


def _read(note: IO[str]) -> dict[str, Any]:
    note.seek(0)
    text = note.read()
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _write(note: IO[str], known: dict[str, Any]) -> None:
    note.seek(0)
    note.truncate()
    note.write(json.dumps(known) if known else "")
    note.flush()


def _copy(note: IO[str], known: dict[str, Any], *, overwrite: bool) -> None:
    """Copy all rows, and those that come meanwhile, until both databases are the same."""
    from tqdm import tqdm

    from flaskapi.submissions import changes, moving
    from flaskapi.submissions.migrate import bring_up_to_date

    # If it fails, nothing is noted any more, and the service goes on as before.
    with (
        moving.opened(known["from"], known["to"]) as (source, target),
        contextlib.ExitStack() as stack,
    ):
        bring_up_to_date(source)
        filled = moving.find_filled(target)
        if filled and not overwrite:
            raise FlaskapiError(
                f"That database has rows, in {', '.join(filled)}. To write over them: store move "
                "--overwrite."
            )
        _write(note, known)
        began_s = time.monotonic()
        stack.callback(_write, note, {})
        stack.callback(changes.end_notes, source)
        changes.begin_notes(source)
        with tqdm(unit=" rows", desc="copied", disable=None) as progress:
            copied = moving.copy(source, target, progress.update)
        print(f"Copied {sum(copied.values()):,} rows in {time.monotonic() - began_s:.0f} s.")
        began_s = time.monotonic()
        while moving.follow(source, target):
            pass
        with tqdm(unit=" rows", desc="compared", disable=None) as progress:
            same = moving.compare(source, target, progress.update)
        print(
            f"Compared {sum(same.values()):,} rows in {time.monotonic() - began_s:.0f} s: all are "
            "the same in both."
        )
        while moving.follow(source, target):
            pass
        stack.pop_all()  # what is noted from now on is followed to the end


def _switch(instance: Path, note: IO[str], known: dict[str, Any]) -> None:
    """Let processes that start from now on use the other database."""
    set_address(instance / "config.toml", known["to"])
    known |= {"switched": True, "old": find_web_processes(instance)}
    _write(note, known)
    print(f"{instance / 'config.toml'} says so now: DATABASE_URL is {hide_secrets(known['to'])}.")


def _finish(instance: Path, known: dict[str, Any]) -> None:
    """Restart the processes, and bring what old ones write until the last of them has ended."""
    from flaskapi.submissions import changes, moving
    from flaskapi.submissions.replaced import mark_left

    roll = None
    if left := _left(known["old"]):
        print(f"{len(left)} processes use the old database; what they keep is brought over.")
        roll = _roll(instance)
    with moving.opened(known["from"], known["to"]) as (source, target):
        brought = 0
        while _left(known["old"]):
            brought += moving.follow_late(source, target)
            if roll is not None and roll.poll() not in (None, 0):
                print("That failed. Restart the service otherwise; this waits for it.", flush=True)
                roll = None
            time.sleep(_EVERY_S)
        if roll is not None:
            roll.wait()
        while some := moving.follow_late(source, target):
            brought += some
        changes.end_notes(source)
        with source.begin() as connection:
            mark_left(connection)
    if brought:
        print(f"Brought {brought:,} changes of old processes.")
    print("Workers have to be restarted too: systemctl restart flaskapi-batches flaskapi-retrain.")


def _roll(instance: Path) -> "subprocess.Popen[bytes] | None":
    if not ROLL.exists():
        print("Restart the service now; this waits for it.", flush=True)
        return None
    print("Restarting them one after the other: deploy/roll", flush=True)
    return subprocess.Popen([str(ROLL)])


def find_web_processes(instance: Path) -> list[tuple[int, str]]:
    """The processes that serve from an instance folder: the id of each, and when it started."""
    found = []
    for path in (instance / "processes").glob("*/*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            one = json.loads(path.read_text("utf-8"))
            found.append((int(one["pid"]), str(one["started"])))
    return _left(found)


def _left(processes: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those that have not ended."""
    from flaskapi.versions.processes import find_start

    return [(pid, started) for pid, started in processes if find_start(pid) == started]


def set_address(path: Path, url: str) -> None:
    """Write DATABASE_URL into a settings file, and leave all else there as it is.

    Raises:
        FlaskapiError: that cannot be done by changing one line.
        OSError: it cannot be written.
    """
    text = path.read_text("utf-8") if path.exists() else ""
    line = f"DATABASE_URL = {json.dumps(url, ensure_ascii=False)}"
    kept = [
        one for one in text.splitlines() if not one.replace(" ", "").startswith("DATABASE_URL=")
    ]
    made = "\n".join([line, *kept]) + "\n"
    expected = tomllib.loads(text) | {"DATABASE_URL": url}
    try:
        is_so = tomllib.loads(made) == expected
    except ValueError:
        is_so = False
    if not is_so:
        raise FlaskapiError(f"{path}: write this line into it, and begin again: {line}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(
            temporary, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
        ) as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
