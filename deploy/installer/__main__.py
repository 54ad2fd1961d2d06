"""Install the service on Debian or Ubuntu, upgrade it, roll it back, or remove it.

Every step can be repeated, says what it does, and leaves what ran before where it fails.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import apache
import releases
import system
from machine import USER, FailedError, Machine
from place import Place, point, read_note, remove_old

SOURCE = Path(__file__).resolve().parents[2]
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
LISTEN = re.compile(r"((\d{1,3}\.){3}\d{1,3}:)?\d{1,5}")
SET_ADDRESS = (
    "import sys; from pathlib import Path; from flaskapi.commands.store import set_address; "
    "set_address(Path('instance/config.toml'), sys.stdin.readline().strip())"
)


def main(arguments: list[str]) -> int:
    """Do what the command line says. Returns the exit status."""
    options = make_parser().parse_args(arguments)
    if os.geteuid() != 0:
        print("error: this needs root: sudo deploy/install ...", file=sys.stderr)
        return 1
    # As what it makes is for others to read, whatever the rights of root's own files are.
    os.umask(0o022)
    try:
        options.run(Machine(), Place(), options)
    except FailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Make what reads the command line."""
    parser = argparse.ArgumentParser(prog="deploy/install", description=__doc__)
    parser.add_argument("name", metavar="NAME", nargs="?", type=_name, help="the host's name")
    what = parser.add_mutually_exclusive_group()
    for flag, run, told in (
        ("--upgrade", upgrade, "to this checkout's code and model, without a lost request"),
        ("--rollback", roll_back, "to the release before, its tables too"),
        ("--uninstall", uninstall, "what was kept stays, unless --purge"),
    ):
        what.add_argument(flag, dest="run", action="store_const", const=run, help=told)
    parser.add_argument("--purge", action="store_true", help="with --uninstall: erase all of it")
    parser.add_argument(
        "--postgresql",
        metavar="URL",
        help="keep what is sent there; - reads the address from standard input",
    )
    parser.add_argument("--tls", action="store_true", help="a certificate, by certbot")
    parser.add_argument("--email", help="with --tls: whom Let's Encrypt may write to")
    parser.add_argument(
        "--listen", type=_listen, help="a port, or an address with a port, in place of 80"
    )
    parser.add_argument(
        "--worker", action="store_true", help="install what retrains the model too: 2 GB"
    )
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FOLDER",
        help="pictures and expected.csv (route,file,answer) that a release must read so",
    )
    parser.add_argument(
        "--prepare", action="store_true", help="for an image of a container: start nothing"
    )
    parser.set_defaults(run=install)
    return parser


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected a host's name or address, found {text!r}")
    return text


def _listen(text: str) -> str:
    if not LISTEN.fullmatch(text) or not 0 < int(text.rpartition(":")[2]) < 65536:
        raise argparse.ArgumentTypeError(f"expected 8080 or 127.0.0.1:8080, found {text!r}")
    return text


def install(machine: Machine, place: Place, options: argparse.Namespace) -> None:
    """Install the service, or what is missing of it."""
    if options.name is None:
        raise FailedError("It needs the host's name: deploy/install NAME")
    name = system.name_system()
    machine.say(f"Installing on {name}{'' if name in system.TRIED else ', not tried there yet'}.")
    release = place.find("current")
    if release and not releases.is_same(SOURCE, release, worker=options.worker):
        raise FailedError("Another release is installed: deploy/install --upgrade")
    system.install_packages(machine)
    system.make_folders(machine, place)
    is_new = release is None
    with system.undone(machine) as undo:
        if release is None:
            release = releases.make_release(machine, SOURCE, place, worker=options.worker)
            undo.callback(shutil.rmtree, release)
            releases.check_beside(machine, release, options.check or release / "examples")
            point(place, "current", release)
            undo.callback(point, place, "current", None)
        set_database(machine, place, release, options.postgresql, is_new=is_new)
        changed = apache.build_module(machine, release, place)
        listen = options.listen or "80"
        changed |= apache.write_apache(machine, release, place, options.name, listen)
        undo.callback(put_apache_back, machine, was_running=is_running())
        apache.enable_apache(machine, place, undo)
        if options.prepare:
            machine.say("Prepared. To serve: apache2ctl -D FOREGROUND")
            return
        if changed or is_new or not is_running():
            machine.say("Apache: starting it with the service ...")
            apache.restart_apache(machine)
        releases.check_answers(apache.find_address(place), options.check or release / "examples")
    system.write_units(machine, release, place, worker=options.worker)
    if options.tls:
        set_tls(machine, options.name, options.email)
    make_first_key(machine, release)
    machine.say(f"Installed: http://{options.name} answers, and reads its check pictures as told.")


