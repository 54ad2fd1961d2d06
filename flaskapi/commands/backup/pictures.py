"""The images of a backup that lie outside the database."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flaskapi.commands.backup.folder import find_files
from flaskapi.errors import FlaskapiError

if TYPE_CHECKING:
    from flaskapi.submissions.database import Database


def copy_pictures(store: "Database", folder: Path) -> None:
    """Copy all images outside the database into a folder, which is made if there are any.

    Raises:
        StoreUnavailableError: an image cannot be read.
    """
    from flaskapi.submissions.outside import list_places, read_again

    for place, sha256 in list_places(store):
        content = read_again(store, place, sha256)
        if content is None:  # it was erased meanwhile
            continue
        target = folder / place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(target, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)


def put_back_pictures(store: "Database", folder: Path) -> None:
    """Write the images of a backup where the setting PICTURES says, before their rows.

    Raises:
        FlaskapiError: the setting says nothing.
        StoreUnavailableError: an image cannot be written.
    """
    found = find_files(folder) if folder.is_dir() else []
    if found and store.pictures is None:
        raise FlaskapiError(
            "The backup has images from outside the database. Set PICTURES to the place for them."
        )
    for path in found:
        assert store.pictures is not None
        store.pictures.write(path.relative_to(folder).as_posix(), path.read_bytes())
