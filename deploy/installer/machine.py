"""What the installer does to a machine: it runs commands, writes files, and says what it did."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

USER = "www-data"  # as whom Apache serves
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")


class FailedError(Exception):
    """A step that cannot be done; the text says why, and what to do."""


class Machine:
    """This machine, as root has it. Tests give one that runs nothing."""

    def say(self, text: str) -> None:
        """Tell the person what is done."""
        print(text, flush=True)

    def run(
        self,
        *command: str | Path,
        user: str | None = None,
        stdin: str = "",
        cwd: Path | None = None,
        **settings: str,
    ) -> str:
        """Run a command to its end, and give what it printed.

        Args:
            user: as whom; by default as root.
            settings: are added to its environment.

        Raises:
            FailedError: its status is not 0; the text has the end of what it printed.
        """
        done = subprocess.run(
            list_command(command, user),
            input=stdin,
            cwd=cwd or "/",
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            end = "\n".join(done.stdout.strip().splitlines()[-15:])
            raise FailedError(f"{' '.join(map(str, command))}\n{end}")
        return done.stdout

    def start(
        self, *command: str | Path, user: str, cwd: Path, log: Path, **settings: str
    ) -> "subprocess.Popen[bytes]":
        """Start a command that goes on, what it prints into a file."""
        with log.open("wb") as file:
            return subprocess.Popen(
                list_command(command, user),
                cwd=cwd,
                env=os.environ | settings,
                stdout=file,
                stderr=file,
            )

    def has_systemd(self) -> bool:
        """Whether systemd runs here: in a container or a chroot it does not."""
        return Path("/run/systemd/system").is_dir()

    def write(self, path: Path, text: str, mode: int = 0o644) -> bool:
        """Write a file, whole or not at all. Tells whether anything changed."""
        if path.is_file() and path.read_text("utf-8") == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(path) as temporary:
            temporary.write_text(text, "utf-8")
            temporary.chmod(mode)
        return True


def list_command(command: Sequence[str | Path], user: str | None) -> list[str]:
    """A command as a list, run as another user where one is named."""
    prefix = ["runuser", "-u", user, "--"] if user else []
    return [*prefix, *map(str, command)]


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A new file in the same folder, which takes the place of another if all goes well."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
