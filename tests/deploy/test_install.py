"""`deploy/install`: its parts, each in a folder of its own, and the order in which it does things.

All of it on a real Debian is shown by `python -m benchmarks machines`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from servers import ROOT

INSTALLER = ROOT / "deploy" / "installer"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    sys.path.insert(0, str(INSTALLER))
    yield
    sys.path.remove(str(INSTALLER))
    for name in ("apache", "ask", "machine", "place", "releases", "system"):
        sys.modules.pop(name, None)


@pytest.fixture
def main() -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("installer_main", INSTALLER / "__main__.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def place(tmp_path: Path) -> Any:
    """An installation's folders, with what Debian's Apache has."""
    from place import Place

    root = tmp_path / "root"
    own = Place(root, tmp_path / "logs", tmp_path / "backups", tmp_path / "a", tmp_path / "units")
    for folder in (own.releases, own.instance, own.versions, own.apache, own.backups, own.units):
        folder.mkdir(parents=True)
    for name in ("conf-available", "sites-available", "sites-enabled", "mods-available"):
        (own.apache / name).mkdir()
    (own.apache / "ports.conf").write_text("Listen 80\n<IfModule ssl_module>\n\tListen 443\n")
    return own


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout of a few files, with some that do not belong to a release."""
    folder = tmp_path / "source"
    files = {
        **dict.fromkeys(["flaskapi/a.py", "models/m.h5", "deploy/roll", "README.md"], "x"),
        **dict.fromkeys(["models/versions/v/m.h5", "flaskapi/__pycache__/a.pyc"], "not"),
        **dict.fromkeys(["tests/t.py", ".git/HEAD", "instance/client.key", "deploy/.x"], "not"),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "deploy" / "roll").chmod(0o755)
    return folder


class Recorder:
    """A machine that runs nothing: it notes commands, and fails at those it is told to."""

    def __init__(self, fails_at: str = "none", answers: dict[str, str] | None = None) -> None:
        self.did, self.said = list[str](), list[str]()
        self.fails_at, self.answers = fails_at, answers or {}

    def say(self, text: str) -> None:
        self.said.append(text)

    def run(self, *command: Any, **_: Any) -> str:
        from machine import FailedError

        words = " ".join(Path(str(part)).name or str(part) for part in command)
        self.did.append(words)
        if self.fails_at in words:
            raise FailedError(f"{words} fails")
        return next((text for part, text in self.answers.items() if part in words), "")

    def has_systemd(self) -> bool:
        return False

    def write(self, path: Path, text: str, mode: int = 0o644) -> bool:
        from machine import Machine

        return Machine().write(path, text, mode)


def test_a_release_has_what_serves_and_nothing_else(source: Path, place: Any) -> None:
    from place import copy_code, find_digest, read_note

    release = copy_code(source, place, now=NOON)
    assert "20261130T120000" == release.name
    found = {str(one.relative_to(release)) for one in release.rglob("*") if one.is_file()}
    assert {"flaskapi/a.py", "models/m.h5", "deploy/roll", "README.md", "release.json"} == found
    assert (release / "instance").resolve() == place.instance
    assert (release / "models" / "versions").resolve() == place.versions
    assert [0o755, 0o644] == [
        (release / name).stat().st_mode & 0o777 for name in ("deploy/roll", "README.md")
    ]
    assert find_digest(source) == read_note(release)["digest"]
    (source / "tests" / "t.py").write_text("other")
    assert find_digest(source) == read_note(release)["digest"]
    (source / "models" / "m.h5").write_text("other")
    assert find_digest(source) != read_note(release)["digest"]


def test_a_link_says_which_release_serves_and_old_ones_go(source: Path, place: Any) -> None:
    from place import copy_code, point, remove_old

    releases = [copy_code(source, place, now=NOON + timedelta(days=n)) for n in range(5)]
    assert place.find("current") is None
    point(place, "current", releases[1])
    point(place, "previous", releases[0])
    assert [releases[1], releases[0]] == [place.find("current"), place.find("previous")]
    assert not os.path.isabs(os.readlink(place.current)), "it holds in a copy of the folder too"
    assert releases[2:4] == remove_old(place, keep=3)
    assert {releases[0], releases[1], releases[4]} == set(place.releases.iterdir())
    point(place, "current", None)
    point(place, "current", None)
    assert place.find("current") is None


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("80", "*:80", 80), ("8080", "*:8080", 8080), ("127.0.0.1:81", "127.0.0.1:81", 81)],
)
def test_apaches_files_name_the_host_the_release_and_the_address(
    place: Any, listen: str, host: str, port: int
) -> None:
    import apache

    machine = Recorder()
    assert apache.write_apache(machine, ROOT, place, "digits.example", listen)
    assert not apache.write_apache(machine, ROOT, place, "digits.example", listen), "the same again"
    shared = (place.apache / "conf-available" / "flaskapi-server.conf").read_text()
    site = (place.apache / "sites-available" / "flaskapi.conf").read_text()
    for line in (
        "Define FLASKAPI_NAME digits.example",
        f"Define FLASKAPI_HOME {place.current}",
        f"Define FLASKAPI_VENV {place.current}/.venv",
        f"Define FLASKAPI_LOGS {place.logs}",
        "WSGIScriptReloading Off",
    ):
        assert f"\n{line}\n" in shared
    assert f"\n<VirtualHost {host}>\n" in site
    assert (place.apache / "ports.conf").read_text().startswith(f"Listen {listen}\n")
    assert ("digits.example", port) == apache.find_address(place)[1::-1]


