"""A release: its code and packages, commands that it runs, and the check before it serves."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import ask
from machine import PIP, USER, FailedError, Machine
from place import Place, add_note, copy_code, find_digest, read_note


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
