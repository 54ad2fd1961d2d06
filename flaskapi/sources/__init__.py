"""Many images from files, folders and archives, one after the other; nothing is unpacked to disk.

All input is treated as hostile. Sizes are checked before and during reading, and one member is in
memory at a time. Names are reported, but never opened.
"""

from typing import NamedTuple, Protocol

from flaskapi.errors import FlaskapiError, InvalidRequestError, TooLargeError

_CLUTTER = {".ds_store", "thumbs.db", "desktop.ini"}


class Readable(Protocol):
    """A stream that is read forwards: a file, a pipe, a request's body."""

    def read(self, size: int, /) -> bytes: ...


class Item(NamedTuple):
    """One image of many: its name, and its bytes or the error that it gave."""

    name: str
    content: bytes | FlaskapiError


class Allowance:
    """How many bytes one request or command may read: of one image, and unpacked from all its
    archives together.
    """

    def __init__(self, image_bytes: int, total_bytes: int | None = None) -> None:
        self.image_bytes, self.total_bytes, self._taken = image_bytes, total_bytes, 0

    def take(self, count: int) -> None:
        """Count unpacked bytes.

        Raises:
            TooLargeError: the sum is more than `total_bytes`; None allows any number.
        """
        self._taken += count
        if self.total_bytes is not None and self._taken > self.total_bytes:
            raise TooLargeError(
                f"The request unpacks to more than {self.total_bytes:,} bytes (MAX_BATCH_BYTES); "
                f"the rest was not read."
            )

    def too_large(self) -> TooLargeError:
        """The error for an image of more than `image_bytes`."""
        return TooLargeError(
            f"The image has more than {self.image_bytes:,} bytes, the limit for one image "
            f"(MAX_REQUEST_BYTES)."
        )


def is_clutter(name: str) -> bool:
    """Is this a file that an operating system adds to folders and archives by itself?

    >>> [is_clutter(name) for name in ("scans/Thumbs.db", "__MACOSX/7.png", "scans/7.png")]
    [True, True, False]
    """
    parts = name.lower().split("/")
    return parts[0] == "__macosx" or parts[-1] in _CLUTTER or parts[-1].startswith("._")


def check_name(name: str) -> FlaskapiError | None:
    """Reject the name of an archive's member that leads out of a folder. No member is ever opened
    by its name.

    >>> check_name("scans/7.png")
    >>> print(check_name("../7.png"))
    The member's name, '../7.png', leads out of the archive.
    """
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name:
        return InvalidRequestError("This member of the archive has no valid name.")
    if parts[0] == "" or (len(parts[0]) == 2 and parts[0].endswith(":")):
        return InvalidRequestError(f"The member's name, {name!r}, is absolute.")
    if ".." in parts:
        return InvalidRequestError(f"The member's name, {name!r}, leads out of the archive.")
    return None