def test_what_certbot_made_of_the_virtual_host_stays_and_goes_with_it(
    main: ModuleType, place: Any
) -> None:
    import apache

    machine, sites = Recorder(), place.apache / "sites-available"
    apache.write_apache(machine, ROOT, place, "digits.example", "80")
    (sites / "flaskapi-le-ssl.conf").write_text("<VirtualHost *:443>")
    with (sites / "flaskapi.conf").open("a") as file:
        file.write("RewriteEngine on\n")
    assert not apache.write_apache(machine, ROOT, place, "digits.example", "80")
    assert (sites / "flaskapi.conf").read_text().endswith("RewriteEngine on\n")
    assert "as certbot left it" in machine.said[-1]
    (place.apache / "sites-enabled" / "flaskapi.conf").symlink_to(
        "../sites-available/flaskapi.conf"
    )
    options = main.make_parser().parse_args(["--uninstall"])
    options.run(machine, place, options)
    assert "a2dissite --quiet flaskapi-le-ssl" in machine.did
    assert [] == list(sites.iterdir())


def test_units_run_the_release_that_is_current(place: Any) -> None:
    import system

    for name in system.UNITS:
        text = system.render_unit((ROOT / "deploy" / name).read_text(), place)
        if name.endswith(".service"):
            assert f"\nWorkingDirectory={place.current}\n" in text
            assert f"\nExecStart={place.current}/.venv/bin/python -m flaskapi " in text
            assert "\nUser=www-data\n" in text


@pytest.mark.process
@pytest.mark.parametrize(
    "unit", sorted((ROOT / "deploy").glob("*.service")), ids=lambda path: path.name
)
def test_units_are_hardened(unit: Path) -> None:
    """`systemd-analyze security` says 1.5 of each, of 10; where it is installed it is asked."""
    try:
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--threshold=30", unit],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        lines = unit.read_text().splitlines()
        assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes"} <= set(lines)
        return
    assert 0 == done.returncode, done.stdout[-300:] + done.stderr


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["digits.example"], "digits.example"),
        (["10.0.0.1", "--listen", "127.0.0.1:8080"], "10.0.0.1"),
        (["--upgrade", "--check", "folder"], None),
        (["a b"], "refused"),
        (["x\nServerAlias *"], "refused"),
        (["${X}"], "refused"),
        (["--upgrade", "--rollback"], "refused"),
        (["a", "--listen", "70000"], "refused"),
        (["a", "--listen", "localhost:80"], "refused"),
    ],
)
def test_what_would_break_apaches_files_is_refused(
    main: ModuleType, arguments: list[str], name: str | None
) -> None:
    if name == "refused":
        with pytest.raises(SystemExit):
            main.make_parser().parse_args(arguments)
    else:
        assert name == main.make_parser().parse_args(arguments).name


@pytest.fixture
def installed(source: Path, place: Any, monkeypatch: pytest.MonkeyPatch, main: ModuleType) -> Any:
    """Two releases: the older serves, the newer is what an upgrade makes of the checkout."""
    import apache
    import releases
    import system
    from place import add_note, copy_code, point

    old, new = (copy_code(source, place, now=NOON + timedelta(days=n)) for n in range(2))
    add_note(old, revision="r0005")
    add_note(new, revision="r0006")
    (old / "release.json").write_text('{"revision": "r0005"}')
    point(place, "current", old)
    monkeypatch.setattr(main, "SOURCE", source)
    monkeypatch.setattr(releases, "make_release", lambda *_, **__: new)
    for module, name in (
        (system, "install_packages"),
        (system, "make_folders"),
        (apache, "find_address"),
        (apache, "find_broken"),
    ):
        monkeypatch.setattr(module, name, lambda *_: [])
    monkeypatch.setattr(main, "finish", lambda *_, **__: None)
    return old, new


def upgrade(main: ModuleType, place: Any, machine: Recorder, *flags: str) -> None:
    options = main.make_parser().parse_args(["--upgrade", *flags])
    options.run(machine, place, options)


