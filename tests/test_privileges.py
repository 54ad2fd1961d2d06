"""Root follows, makes and runs nothing that the service's user may have placed."""

import argparse
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from operators import place_empty_store
from servers import ROOT, START_TIMEOUT_S, Server, free_port, stop, wait_until_it_answers

from flaskapi import privileges
from flaskapi.__main__ import make_parser
from flaskapi.errors import FlaskapiError
from flaskapi.privileges import find_owner, give
from flaskapi.versions.pointer import own_as_folder

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.getuid() != 0, reason="only root has rights to give up"),
]
OTHER = 12345
PROBE = """
import argparse, json, os, sys
from flaskapi import __main__
options = argparse.Namespace(**json.loads(sys.argv[1]))
options.run = lambda options: print(os.getresuid(), os.getresgid(), os.getgroups())
sys.exit(__main__.run(options))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others can reach, which pytest's own is not for root."""
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def instance(folder: Path) -> Path:
    """An instance folder of another user's, beside one of root's."""
    for name, owner in (("instance", OTHER), ("roots", 0)):
        (folder / name).mkdir()
        os.chown(folder / name, owner, owner)
    return folder / "instance"


def leaves(parser: argparse.ArgumentParser, *names: str) -> Iterator[tuple[str, ...]]:
    """The names of all commands, as `keys make`."""
    groups = [
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    ]
    if not groups:
        yield names
    for group in groups:
        for name, inner in group.choices.items():
            yield from leaves(inner, *names, name)


def defaults_of(names: tuple[str, ...], target: Path) -> dict[str, object]:
    """The options of a command whose paths all lead into a folder."""
    parser = make_parser()
    for name in names:
        (group,) = (
            action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
        )
        parser = group.choices[name]
    marks = {"is_of_instance", "writes_folder", "replaces_folder"}
    options = {key: value for key, value in parser._defaults.items() if key in marks}
    paths = ("folder", "model", "target", "picture", "html", "to")
    taken = {action.dest for action in parser._actions}
    return options | {name: str(target / "x") for name in paths if name in taken}


COMMANDS = sorted(leaves(make_parser()))


