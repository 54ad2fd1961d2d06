"""The system: its packages, the folders of the service, and systemd's units.

Each step can be repeated, and changes nothing where all is there.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from machine import USER, FailedError, Machine
from place import Place

PACKAGES = ("apache2", "apache2-dev", "ca-certificates", "gcc", "python3-dev", "python3-venv")
TRIED = ("debian 12", "debian 13", "ubuntu 24.04")
# Those that are enabled wherever there is systemd; the worker needs TensorFlow, and is asked for.
TIMERS = ("flaskapi-housekeeping.timer", "flaskapi-backup.timer")
WORKER = "flaskapi-retrain.service"
BATCHES = "flaskapi-batches.service"
UNITS = (*TIMERS, BATCHES, "flaskapi-housekeeping.service", "flaskapi-backup.service", WORKER)


def name_system(release: Path = Path("/etc/os-release")) -> str:
    """The system's name and version, as `debian 12`."""
    values = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', release.read_text("utf-8"), re.M))
    return f"{values.get('ID', 'unknown')} {values.get('VERSION_ID', '')}".strip()


def install_packages(machine: Machine, more: tuple[str, ...] = ()) -> None:
    """Install what is missing of the system's packages."""
    missing = [name for name in (*PACKAGES, *more) if not _is_installed(machine, name)]
    if not missing:
        machine.say("Packages: all are there.")
        return
    machine.say(f"Packages: {' '.join(missing)} ...")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    machine.run("apt-get", "update", "-qq", **quiet)
    machine.run(
        *("apt-get", "install", "--yes", "--no-install-recommends", "-qq", *missing), **quiet
    )
    if _is_installed(machine, "libapache2-mod-wsgi-py3"):
        raise FailedError(
            "Of two mod_wsgi the first that is loaded wins, and Debian's is installed: "
            "apt remove libapache2-mod-wsgi-py3, and begin again."
        )


def _is_installed(machine: Machine, name: str) -> bool:
    try:
        said = machine.run("dpkg-query", "--show", "--showformat=${Status}", name)
    except FailedError:
        return False
    return said.endswith("ok installed")


def make_folders(machine: Machine, place: Place) -> None:
    """Make the folders that the service writes to, its user's, and those of root."""
    for folder in (place.root, place.releases, place.logs):
        machine.run("install", "-d", "-m", "755", folder)
    for folder, mode in ((place.instance, "755"), (place.versions, "755"), (place.backups, "700")):
        if not folder.is_dir():
            machine.run("install", "-d", "-o", USER, "-g", USER, "-m", mode, folder)


def write_units(machine: Machine, release: Path, place: Place, *, worker: bool) -> None:
    """Install systemd's units; without systemd say what is left out."""
    if not machine.has_systemd():
        machine.say(
            "No systemd runs here. Left out: Apache's start with the machine, the daily backup, "
            "the hourly housekeeping, and the workers that answer batches and retrain."
        )
        return
    changed = False
    for name in UNITS:
        text = (release / "deploy" / name).read_text("utf-8")
        changed |= machine.write(place.units / name, render_unit(text, place))
    if changed:
        machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "--quiet", "apache2", *TIMERS)
    workers = (BATCHES, WORKER) if worker else (BATCHES,)
    for name in workers:
        machine.run("systemctl", "enable", "--quiet", name)
        machine.run("systemctl", "restart", name)
    machine.say(f"systemd: {', '.join((*TIMERS, *workers))}.")


def render_unit(text: str, place: Place) -> str:
    """A unit of `deploy/`, for the release that is current."""
    text = text.replace("=/var/www/flaskapi\n", f"={place.current}\n")
    return text.replace("ExecStart=/var/www/flaskapi/", f"ExecStart={place.current}/")


@contextlib.contextmanager
def undone(machine: Machine) -> Iterator[contextlib.ExitStack]:
    """What was done so far is taken back where a later step fails."""
    with contextlib.ExitStack() as undo:
        try:
            yield undo
        except BaseException:
            machine.say("That failed; what was there before is put back ...")
            raise
        undo.pop_all()
