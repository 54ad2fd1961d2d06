"""The store: images with their answers and labels. Nothing here knows of networks or HTTP."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from flaskapi.errors import StoreUnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flaskapi.submissions.pictures import Pictures


T = TypeVar("T")
# The scopes of keys: predict; list and label submissions; everything.
SCOPES = ("predict", "label", "operate")
TOKEN_PREFIX = "flaskapi_"  # noqa: S105 no secret, but the beginning of each: of operators' keys, so that one that was left lying about is known for what it is


class Submission(NamedTuple):
    """An image and its answer. A digit has `probabilities` and `normalized`, a number `lines` and
    `digits`.
    """

    id: UUID
    received_at: datetime  # with its time zone
    image: bytes  # as it was sent
    media_type: str  # detected from the bytes, such as `image/png`
    route: str  # such as `/predict`
    batch: UUID | None  # the same for all images of one request to `/predict/batch`
    prediction: str  # the digit, or the number
    confidence: float
    uncertain: bool
    model: str  # its version
    probabilities: list[float] | None  # of each digit, 0 to 9
    normalized: bytes | None  # the network's input, `uint8 (28, 28)` row by row, 255 is ink
    lines: list[str] | None  # of a number
    digits: list[dict[str, Any]] | None  # of a number: digit, confidence, uncertain and box of each
    ink_share: float | None = None  # of a digit; `tables.py` explains these four
    stroke_px: float | None = None
    size_px: float | None = None
    contrast: float | None = None
    label: str | None = None  # a digit, a number, or `none`
    label_source: str | None = None  # `sender` or `operator`
    place: str | None = None  # where its image was written already, until its row is


class Store(Protocol):
    """Keeps submissions. Every method raises StoreUnavailableError if the store cannot be used."""

    @property
    def pictures(self) -> "Pictures | None":
        """Where large images lie; None: in the database."""

    def record(self, submissions: list[Submission]) -> list[UUID | None]:
        """Keep submissions. When this returns they are committed. Gives their ids, or None if
        nothing is to be kept.
        """

    def expect(self) -> AbstractContextManager[None]:
        """Around the work of a request that will keep something: other requests may wait a little
        for it, to share a transaction.
        """

    def run(
        self,
        work: "Callable[[Connection], T]",
        *,
        reads: bool = False,
        long: bool = False,
        erases: bool = False,
    ) -> T:
        """Run `work` in one transaction; repeat it if another process wrote at the same time.

        Args:
            work: may be called more than once; its earlier changes are then rolled back.
            reads: it writes nothing.
            long: it may take seconds, as counting does.
            erases: nothing that it erases may stay readable.
        """

    def check(self) -> dict[str, Any]:
        """Check that submissions can be kept; give the kind of the store and the version of its
        tables.
        """

    def close(self) -> None:
        """Close connections and threads; the next use opens new ones."""


class NoStore:
    """Keeps nothing."""

    pictures = None

    def record(self, submissions: list[Submission]) -> list[UUID | None]:
        return [None] * len(submissions)

    def expect(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self, work: "Callable[[Connection], T]", **_: bool) -> T:
        raise StoreUnavailableError("The service keeps nothing: the setting STORE is off.")

    def check(self) -> dict[str, Any]:
        return {"kind": "none"}

    def close(self) -> None:
        pass