def run(code: list[str], instance: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"FLASKAPI_INSTANCE_PATH": str(instance), **more}
    return subprocess.run(
        [sys.executable, *code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_is_run_by_the_owner_of_the_folders_that_it_writes_to(
    names: tuple[str, ...], instance: Path
) -> None:
    """A new command is covered by itself. Whoever is not root any more cannot be it again."""
    options = json.dumps(defaults_of(names, instance))
    done = run(["-c", PROBE, options], instance)
    expected = f"{(OTHER,) * 3} {(OTHER,) * 3} [{OTHER}]\n"
    assert expected == done.stdout, done.stderr


def test_in_roots_own_folders_root_stays_root(instance: Path) -> None:
    done = run(["-c", PROBE, "{}"], instance.parent / "roots")
    assert done.stdout.startswith("(0, 0, 0)")


@pytest.mark.parametrize(
    "command",
    [
        ["retrain", "--dry-run", "--html"],
        ["evaluate", "examples", "--html"],
        ["predict", "examples/7.png", "--to"],
        ["export"],
        ["backup"],
    ],
    ids=" ".join,
)
def test_where_the_owner_may_not_write_is_said_before_any_work(
    instance: Path, command: list[str]
) -> None:
    """A new user is root, in root's checkout, after `make run` gave the instance folder away."""
    roots = instance.parent / "roots"
    target = roots / "none" / "target"
    done = run(["-m", "flaskapi", *command, str(target)], instance, FLASKAPI_STORE="on")
    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert (
        f"error: {target}: {OTHER} may not write to {roots}. Root runs this as {OTHER}, who owns "
        f"the service's files: name a folder that {OTHER} may write to, such as one under /tmp.\n"
    ) == done.stderr
    assert [] == [*roots.iterdir()]


def test_a_backup_replaces_an_empty_folder_and_so_needs_the_folder_around_it(
    instance: Path,
) -> None:
    target = instance.parent / "empty"
    target.mkdir()
    os.chown(target, OTHER, OTHER)
    done = run(["-m", "flaskapi", "backup", str(target)], instance)
    assert f"{OTHER} may not write to {instance.parent}. " in done.stderr


def test_what_the_owner_may_not_read_is_named_with_the_cure(instance: Path) -> None:
    closed = instance.parent / "roots" / "closed"
    closed.mkdir(mode=0o700)
    done = run(["-m", "flaskapi", "import", str(closed)], instance, FLASKAPI_STORE="on")
    assert (
        f"error: {closed}/unlabelled.csv: Permission denied. Root runs this as {OTHER}, who owns "
        f"the service's files: let {OTHER} open it, or copy it to /tmp.\n"
    ) == done.stderr


@pytest.mark.parametrize("setting", ["VERSIONS_PATH", "CACHE_PATH", "METRICS_PATH", "DATABASE_URL"])
def test_a_folder_that_a_setting_names_counts_too(instance: Path, setting: str) -> None:
    value = f"sqlite:///{instance}/x.db" if setting == "DATABASE_URL" else str(instance)
    done = run(["-c", PROBE, "{}"], instance.parent / "roots", **{f"FLASKAPI_{setting}": value})
    assert done.stdout.startswith(f"({OTHER}, ")


@pytest.mark.parametrize("is_linked", [False, True], ids=["a database", "a link to one"])
@pytest.mark.parametrize(
    ("command", "done", "refused"),
    [
        (["check"], "Ready: store sqlite.", "submissions.db is a link"),
        (["keys", "make", "ada"], "The key of ada", "submissions.db is a link"),
        (["housekeeping"], "Housekeeping erased 0", "submissions.db is a link"),
        (["backup", "{}/kept"], "exists already", "exists already"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_no_command_makes_or_changes_what_a_link_leads_to(
    instance: Path, command: list[str], done: str, refused: str, is_linked: bool
) -> None:
    """The links are those of a web process that was taken over. What each command says shows that
    it came to them.
    """
    roots = instance.parent / "roots"
    roots.joinpath("there").write_text("root's")
    links = {"client.key": "there", "cache": "", "metrics": "", "processes": "", "kept": "kept"}
    if is_linked:
        links |= {"submissions.db": "made", "submissions.db-wal": "there"}
    else:
        place_empty_store(instance)
        os.chown(instance / "submissions.db", OTHER, OTHER)
    for name, target in links.items():
        (instance / name).symlink_to(roots / target)
    before = {path: path.stat().st_uid for path in (roots, *roots.iterdir())}
    ran = run(
        ["-m", "flaskapi", *(word.format(instance) for word in command)],
        instance,
        FLASKAPI_STORE="on",
    )
    assert (refused if is_linked else done) in ran.stdout + ran.stderr
    assert before == {path: path.stat().st_uid for path in (roots, *roots.iterdir())}
    assert "root's" == (roots / "there").read_text()


@pytest.mark.apache
@pytest.mark.usefixtures("apache_available")
@pytest.mark.skipif(
    not (ROOT / ".venv").is_dir(), reason="deploy/run serves from .venv, which `make` creates"
)
def test_whether_all_can_be_read_is_asked_of_who_serves(folder: Path, instance: Path) -> None:
    """Not of Apache's usual user, who has nothing to do with it where another owns the folder."""
    checkout = folder / "checkout"
    checkout.mkdir()
    (checkout / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "run", checkout / "deploy" / "run")
    for name in ("flaskapi", ".venv"):
        (checkout / name).symlink_to(ROOT / name)
    environment = os.environ | {
        "PORT": str(free_port()),
        "FLASKAPI_INSTANCE_PATH": str(instance),
    }
    checkout.chmod(0o700)  # only root reads below it
    done = subprocess.run(
        [checkout / "deploy" / "run"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    assert f"error: {instance} belongs to the user {OTHER}, who would serve, and cannot read" in (
        done.stderr
    )
    assert "www-data" not in done.stderr + done.stdout


@pytest.mark.apache
@pytest.mark.skipif(
    not (ROOT / ".venv").is_dir(), reason="deploy/run serves from .venv, which `make` creates"
)
@pytest.mark.parametrize("is_linked", [False, True], ids=["it serves", "links are in its way"])
def test_make_run_runs_nothing_of_the_service_users_as_root(folder: Path, is_linked: bool) -> None:
    """`envvars` in a folder that a server uses again, links in place of what is written there."""
    user, port = pwd.getpwnam("www-data"), free_port()
    instance, roots = folder / "instance", folder / "roots"
    roots.mkdir()
    for name in ("server", "apache"):
        server = instance / f"{name}-127.0.0.1-{port}"
        server.mkdir(parents=True)
        (server / "envvars").write_text(f"id -u > {folder}/ran; id -u > {instance}/ran\n")
        for file in ("flaskapi.conf", "httpd.conf", "apachectl", "output") if is_linked else ():
            (server / file).symlink_to(roots / file)
    for path in (instance, *instance.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    environment = os.environ | {"PORT": str(port), "FLASKAPI_INSTANCE_PATH": str(instance)}
    output = folder / "output"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [ROOT / "deploy" / "run"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        if is_linked:
            assert 0 != process.wait(START_TIMEOUT_S)
            assert "flaskapi.conf: Permission denied" in output.read_text()
        else:
            wait_until_it_answers(Server(port, process, instance))
            assert str(user.pw_uid) == (instance / "ran").read_text().strip()
    finally:
        stop(process)
    assert [] == [*roots.iterdir(), *folder.glob("ran")]


def test_a_folder_is_given_with_what_root_made_in_it_and_links_are_not_followed(
    folder: Path,
) -> None:
    user = pwd.getpwnam("www-data")
    (folder / "mine" / "below").mkdir(parents=True)
    (folder / "mine" / "below" / "file").touch()
    (folder / "target").touch()
    (folder / "mine" / "link").symlink_to(folder / "target")
    give(folder / "mine")
    give(folder / "new" / "one")
    for path in (folder / "mine", *(folder / "mine").rglob("*"), folder / "new" / "one"):
        assert user.pw_uid == path.lstat().st_uid, path
    assert (0, 0) == ((folder / "target").stat().st_uid, (folder / "new").stat().st_uid)


def test_what_goes_with_a_folder_is_given_to_who_has_it(instance: Path) -> None:
    """Another user than Apache's may serve; the versions are that user's then."""
    versions = instance.parent / "versions"
    assert 0 == privileges.main(["--give", str(instance), str(versions)])
    assert (OTHER, OTHER) == (versions.stat().st_uid, versions.stat().st_gid)


@pytest.mark.parametrize("kind", ["file of another", "second name"])
def test_a_folder_in_which_others_placed_something_is_not_given(folder: Path, kind: str) -> None:
    (folder / "mine").mkdir()
    (folder / "secret").touch()
    if kind == "second name":
        os.link(folder / "secret", folder / "mine" / "secret")
    else:
        (folder / "mine" / "other").touch()
        os.chown(folder / "mine" / "other", OTHER, OTHER)
    with pytest.raises(FlaskapiError, match="contains files of others"):
        give(folder / "mine")
    assert {0} == {path.stat().st_uid for path in (folder / "mine", folder / "secret")}


def test_who_owns_a_link_or_what_it_leads_to_is_not_root(instance: Path) -> None:
    folder = instance.parent
    (folder / "by_root").symlink_to(instance)
    (folder / "by_other").symlink_to(folder / "roots")
    os.chown(folder / "by_other", OTHER, OTHER, follow_symlinks=False)
    for name in ("instance", "instance/none/below", "by_root", "by_other"):
        assert (OTHER, OTHER) == find_owner(folder / name), name
    assert find_owner(folder / "roots" / "none") is None
    (folder / "roots").chmod(0o777)
    with pytest.raises(FlaskapiError, match="anybody may write"):
        find_owner(folder / "roots" / "none")


def test_what_root_makes_in_a_folder_is_given_to_its_owner_but_not_through_a_link(
    instance: Path,
) -> None:
    (instance.parent / "target").touch()
    (instance / "link").symlink_to(instance.parent / "target")
    own_as_folder(instance / "link")
    assert (OTHER, 0) == (
        (instance / "link").lstat().st_uid,
        (instance.parent / "target").stat().st_uid,
    )
