"""What was sent, kept with its answer. Nothing here knows of networks or HTTP."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from flaskapi.errors import StoreUnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection


T = TypeVar("T")
# What a key opens: predictions; looking at submissions and labelling them; all that there is.
SCOPES = ("predict", "label", "operate")
TOKEN_PREFIX = "flaskapi_"  # noqa: S105 no secret, but the beginning of each: of operators' keys, so that one that was left lying about is known for what it is


class Submission(NamedTuple):
    """An image somebody sent, with its answer; of a digit `probabilities` and `normalized` are
    there, of a number `lines` and `digits`.
    """

    id: UUID
    received_at: datetime  # with its time zone
    image: bytes  # as it was sent
    media_type: str  # what the bytes are, as `image/png`, whatever the sender called them
    route: str  # that it was sent to, as `/predict`
    batch: UUID | None  # the same for all images of one request to `/predict/batch`
    prediction: str  # the digit, or the number
    confidence: float
    uncertain: bool
    model: str  # its version
    probabilities: list[float] | None  # of each digit, 0 to 9
    normalized: bytes | None  # what the network saw, `uint8 (28, 28)` row by row, 255 the ink
    lines: list[str] | None  # of a number
    digits: list[dict[str, Any]] | None  # of a number: digit, confidence, uncertain and box of each
    ink_share: float | None = None  # of a digit; what these four are, `tables.py` says
    stroke_px: float | None = None
    size_px: float | None = None
    contrast: float | None = None
    label: str | None = None  # what a person says it is: a digit, a number, or `none`
    label_source: str | None = None  # `sender` or `operator`


class Store(Protocol):
    """Keeps submissions. Every method raises StoreUnavailableError where it cannot."""

    def record(self, submissions: list[Submission]) -> list[UUID | None]:
        """Keep submissions. When this returns they are committed; their ids are given, or None
        where nothing is to be kept.
        """

    def expect(self) -> AbstractContextManager[None]:
        """Around the work of a request that ends with keeping something: what is kept meanwhile may
        wait a little, to go with it.
        """

    def run(
        self,
        work: "Callable[[Connection], T]",
        *,
        reads: bool = False,
        long: bool = False,
        erases: bool = False,
    ) -> T:
        """Do something with the tables in one transaction, again where another process wrote just
        then.

        Args:
            work: may be called more than once; what it did before is then taken back.
            reads: nothing is written.
            long: it may take seconds, as counting does.
            erases: nothing of what was erased stays readable.
        """

    def check(self) -> dict[str, Any]:
        """See whether submissions can be kept, and say by what: its kind and the version of its
        tables.
        """

    def close(self) -> None:
        """Let go of connections and threads; the next use makes new ones."""


class NoStore:
    """Keeps nothing."""

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
