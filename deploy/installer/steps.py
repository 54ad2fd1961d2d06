"""The steps of an installation. Each can be repeated, and changes nothing where all is there."""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ask
from machine import USER, FailedError, Machine
from place import Place, add_note, copy_code, find_digest, read_note

PACKAGES = ("apache2", "apache2-dev", "ca-certificates", "gcc", "python3-dev", "python3-venv")
TRIED = ("debian 12", "debian 13", "ubuntu 24.04")
MODULES = ("alias", "headers", "reqtimeout", "unique_id", "wsgi")
SITE, SHARED = "flaskapi.conf", "flaskapi-server.conf"
# Those that are enabled wherever there is systemd; the worker needs TensorFlow, and is asked for.
TIMERS = ("flaskapi-housekeeping.timer", "flaskapi-backup.timer")
WORKER = "flaskapi-retrain.service"
BATCHES = "flaskapi-batches.service"
UNITS = (*TIMERS, BATCHES, "flaskapi-housekeeping.service", "flaskapi-backup.service", WORKER)
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")


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


def make_release(
    machine: Machine, source: Path, place: Place, *, worker: bool, like: Path | None = None
) -> Path:
    """Copy the code of a checkout, and make its environment, each file held against its hash.

    Args:
        worker: with what retraining needs.
        like: a release whose environment is taken over where the same packages are wanted.
    """
    release = copy_code(source, place)
    try:
        python = release / ".venv" / "bin" / "python"
        add_note(release, packages=_name_packages(machine, release, worker=worker), worker=worker)
        if like and read_note(like).get("packages") == read_note(release)["packages"]:
            machine.say(f"Release {release.name}: code; its packages are those of {like.name}.")
            machine.run("cp", "-al", like / ".venv", release / ".venv")
        else:
            machine.say(f"Release {release.name}: code, and its packages by their hashes ...")
            _install_packages_of(machine, release, worker=worker)
        # In place of an editable installation, for which pip would fetch what builds it.
        (packages,) = (release / ".venv" / "lib").glob("python3*/site-packages")
        machine.write(packages / "flaskapi.pth", f"{release}\n")
        machine.run(python, "-m", "compileall", "-q", release / "flaskapi")
        revision = machine.run(
            python, "-c", "from flaskapi.submissions.tables import REVISION; print(REVISION)"
        )
        add_note(release, revision=revision.strip())
        machine.run(python, "-c", "import flaskapi", user=USER)
    except BaseException:
        shutil.rmtree(release)
        raise
    return release


def _name_packages(machine: Machine, release: Path, *, worker: bool) -> str:
    """What an environment depends on: two releases of the same can have the same."""
    names = ["deploy/requirements-serve.txt"]
    names += ["requirements.txt", "pyproject.toml"] if worker else []
    parts = [machine.run("/usr/bin/python3", "--version"), str(worker)]
    parts += [(release / name).read_text("utf-8") for name in names]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _install_packages_of(machine: Machine, release: Path, *, worker: bool) -> None:
    python = release / ".venv" / "bin" / "python"
    machine.run("/usr/bin/python3", "-m", "venv", release / ".venv")
    wanted = release / "deploy" / "requirements-serve.txt"
    machine.run(python, *PIP, "--require-hashes", "--only-binary", ":all:", "-r", wanted)
    if worker:
        pins = ("--constraint", release / "requirements.txt")
        machine.run(python, *PIP, *pins, *_find_extra(release))


def _find_extra(release: Path) -> list[str]:
    """What the extra `train` is made of, as pyproject.toml says."""
    import tomllib

    project = tomllib.loads((release / "pyproject.toml").read_text("utf-8"))["project"]
    extra: list[str] = project["optional-dependencies"]["train"]
    return extra


def is_same(source: Path, release: Path, *, worker: bool) -> bool:
    """Whether a release is of this checkout, and has what is asked for."""
    note = read_note(release)
    return note.get("digest") == find_digest(source) and (not worker or bool(note.get("worker")))


