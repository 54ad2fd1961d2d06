"""Keys: they allow to predict, to label submissions, or to operate the service.

A key is a token of 256 random bits, which is shown once; its SHA-256 is kept. A slow hash, as
passwords need, would have no effect. People choose passwords among few, and a reader of the table
can try those; nobody can try 2^256 tokens, however fast the hash. For the same reason a token may
be looked up by its digest. The time of the look-up tells at most the digest's first bytes, and
nobody can make a token with a digest of his choice.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from flaskapi.errors import ConflictError
from flaskapi.submissions import SCOPES, TOKEN_PREFIX, Store
from flaskapi.submissions.identifiers import new_id
from flaskapi.submissions.tables import keys

NOTED_EVERY = timedelta(minutes=1)
_COLUMNS = (
    keys.c.name,
    keys.c.created_at,
    keys.c.used_at,
    keys.c.revoked_at,
    keys.c.scopes,
    keys.c.expires_at,
    keys.c.rate_limit,
)


class Key(NamedTuple):
    """The stored data of a key. The token is not stored."""

    name: str
    created_at: datetime
    used_at: datetime | None  # last, to a minute
    revoked_at: datetime | None
    scopes: str = "operate"  # names of SCOPES, parted by spaces
    expires_at: datetime | None = None
    rate_limit: str | None = None  # of all its requests together, as `60 per minute`

    def opens(self, scope: str) -> bool:
        """Does the key have this scope? `operate` includes every scope."""
        return bool({scope, "operate"} & set(self.scopes.split()))

    def is_over(self, now: datetime) -> bool:
        """Was it revoked, or has it expired?"""
        return self.revoked_at is not None or (
            self.expires_at is not None and self.expires_at <= now
        )


def make_key(
    store: Store,
    name: str,
    *,
    scopes: Sequence[str] = ("operate",),
    expires_at: datetime | None = None,
    rate_limit: str | None = None,
) -> str:
    """Make a key and return its token, which is stored nowhere.

    Args:
        name: the name of its owner.
        scopes: some of SCOPES.
        expires_at: when it becomes invalid; None: never.
        rate_limit: how often it may be used, as `60 per minute`; None: as callers without a key.

    Raises:
        ConflictError: there is, or was, a key of that name; each name is given once, since labels
            record it.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = {
        "id": new_id(),
        "name": name,
        "digest": _digest(token),
        "created_at": datetime.now(UTC),
        "scopes": " ".join(scope for scope in SCOPES if scope in scopes),
        "expires_at": expires_at,
        "rate_limit": rate_limit,
    }

    def work(connection: sa.Connection) -> None:
        if connection.execute(sa.select(keys.c.id).where(keys.c.name == name)).first():
            raise ConflictError(
                f"There is, or was, a key named {name!r}. Choose another name: labels name it."
            )
        connection.execute(sa.insert(keys), row)

    store.run(work)
    return token


def list_keys(store: Store, *, limit: int | None = None, after: str = "") -> list[Key]:
    """Keys in the order of their names, including revoked ones.

    Args:
        limit: how many at most; None: all.
        after: only those whose names come after this one.
    """
    query = sa.select(*_COLUMNS).where(keys.c.name > after).order_by(keys.c.name).limit(limit)
    return [
        Key(*row)
        for row in store.run(lambda connection: connection.execute(query).all(), reads=True)
    ]


def revoke_key(store: Store, name: str) -> bool:
    """Make a key invalid from now on. Tells whether there was a valid one of that name."""
    change = (
        sa.update(keys)
        .where(keys.c.name == name, keys.c.revoked_at.is_(None))
        .values(revoked_at=datetime.now(UTC))
    )
    if "\0" in name:  # which PostgreSQL does not take in a text
        return False
    return bool(store.run(lambda connection: connection.execute(change).rowcount))


def find_key(store: Store, token: str) -> Key | None:
    """The key of a token, unless it was revoked or has expired."""
    digest = _digest(token)
    query = sa.select(keys.c.digest, *_COLUMNS).where(keys.c.digest == digest)
    row = store.run(lambda connection: connection.execute(query).one_or_none(), reads=True)
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    key = Key(*row[1:])
    return None if key.is_over(datetime.now(UTC)) else key


def any_key(store: Store) -> bool:
    """Was any key ever made?"""
    return store.run(
        lambda connection: connection.execute(sa.select(keys.c.id).limit(1)).first() is not None,
        reads=True,
    )


def note_use(store: Store, key: Key, now: datetime) -> None:
    """Record that a key was used now, unless a use of the last minute is recorded: most requests
    then need not write.

    Raises:
        StoreUnavailableError: it cannot be written.
    """
    if key.used_at and now - key.used_at < NOTED_EVERY:
        return
    change = sa.update(keys).where(keys.c.name == key.name).values(used_at=now)
    store.run(lambda connection: connection.execute(change))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
