"""Images that are sent again under the same idempotency key: they are kept once."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from flaskapi.errors import IdempotencyKeyReusedError
from flaskapi.submissions import Store, Submission
from flaskapi.submissions.inserts import insert
from flaskapi.submissions.tables import idempotency_keys


class KeyedSubmission(NamedTuple):
    """A submission, and its place among the images of a request with an idempotency key."""

    submission: Submission
    place: int  # from 0
    fingerprint: bytes  # 32 bytes, the same if the same image is sent with the same query
    prediction: dict[str, Any]  # the answer, as JSON


class KeyedReceipt(NamedTuple):
    """What is kept under a key and a place, now or since an earlier request."""

    id: UUID
    prediction: dict[str, Any]
    is_new: bool


def record_once(store: Store, digest: bytes, sent: Sequence[KeyedSubmission]) -> list[KeyedReceipt]:
    """Keep submissions that are not kept under the key yet, all in one transaction or none.

    Args:
        store: keeps them.
        digest: 32 bytes that stand for the key and for who sent it.
        sent: at least one, each with another place.

    Returns:
        A receipt for each, in the same order.

    Raises:
        IdempotencyKeyReusedError: another image is kept under the key, or another query.
        StoreUnavailableError: the store cannot be used.
    """
    of = idempotency_keys.c
    query = sa.select(of.place, of.fingerprint, of.submission_id, of.prediction).where(
        of.digest == digest, of.place.in_([one.place for one in sent])
    )

    def work(connection: sa.Connection) -> dict[int, Any]:
        found = {row.place: row for row in connection.execute(query)}
        fresh = [one for one in sent if one.place not in found]
        if any(
            one.place in found and one.fingerprint != found[one.place].fingerprint for one in sent
        ):
            raise IdempotencyKeyReusedError(
                "Another image, or another query, was sent with this Idempotency-Key. Make a new "
                "key for each upload, and use it again only to repeat that upload."
            )
        if fresh:
            kept = [one.submission for one in fresh]
            insert(connection, kept, [hashlib.sha256(one.image).digest() for one in kept])
            rows = [
                {
                    "digest": digest,
                    "place": one.place,
                    "fingerprint": one.fingerprint,
                    "submission_id": one.submission.id,
                    "prediction": one.prediction,
                }
                for one in fresh
            ]
            # Refused where another request with the key was first; then this work is repeated.
            connection.execute(sa.insert(idempotency_keys), rows)
        return found

    store.check()  # that there is room
    found = store.run(work)
    return [
        KeyedReceipt(found[one.place].submission_id, found[one.place].prediction, is_new=False)
        if one.place in found
        else KeyedReceipt(one.submission.id, one.prediction, is_new=True)
        for one in sent
    ]