def build_module(machine: Machine, release: Path, place: Place) -> bool:
    """Build mod_wsgi for this Apache and this Python, once for all releases. Tells whether Apache
    has to be restarted for it.
    """
    wanted = (release / "deploy" / "requirements.txt").read_text("utf-8")
    home, note = place.root / "apache", place.root / "apache" / "requirements.txt"
    version = machine.run("/usr/bin/python3", "--version").strip()
    wanted = f"# {version}\n{wanted}"
    if note.is_file() and note.read_text("utf-8") == wanted:
        machine.say("mod_wsgi: it is there.")
    else:
        machine.say("mod_wsgi: building it ...")
        machine.run("/usr/bin/python3", "-m", "venv", "--clear", home)
        requirements = release / "deploy" / "requirements.txt"
        machine.run(home / "bin" / "python", *PIP, "--no-cache-dir", "-r", requirements)
        machine.write(note, wanted)
    lines = machine.run(home / "bin" / "mod_wsgi-express", "module-config")
    return machine.write(place.apache / "mods-available" / "wsgi.load", lines)


def render_shared(text: str, name: str, place: Place) -> str:
    """`flaskapi-server.conf` for an installation."""
    values = {"NAME": name, "HOME": place.current, "VENV": place.current / ".venv"}
    for what, value in (values | {"LOGS": place.logs}).items():
        text, count = re.subn(
            rf"^Define FLASKAPI_{what} .*$", f"Define FLASKAPI_{what} {value}", text, flags=re.M
        )
        if count != 1:
            raise FailedError(f"{SHARED} has no line that defines FLASKAPI_{what}.")
    return text


def render_site(text: str, listen: str) -> str:
    """`flaskapi.conf` for an address that Apache listens on: a port, or an address with one."""
    at = listen if ":" in listen else f"*:{listen}"
    return text.replace("<VirtualHost *:80>", f"<VirtualHost {at}>")


def render_ports(text: str, listen: str) -> str:
    """Debian's `ports.conf`, listening there in place of port 80."""
    return re.sub(r"^Listen 80$", f"Listen {listen}", text, flags=re.M)


def render_unit(text: str, place: Place) -> str:
    """A unit of `deploy/`, for the release that is current."""
    text = text.replace("=/var/www/flaskapi\n", f"={place.current}\n")
    return text.replace("ExecStart=/var/www/flaskapi/", f"ExecStart={place.current}/")


def read_name(place: Place) -> str:
    """The host's name that the installation has."""
    text = (place.apache / "conf-available" / SHARED).read_text("utf-8")
    found = re.search(r"^Define FLASKAPI_NAME (.*)$", text, re.M)
    return found[1] if found else "localhost"


def read_listen(place: Place) -> str:
    """Where the installation's virtual host listens: a port, or an address with one."""
    path = place.apache / "sites-available" / SITE
    found = re.search(r"^<VirtualHost (?:\*:)?(\S+)>", path.read_text("utf-8"), re.M)
    return found[1] if found else "80"


def find_address(place: Place) -> ask.Address:
    """Where to ask the service from this machine."""
    host, _, port = read_listen(place).rpartition(":")
    return ask.Address(int(port), read_name(place), host or "127.0.0.1")


def write_apache(machine: Machine, release: Path, place: Place, name: str, listen: str) -> bool:
    """Write the virtual host and what belongs to it. Tells whether anything changed."""
    own = release / "deploy"
    shared = render_shared((own / SHARED).read_text("utf-8"), name, place)
    site = render_site((own / SITE).read_text("utf-8"), listen)
    changed = machine.write(place.apache / "conf-available" / SHARED, shared)
    if len(find_sites(place)) == 1 or not (place.apache / "sites-available" / SITE).exists():
        changed |= machine.write(place.apache / "sites-available" / SITE, site)
    else:
        machine.say("The virtual host stays as certbot left it.")
    ports = place.apache / "ports.conf"
    if listen != "80":
        changed |= machine.write(ports, render_ports(ports.read_text("utf-8"), listen))
    return changed


def find_sites(place: Place) -> list[str]:
    """The names of the service's virtual hosts: its own, and the copy that certbot makes of it."""
    names = ["flaskapi", "flaskapi-le-ssl"]
    there = [name for name in names if (place.apache / "sites-available" / f"{name}.conf").exists()]
    return there or names[:1]