def test_an_upgrade_is_checked_backed_up_migrated_and_rolled_in_this_order(
    main: ModuleType, place: Any, installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import releases

    machine = Recorder()
    monkeypatch.setattr(releases, "check_beside", lambda *_: machine.did.append("beside"))
    monkeypatch.setattr(releases, "check_answers", lambda *_: machine.did.append("answers"))
    upgrade(main, place, machine)
    what = ["beside", "backup", "store migrate r0006", "roll", "answers"]
    assert what == [one for part, one in zip(machine.did, what, strict=True) if one in part]
    assert installed[::-1] == (place.find("current"), place.find("previous"))


@pytest.mark.parametrize(
    ("broken", "undone"),
    [
        ("beside", []),
        ("backup", ["store migrate r0005"]),
        ("store migrate r0006", ["store migrate r0005"]),
        # Once more, for a new process may have brought the tables up again meanwhile.
        ("roll", ["store migrate r0005", "roll", "store migrate r0005"]),
        ("answers", ["store migrate r0005", "roll", "store migrate r0005"]),
    ],
)
def test_an_upgrade_that_fails_leaves_what_served_before(
    main: ModuleType,
    place: Any,
    installed: Any,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    undone: list[str],
) -> None:
    import releases
    from machine import FailedError

    machine, old, new = Recorder(broken), *installed

    def fail(name: str) -> Any:
        return lambda *_: machine.run(name)

    for name in ("beside", "answers"):
        monkeypatch.setattr(releases, f"check_{name}", fail(name))
    run, failed = machine.run, list[str]()

    def once(*command: Any, **settings: Any) -> str:  # the way back goes well
        if failed:
            machine.fails_at = "none"
        try:
            return run(*command, **settings)
        except FailedError:
            failed.append(machine.did[-1])
            raise

    monkeypatch.setattr(machine, "run", once)
    with pytest.raises(FailedError, match="fails"):
        upgrade(main, place, machine)
    after = machine.did[machine.did.index(failed[0]) + 1 :]
    assert undone == [what for what, one in zip(undone, after, strict=True) if what in one]
    assert (old, None) == (place.find("current"), place.find("previous"))
    assert not new.exists()
    assert old.exists()


def test_a_rollback_takes_the_tables_back_by_the_code_that_knows_both(
    main: ModuleType, place: Any, installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import releases
    from machine import FailedError
    from place import point

    machine, (old, new) = Recorder(), installed
    options = main.make_parser().parse_args(["--rollback"])
    with pytest.raises(FailedError, match="no release before"):
        options.run(machine, place, options)
    point(place, "current", new)
    point(place, "previous", old)
    monkeypatch.setattr(releases, "check_answers", lambda *_: None)
    options.run(machine, place, options)
    assert ["store migrate r0005"] * 2 == [one[-19:] for one in machine.did if "migrate" in one]
    assert (old, new) == (place.find("current"), place.find("previous"))


def test_uninstalling_keeps_what_was_kept_unless_it_is_told_to(
    main: ModuleType, place: Any, installed: Any
) -> None:
    (place.instance / "submissions.db").write_text("rows")
    for purge in ([], ["--purge"]):
        options = main.make_parser().parse_args(["--uninstall", *purge])
        options.run(Recorder(), place, options)
        assert not place.releases.exists()
        assert bool(purge) != (place.instance / "submissions.db").exists()
    assert not place.root.exists()


def test_a_service_is_asked_for_what_it_is_told_to_read(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classifier here reads a 7 in everything; over real sockets, as the installer asks."""
    import threading
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    import ask
    from fakes import draw_digit, encode

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = ask.Address(server.server_port)
        assert "" == ask.wait_until_ready(address, within_s=30)
        (tmp_path / "a.png").write_bytes(encode(draw_digit(7, side=28)))
        table = tmp_path / ask.EXPECTED
        table.write_text("route,file,answer\n/predict,a.png,7\n")
        assert [] == ask.find_differences(address, tmp_path)
        table.write_text("route,file,answer\n/predict,a.png,8\n/none,a.png,7\n")
        wrong, missing = ask.find_differences(address, tmp_path)
        assert "a.png is 8, and /predict says 200 7" == wrong
        assert "404" in missing
        server.shutdown()
    assert "refused" in ask.wait_until_ready(address, within_s=0.5)


def test_the_shipped_pictures_are_read_as_the_table_says(tmp_path: Path) -> None:
    import csv

    from flaskapi import Reader

    reader = Reader()
    with (ROOT / "examples" / "expected.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            data = (ROOT / "examples" / row["file"]).read_bytes()
            read = reader.number(data).number if "number" in row["route"] else None
            assert row["answer"] == (read or str(reader.digit(data)[0].digit))
