"""If another user owns a folder, root gives up its rights before it uses the folder. Otherwise a
link or a file of that owner would be followed, changed or run with root's rights.

`python -m flaskapi.privileges FOLDER COMMAND...` runs a command as the owner of a folder.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from flaskapi.errors import FlaskapiError

SERVICE_USER = "www-data"  # the user of Apache's processes


def drop_to_owner(folders: Iterable[Path]) -> None:
    """Become the owner of the first of these folders that root does not own, permanently.

    If a folder is missing, its nearest existing parent counts. Other users than root stay as they
    are.

    Raises:
        FlaskapiError: a folder is root's, and anybody may place files in it.
    """
    if os.geteuid() != 0:
        return
    for folder in folders:
        owner = find_owner(folder)
        if owner is not None:
            become(*owner)
            return


def find_owner(folder: Path) -> tuple[int, int] | None:
    """The user and group who own a folder, or a link to it; None if root does.

    Raises:
        FlaskapiError: anybody may place files in it.
    """
    for path in _nearest(folder.absolute()):
        found = os.lstat(path)
        if found.st_uid != 0:
            return found.st_uid, found.st_gid
        if stat.S_ISDIR(found.st_mode) and found.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == 2:
            raise FlaskapiError(
                f"{path} belongs to root, but anybody may write to it: run this as another user, "
                f"or chmod o-w {path}."
            )
    return None


def _nearest(path: Path) -> list[Path]:
    """The existing part of a path: itself, and its target if it is a link; else its parent."""
    while not os.path.lexists(path):
        path = path.parent
    target = Path(os.path.realpath(path))
    return [path, target] if path.is_symlink() and target.exists() else [path]  # a pipe has no path


def become(uid: int, gid: int) -> None:
    """Become another user, with that user's groups, permanently."""
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
    """Make a folder for a user, by default Apache's. A folder of root, with its content, changes
    its owner.

    Args:
        folder: the folder to make, or to give away.
        owner: the new user and group.

    Raises:
        FlaskapiError: root's folder contains files of others, or there is no such user.
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
                    f"{there} belongs to root, but contains files of others. To let {name} serve: "
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
    user if it is root's, and the others to the owner of the first.
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
