"""The header Idempotency-Key: an upload that is sent again with the same key is kept once.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import contextlib
import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from flask import Request

from flaskapi.contract.headers import IDEMPOTENCY_KEY, UPLOAD
from flaskapi.contract.keeping import Kept, from_plain, to_plain, to_submission
from flaskapi.errors import FlaskapiError, InvalidRequestError
from flaskapi.submissions import Store
from flaskapi.web.access import find_bearer
from flaskapi.web.client import client

if TYPE_CHECKING:
    from flaskapi.submissions.idempotency import KeyedReceipt


class Idempotency(NamedTuple):
    """The key of a request, and what must be the same where it is sent again."""

    digest: bytes  # 32 bytes, of the key, the route, and who sent it
    query: bytes

    def record(
        self,
        store: Store,
        kept: Sequence[Kept],
        route: str,
        batch: UUID | None,
        places: Sequence[int],
    ) -> "list[KeyedReceipt]":
        """Keep images that are not kept under the key yet.

        Args:
            store: keeps them.
            kept: at least one image, with its answer.
            route: such as `/predict`.
            batch: an id that all images of one request share.
            places: of each image in its request, from 0.

        Raises:
            IdempotencyKeyReusedError: another image or query is kept under the key.
            StoreUnavailableError: they cannot be kept.
        """
        # Not at the top: who keeps nothing has no need of a database's libraries.
        from flaskapi.submissions.idempotency import KeyedSubmission, record_once

        sent = [
            KeyedSubmission(
                to_submission(one, route, batch),
                place,
                hashlib.sha256(self.query + hashlib.sha256(one.image).digest()).digest(),
                to_plain(one.prediction),
            )
            for one, place in zip(kept, places, strict=True)
        ]
        return record_once(store, self.digest, sent)


def find_idempotency(request: Request) -> Idempotency | None:
    """The key of a request; None where it has none, as most.

    Raises:
        InvalidRequestError: the header is not of the form that it must have.
    """
    key = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    field = UPLOAD[IDEMPOTENCY_KEY]
    if not re.fullmatch(field.form, key, re.ASCII):
        raise InvalidRequestError(
            f"The header {IDEMPOTENCY_KEY} is {key[:100]!r}; it must be {field.words}."
        )
    digest = hashlib.sha256()
    for part in (_sender(), request.path.encode(), key.strip('"').encode()):
        digest.update(hashlib.sha256(part).digest())
    query = sorted(request.args.items(multi=True))
    return Idempotency(digest.digest(), repr(query).encode())


def answered(kept: Kept, receipt: "KeyedReceipt") -> Kept:
    """The image with the answer that it had when its key was sent first."""
    return kept if receipt.is_new else kept._replace(prediction=from_plain(receipt.prediction))


def _sender() -> bytes:
    """Who has a key is known by it, from wherever; others are known by their address."""
    with contextlib.suppress(FlaskapiError):
        if key := find_bearer():
            return b"key " + key.name.encode()
    return b"address " + client()
