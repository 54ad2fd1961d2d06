"""Apache: its modules, the virtual host, and its processes.

Each step can be repeated, and changes nothing where all is there.
"""

import contextlib
import os
import re
from pathlib import Path

import ask
from machine import PIP, FailedError, Machine
from place import Place

MODULES = ("alias", "headers", "reqtimeout", "unique_id", "wsgi")
SITE, SHARED = "flaskapi.conf", "flaskapi-server.conf"


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
