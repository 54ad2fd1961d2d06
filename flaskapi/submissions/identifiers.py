"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562)."""

import os
import time
from datetime import datetime
from uuid import UUID


def new_id() -> UUID:
    """Make an identifier: 48 bits of milliseconds since 1970, 12 bits of its fraction (section 6.2,
    method 3), 62 random bits.
    """
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (rest_ns << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def first_id(moment: datetime) -> UUID:
    """The least identifier of those made in the millisecond of a moment; all that were made before
    are less; none was before 1970.

    >>> first_id(datetime.fromisoformat("2026-01-01T00:00:00Z"))
    UUID('019b76da-a800-0000-0000-000000000000')
    """
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