def is_running() -> bool:
    """Whether Apache runs."""
    return apache.find_apache() is not None


def put_apache_back(machine: Machine, *, was_running: bool) -> None:
    """Let Apache serve what it served before, after its files were put back."""
    if was_running:
        apache.restart_apache(machine)
    elif is_running():
        machine.run("apache2ctl", "stop")


def set_database(
    machine: Machine, place: Place, release: Path, url: str | None, *, is_new: bool
) -> None:
    """Let the service keep what is sent in PostgreSQL, where that is asked for."""
    if url is None:
        return
    url = sys.stdin.readline().strip() if url == "-" else url
    if is_new and not (place.instance / "submissions.db").exists():
        machine.say("Database: PostgreSQL.")
        python = release / ".venv" / "bin" / "python"
        machine.run(python, "-c", SET_ADDRESS, user=USER, cwd=release, stdin=f"{url}\n")
        said = releases.flaskapi(machine, release, "check")
        if "But:" in said:
            raise FailedError(said)
    else:
        machine.say("Database: moving what is kept to PostgreSQL ...")
        machine.say(releases.flaskapi(machine, release, "store", "move", "-", stdin=f"{url}\n"))


def set_tls(machine: Machine, name: str, email: str | None) -> None:
    """Let certbot get a certificate, and change the virtual host."""
    system.install_packages(machine, ("certbot", "python3-certbot-apache"))
    who = ("-m", email) if email else ("--register-unsafely-without-email",)
    machine.run(
        *("certbot", "--apache", "--non-interactive", "--agree-tos", "--redirect"),
        *(*who, "-d", name),
    )


def make_first_key(machine: Machine, release: Path) -> None:
    """Make an operator's key, unless there is a key."""
    if "There are no keys" not in releases.flaskapi(machine, release, "keys", "list"):
        return
    key = releases.flaskapi(machine, release, "keys", "make", "operator")
    machine.say(f"The first operator's key, which is shown this once:\n{key.strip()}")


def upgrade(machine: Machine, place: Place, options: argparse.Namespace) -> None:
    """Serve this checkout's code and model, or go on with what serves."""
    before = _current(place)
    worker = options.worker or bool(read_note(before).get("worker"))
    if releases.is_same(SOURCE, before, worker=worker):
        machine.say(f"Release {before.name} is of this checkout; there is nothing to do.")
        return
    system.install_packages(machine)
    system.make_folders(machine, place)
    with system.undone(machine) as undo:
        release = releases.make_release(machine, SOURCE, place, worker=worker, like=before)
        undo.callback(shutil.rmtree, release)
        pictures = options.check or release / "examples"
        releases.check_beside(machine, release, pictures)
        undo.callback(point, place, "previous", place.find("previous"))
        undo.callback(settle_tables, machine, before, release)
        undo.callback(go_back, machine, place, before)
        migrate(machine, place, before, release, undo)
        switch(machine, place, before, release)
        releases.check_answers(apache.find_address(place), pictures)
    finish(machine, place, release, worker=worker)
    machine.say(f"Upgraded: {before.name} -> {release.name}. Back: deploy/install --rollback")


def roll_back(machine: Machine, place: Place, options: argparse.Namespace) -> None:
    """Serve the release before, with its tables."""
    now, before = _current(place), place.find("previous")
    if before is None:
        raise FailedError("There is no release before this one.")
    with system.undone(machine) as undo:
        undo.callback(point, place, "previous", before)
        undo.callback(settle_tables, machine, now, before)
        undo.callback(go_back, machine, place, now)
        migrate(machine, place, now, before, undo)
        switch(machine, place, now, before)
        releases.check_answers(apache.find_address(place), options.check or before / "examples")
    finish(machine, place, before, worker=bool(read_note(before).get("worker")))
    settle_tables(machine, before, now)
    machine.say(f"Rolled back: {now.name} -> {before.name}.")


