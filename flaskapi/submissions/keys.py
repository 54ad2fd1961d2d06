"""Keys: who may predict, label what was sent, or operate the service.

A key is a token of 256 random bits, which is shown once; its SHA-256 is kept. A slow hash, as
passwords need, would win nothing: people choose passwords among few, and whoever has the table can
try those; 2^256 tokens nobody can try, however fast the hash. For the same reason a token may be
looked up by its digest: how long that takes tells something of the digest's first bytes at most,
and nobody can make a token whose digest begins as he wants and then goes on as another's.
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
    """What is known of a key; the token is not."""

    name: str
    created_at: datetime
    used_at: datetime | None  # last, to a minute
    revoked_at: datetime | None
    scopes: str = "operate"  # names of SCOPES, parted by spaces
    expires_at: datetime | None = None
    rate_limit: str | None = None  # of all its requests together, as `60 per minute`

    def opens(self, scope: str) -> bool:
        """Does the key open what needs this scope? `operate` opens everything."""
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
    """Make a key and give its token, which is nowhere else.

    Args:
        name: whose it is.
        scopes: what it opens, of SCOPES.
        expires_at: when it ends to open anything; None: never.
        rate_limit: how often it may be used, as `60 per minute`; None: as other callers.

    Raises:
        ConflictError: there is, or was, a key of that name: labels bear the names of keys, so that
            each is given once.
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
    """Keys in the order of their names, the revoked ones included.

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
    """Let a key open nothing from now on. Tells whether there was one of that name that did."""
    change = (
        sa.update(keys)
        .where(keys.c.name == name, keys.c.revoked_at.is_(None))
        .values(revoked_at=datetime.now(UTC))
    )
    if "\0" in name:  # which PostgreSQL does not take in a text
        return False
    return bool(store.run(lambda connection: connection.execute(change).rowcount))


def find_key(store: Store, token: str) -> Key | None:
    """The key that a token belongs to, unless it was revoked or has expired."""
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
    """Remember that a key was used just now, unless that is remembered of the minute before: a
    request that reads need not write.

    Raises:
        StoreUnavailableError: it cannot be written.
    """
    if key.used_at and now - key.used_at < NOTED_EVERY:
        return
    change = sa.update(keys).where(keys.c.name == key.name).values(used_at=now)
    store.run(lambda connection: connection.execute(change))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
