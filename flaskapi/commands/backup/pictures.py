"""The images of a backup that lie outside the database."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaskapi.commands.backup.folder import find_files
from flaskapi.errors import FlaskapiError, StoreUnavailableError

if TYPE_CHECKING:
    from flaskapi.submissions.database import Database


def copy_pictures(
    store: "Database", folder: Path, places: Iterable[tuple[str, bytes]]
) -> dict[str, list[Any]]:
    """Copy images outside the database into a folder, which is made if there are any.

    Args:
        places: the name and the SHA-256 of each image that the copy of the database has a row of.

    Returns:
        For the list of the backup: `missing`, the images that are missing or damaged, each with its
        submissions; and `erased`, the SHA-256 of those that were erased since.

    Raises:
        StoreUnavailableError: the place or the database cannot be used.
    """
    from flaskapi.submissions.outside import find_ids, read_again

    missing, erased = list[dict[str, Any]](), list[str]()
    for place, sha256 in places:
        try:
            content = read_again(store, place, sha256)
        except StoreUnavailableError as error:
            if not error.lost:
                raise
            ids = [str(id) for id in find_ids(store, sha256)]
            missing.append({"image": place, "sha256": sha256.hex(), "submissions": ids})
            print(f"error: {error} Submissions: {', '.join(ids)}", file=sys.stderr)
            continue
        if content is None:
            erased.append(sha256.hex())
            continue
        target = folder / place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(target, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
    return {"missing": missing, "erased": erased}


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


def erase_again(store: "Database", digests: Iterable[str]) -> None:
    """Erase submissions whose images were erased while the backup was made.

    Raises:
        StoreUnavailableError: the database cannot be written.
    """
    from flaskapi.submissions.erasing import erase
    from flaskapi.submissions.outside import find_ids

    for digest in digests:
        for id in find_ids(store, bytes.fromhex(digest)):
            erase(store, id)