def _current(place: Place) -> Path:
    release = place.find("current")
    if release is None:
        raise FailedError(f"Nothing is installed in {place.root}: deploy/install NAME")
    return release


def migrate(
    machine: Machine, place: Place, old: Path, new: Path, undo: contextlib.ExitStack
) -> None:
    """Bring the tables to what a release needs, after a backup."""
    was, wanted = (str(read_note(release).get("revision")) for release in (old, new))
    if was == wanted:
        return
    target = place.backups / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-before-{wanted}"
    machine.say(f"Tables: from {was} to {wanted}, after a backup into {target} ...")
    releases.flaskapi(machine, old, "backup", target)
    settle_tables(machine, new, old)
    undo.callback(settle_tables, machine, old, new)


def settle_tables(machine: Machine, release: Path, other: Path) -> None:
    """Bring the tables to what a release needs, from what another needs.

    Where processes of newer code run meanwhile, one that first uses the store then brings the
    tables up again: so this is done once more when the last of them has ended.
    """
    wanted, theirs = (str(read_note(one).get("revision")) for one in (release, other))
    if wanted != theirs:
        newer = release if wanted > theirs else other  # it knows the tables of both
        releases.flaskapi(machine, newer, "store", "migrate", wanted)


def switch(machine: Machine, place: Place, old: Path, new: Path) -> None:
    """Let the link lead to another release, and restart the processes one after the other."""
    machine.say("Rolling: one process after the other ...")
    point(place, "current", new)
    point(place, "previous", old)
    machine.say(machine.run(new / "deploy" / "roll").strip())


def go_back(machine: Machine, place: Place, release: Path) -> None:
    """Serve a release again, after one that failed had begun to take its place."""
    if place.find("current") == release:
        return
    point(place, "current", release)
    for process in apache.find_broken(place):  # they serve nothing, and no roll knows them
        os.kill(process, signal.SIGTERM)
    machine.say(machine.run(release / "deploy" / "roll").strip())


def finish(machine: Machine, place: Place, release: Path, *, worker: bool) -> None:
    """What belongs to a release beside its processes."""
    system.write_units(machine, release, place, worker=worker)
    changed = apache.build_module(machine, release, place)
    name, listen = apache.read_name(place), apache.read_listen(place)
    if changed | apache.write_apache(machine, release, place, name, listen):
        machine.say(
            "Apache's own files have changed. They count from its next restart, which loses the "
            "requests of that second: systemctl restart apache2"
        )
    for gone in remove_old(place):
        machine.say(f"Removed the old release {gone.name}.")


def uninstall(machine: Machine, place: Place, options: argparse.Namespace) -> None:
    """Remove the service; Apache and the system's packages stay."""
    if machine.has_systemd():
        known = [name for name in system.UNITS if (place.units / name).exists()]
        if known:
            machine.run("systemctl", "disable", "--now", "--quiet", *known)
        for name in known:
            (place.units / name).unlink()
        machine.run("systemctl", "daemon-reload")
    was_there = (place.apache / "sites-enabled" / apache.SITE).exists()
    if was_there:
        for name in apache.find_sites(place):
            machine.run("a2dissite", "--quiet", name)
        machine.run("a2disconf", "--quiet", "flaskapi-server")
        machine.run("a2dismod", "--quiet", "--force", "wsgi")
        if is_running():
            apache.restart_apache(machine)
    for path in (
        *(place.apache / "sites-available" / f"{name}.conf" for name in apache.find_sites(place)),
        place.apache / "conf-available" / apache.SHARED,
        place.apache / "mods-available" / "wsgi.load",
    ):
        path.unlink(missing_ok=True)
    for name in ("current", "previous"):
        point(place, name, None)
    for folder in (place.releases, place.root / "apache"):
        shutil.rmtree(folder, ignore_errors=True)
    if options.purge:
        for folder in (place.root, place.backups, place.logs):
            shutil.rmtree(folder, ignore_errors=True)
        machine.say("Uninstalled, and all that was kept is erased.")
    else:
        machine.say(
            f"Uninstalled. What was kept stays: {place.instance}, {place.versions}, "
            f"{place.backups}, {place.logs}. To erase it too: deploy/install --uninstall --purge"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
