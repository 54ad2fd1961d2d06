"""Root gives up its rights where somebody else owns a folder: a link or a file that the owner
placed there would else be followed, changed or run with them.

`python -m flaskapi.privileges FOLDER COMMAND...` runs a command as the owner of a folder.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from flaskapi.errors import FlaskapiError

SERVICE_USER = "www-data"  # as whom Apache serves


def drop_to_owner(folders: Iterable[Path]) -> None:
    """Become the owner of the first of these folders that root does not own, for good.

    Where a folder is missing, its nearest folder counts. Whoever is not root changes nothing.

    Raises:
        FlaskapiError: root owns a folder in which anybody may place files.
    """
    if os.geteuid() != 0:
        return
    for folder in folders:
        owner = find_owner(folder)
        if owner is not None:
            become(*owner)
            return


def find_owner(folder: Path) -> tuple[int, int] | None:
    """The user and group who own a folder, or a link to it; None: root does.

    Raises:
        FlaskapiError: anybody may place files in it.
    """
    for path in _nearest(folder.absolute()):
        found = os.lstat(path)
        if found.st_uid != 0:
            return found.st_uid, found.st_gid
        if stat.S_ISDIR(found.st_mode) and found.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == 2:
            raise FlaskapiError(
                f"{path} is root's, and anybody may write into it: run this as another user, or "
                f"chmod o-w {path}."
            )
    return None


def _nearest(path: Path) -> list[Path]:
    """What is there of a path: itself, and where it leads as a link; else a folder above it."""
    while not os.path.lexists(path):
        path = path.parent
    target = Path(os.path.realpath(path))
    return [path, target] if path.is_symlink() and target.exists() else [path]  # a pipe has no path


def become(uid: int, gid: int) -> None:
    """Become another user, with the groups of that user, for good."""
    try:
        user = pwd.getpwuid(uid)
        groups, home = os.getgrouplist(user.pw_name, gid), user.pw_dir
    except KeyError:  # a user without a name, as in a container
        groups, home = [gid], "/"
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    os.environ["HOME"] = home


def give(folder: Path, owner: tuple[int, int] | None = None) -> None:
    """Make a folder for a user, by default Apache's; one that is root's, with all that is in it, is
    given away.

    Args:
        folder: to be made, or to be given away.
        owner: the user and the group who get it.

    Raises:
        FlaskapiError: others have placed something in root's folder, or there is no such user.
    """
    name = SERVICE_USER if owner is None else str(owner[0])
    if owner is None:
        try:
            owner = pwd.getpwnam(name)[2:4]
        except KeyError:
            raise FlaskapiError(f"There is no user {name}.") from None
    uid, gid = owner
    if not os.path.lexists(folder):
        if not folder.parent.exists():
            folder.parent.mkdir(parents=True)
        folder.mkdir(mode=0o755)
    elif find_owner(folder) is not None:
        return
    for there, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        for found in (os.fstat(descriptor), *(_look(one, descriptor) for one in folders + files)):
            is_shared = not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1
            if found.st_uid != 0 or is_shared:
                raise FlaskapiError(
                    f"{there} is root's, and has files of others in it. To let {name} serve: "
                    f"sudo chown -hR {name}: {folder}"
                )
    for _, _, files, descriptor in os.fwalk(folder, follow_symlinks=False, topdown=False):
        for one in files:
            os.chown(one, uid, gid, dir_fd=descriptor, follow_symlinks=False)
        os.fchown(descriptor, uid, gid)


def _look(name: str, descriptor: int) -> os.stat_result:
    return os.stat(name, dir_fd=descriptor, follow_symlinks=False)


def main(arguments: list[str]) -> int:
    """Run a command as the owner of a folder; `--give FOLDER...` gives the first folder to Apache's
    user where it is root's, and the others to whoever has the first.
    """
    try:
        if arguments[:1] == ["--give"]:
            first, *others = map(Path, arguments[1:])
            give(first)
            for other in others:
                give(other, find_owner(first))
            return 0
        folder, *command = arguments
        drop_to_owner([Path(folder)])
    except (FlaskapiError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    os.execvp(command[0], command)  # noqa: S606 without a shell, on purpose


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
