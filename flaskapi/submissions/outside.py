"""Large images outside the database, so that there is neither a row without its image nor an image
without its row, whenever a process is killed.

| step | what is noted in `outside` | killed after it |
|---|---|---|
| a name is noted | it is being written | housekeeping erases what is there an hour later |
| the image is written under it | the same | the same |
| its row is written, in one transaction | nothing | it is kept |
| the row is erased, in one transaction | it is being erased | housekeeping erases the image |
| the image is erased | the same | the same |
| the note is removed | nothing | it is erased |

So nothing has to be listed to find what is left over, and databases may share a place.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.pictures import Pictures, new_name
from flaskapi.submissions.tables import images, outside, submissions

GRACE = timedelta(hours=1)  # in which what was written has its row, or never has
_TOGETHER = 50


def stage(store: Store, kept: Sequence[Submission]) -> list[Submission]:
    """Write large images, before their rows are.

    Returns:
        The submissions, each that is large with the name of its image.

    Raises:
        StoreUnavailableError: the place or the database cannot be used.
    """
    pictures = store.pictures
    if pictures is None:
        return list(kept)
    large = {
        hashlib.sha256(one.image).digest(): one.image
        for one in kept
        if one.place is None and len(one.image) > pictures.above_bytes
    }
    if not large:
        return list(kept)
    known = _read_places(store, list(large))
    new = {sha256: new_name() for sha256 in large if sha256 not in known}
    write_noted(store, pictures, [(place, large[sha256]) for sha256, place in new.items()])
    for sha256, place in known.items():
        _mend(store, pictures, place, sha256, large[sha256])
    names = {large[sha256]: place for sha256, place in new.items()}
    return [
        one if one.place is not None else one._replace(place=names.get(one.image)) for one in kept
    ]


def write_noted(store: Store, pictures: Pictures, new: Sequence[tuple[str, bytes]]) -> None:
    """Note names, and write images under them, before a row says that they are there.

    Raises:
        StoreUnavailableError: the place or the database cannot be used.
    """
    if not new:
        return
    now = datetime.now(UTC)
    notes = [{"place": place, "noted_at": now, "erasing": False} for place, _ in new]
    store.run(lambda connection: connection.execute(sa.insert(outside), notes))
    for place, image in new:
        pictures.write(place, image)


def _read_places(store: Store, digests: Sequence[bytes]) -> dict[bytes, str]:
    """Where images lie that have a row already, by their SHA-256."""
    of = images.c
    query = sa.select(of.sha256, of.place).where(of.sha256.in_(digests), of.place.is_not(None))
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    return {row.sha256: row.place for row in rows}


def _mend(store: Store, pictures: Pictures, place: str, sha256: bytes, image: bytes) -> None:
    """Write an image again that was sent again, if it is missing or damaged where its row says."""
    if pictures.read(place) == image:
        return
    name = new_name()
    write_noted(store, pictures, [(name, image)])
    moved = sa.update(images).where(images.c.sha256 == sha256, images.c.place == place)

    def work(connection: sa.Connection) -> None:
        if connection.execute(moved.values(place=name)).rowcount:
            connection.execute(sa.delete(outside).where(outside.c.place == name))
            note_erased(connection, [place])

    store.run(work)


def settle(connection: sa.Connection, kept: Sequence[Submission]) -> None:
    """Remove the notes of images whose rows were written in this transaction. Those of others, as
    of an image that was there already, stay for housekeeping.

    Raises:
        StoreUnavailableError: one was given up meanwhile.
    """
    places = [one.place for one in kept if one.place is not None]
    if not places:
        return
    used = connection.execute(sa.select(images.c.place).where(images.c.place.in_(places)))
    named = used.scalars().all()
    mine = outside.c.place.in_(named), outside.c.erasing == sa.false()
    if connection.execute(sa.delete(outside).where(*mine)).rowcount != len(named):
        raise StoreUnavailableError("An image outside the database was written too slowly.")


def read(store: Store, place: str, sha256: bytes) -> bytes | None:
    """Read an image, and check that it is the one that was sent; None if it is not there.

    Raises:
        StoreUnavailableError: the place cannot be used, or the image there is another.
    """
    if store.pictures is None:
        raise StoreUnavailableError(
            "The image is outside the database, but the setting PICTURES does not say where.",
            public="The image is outside the database, and cannot be read.",
        )
    content = store.pictures.read(place)
    if content is not None and hashlib.sha256(content).digest() != sha256:
        raise StoreUnavailableError(
            f"The image {place} outside the database is damaged.",
            lost=True,
            public="The image is damaged.",
        )
    return content


def note_erased(connection: sa.Connection, places: Sequence[str]) -> None:
    """Note images whose rows are erased in this transaction."""
    now = datetime.now(UTC)
    if places:
        notes = [{"place": place, "noted_at": now, "erasing": True} for place in places]
        connection.execute(sa.insert(outside), notes)


def erase_noted(store: Store, now: datetime | None = None) -> int:
    """Erase images whose rows were erased; and, at housekeeping, those that never had one.

    Args:
        now: when housekeeping is; None: it is not.

    Returns:
        How many there were.

    Raises:
        StoreUnavailableError: the place or the database cannot be used, or an image cannot be
            erased; it stays noted, and others are erased.
    """
    if store.pictures is None:
        return 0
    if now is not None:
        given_up = sa.update(outside).where(
            outside.c.noted_at < now - GRACE, outside.c.erasing == sa.false()
        )
        store.run(lambda connection: connection.execute(given_up.values(erasing=True)), long=True)
    erased, last, failure = 0, "", None
    while names := _read_erasing(store, last):
        last, gone = names[-1], list[str]()
        for name in names:
            try:
                store.pictures.erase(name)
                gone.append(name)
            except StoreUnavailableError as error:  # the others are erased all the same
                failure = error
        done = sa.delete(outside).where(outside.c.place.in_(gone))
        store.run(lambda connection, done=done: connection.execute(done), long=True)  # type: ignore[misc]
        erased += len(gone)
        if failure and not gone:
            break  # the place itself fails, rather than one image
    if failure:
        raise failure
    return erased


def _read_erasing(store: Store, after: str) -> Sequence[str]:
    """Some of the names that are to be erased, in their order."""
    is_next = (outside.c.erasing == sa.true()) & (outside.c.place > after)
    query = sa.select(outside.c.place).where(is_next).order_by(outside.c.place).limit(_TOGETHER)
    return store.run(
        lambda connection: connection.execute(query).scalars().all(), reads=True, long=True
    )


def erase_if_possible(store: Store) -> None:
    """Erase images whose rows were erased; those that cannot be erased now stay noted for
    housekeeping.
    """
    with contextlib.suppress(StoreUnavailableError):
        erase_noted(store)


def read_again(store: Store, place: str, sha256: bytes) -> bytes | None:
    """Read an image of a row as it was a while ago, wherever the image is now; None if it was
    erased meanwhile.

    Raises:
        StoreUnavailableError: it cannot be read; it is `lost` where it is missing or damaged.
    """
    try:
        if (content := read(store, place, sha256)) is not None:
            return content
    except StoreUnavailableError as error:
        if not error.lost:
            raise
    query = sa.select(images.c.place, images.c.content).where(images.c.sha256 == sha256)
    row = store.run(lambda connection: connection.execute(query).one_or_none(), reads=True)
    if row is None or row.place is None:
        return None if row is None else row.content
    content = read(store, row.place, sha256)
    if content is None:
        raise make_missing(row.place)
    return content


def make_missing(place: str | None) -> StoreUnavailableError:
    """The error of an image that is not where its row says."""
    return StoreUnavailableError(
        f"The image {place} outside the database is missing.",
        lost=True,
        public="The image is missing.",
    )


def find_ids(store: Store, sha256: bytes) -> list[UUID]:
    """The submissions that have an image, the oldest first.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    of = submissions.c
    query = sa.select(of.id).where(of.sha256 == sha256).order_by(of.id)
    found = store.run(lambda connection: connection.execute(query).scalars().all(), reads=True)
    return list(found)