def enable_apache(machine: Machine, place: Place, undo: contextlib.ExitStack) -> None:
    """Let Apache load the modules and the virtual host; the one of a new Apache goes."""
    machine.run("a2enmod", "--quiet", *MODULES)
    default = place.apache / "sites-enabled" / "000-default.conf"
    if default.exists():
        machine.run("a2dissite", "--quiet", "000-default")
        undo.callback(machine.run, "a2ensite", "--quiet", "000-default")
    if not (place.apache / "sites-enabled" / SITE).exists():
        undo.callback(machine.run, "a2dissite", "--quiet", "flaskapi")
        undo.callback(machine.run, "a2disconf", "--quiet", "flaskapi-server")
    machine.run("a2enconf", "--quiet", "flaskapi-server")
    machine.run("a2ensite", "--quiet", "flaskapi")
    machine.run("apache2ctl", "configtest")


def find_apache(note: Path = Path("/run/apache2/apache2.pid")) -> int | None:
    """The id of Apache's first process, where it runs."""
    try:
        process = int(note.read_text("utf-8"))
        os.kill(process, 0)
    except (OSError, ValueError):
        return None
    return process


def find_broken(place: Place, proc: Path = Path("/proc")) -> list[int]:
    """The service's processes under Apache that could not load it: they never noted themselves."""
    found, apache = [], find_apache()
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if not (folder / "cmdline").read_bytes().startswith(b"(wsgi:flaskapi"):
                continue
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            note = place.instance / "processes" / str(parent) / f"{folder.name}.json"
            if parent == apache and not note.exists():
                found.append(int(folder.name))
    return found


def restart_apache(machine: Machine) -> None:
    """Restart Apache, or start it."""
    if machine.has_systemd():
        machine.run("systemctl", "restart", "apache2")
    else:
        machine.run("apache2ctl", "restart")  # starts it where it does not run


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


def flaskapi(
    machine: Machine, release: Path, *arguments: str | Path, stdin: str = "", **settings: str
) -> str:
    """Run a command of the service as its user, in a release."""
    python = release / ".venv" / "bin" / "python"
    return machine.run(
        *(python, "-m", "flaskapi", *arguments), user=USER, cwd=release, stdin=stdin, **settings
    )


def check_beside(machine: Machine, release: Path, pictures: Path) -> None:
    """Run a release beside what serves, on a port of its own, and ask it; it keeps nothing.

    Raises:
        FailedError: it is not ready, or reads a picture otherwise than it is told to.
    """
    machine.say("Check: the release runs by itself, and is asked ...")
    values = {"STORE": "off", "PREDICT_KEY_REQUIRED": "false", "PREDICT_RATE_LIMIT": "off"}
    settings = {f"FLASKAPI_{name}": value for name, value in values.items()}
    loading = "import runpy; runpy.run_path('deploy/flaskapi.wsgi')"  # as Apache loads it
    python = release / ".venv" / "bin" / "python"
    machine.run(python, "-c", loading, user=USER, cwd=release, **settings)
    port = ask.find_free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = machine.start(
            *(python, "deploy/serve", f"127.0.0.1:{port}"),
            user=USER,
            cwd=release,
            log=log,
            **settings,
        )
        try:
            check_answers(ask.Address(port), pictures, lambda: process.poll() is None)
        except FailedError as error:
            said = log.read_text("utf-8", "replace").strip().splitlines()[-8:]
            raise FailedError("\n".join([str(error), *said])) from error
        finally:
            process.terminate()
            process.wait(30)


def check_answers(address: ask.Address, pictures: Path, goes_on=lambda: True) -> None:
    """Ask a service whether it is ready, and what it reads.

    Raises:
        FailedError: it is not, or reads a picture otherwise than it is told to.
    """
    try:
        if why := ask.wait_until_ready(address, goes_on):
            raise FailedError(f"The release is not ready: {why}")
        if different := ask.find_differences(address, pictures):
            raise FailedError("\n".join(["The release reads otherwise:", *different]))
    except OSError as error:
        raise FailedError(f"The release does not answer: {error}") from error


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
