"""A million submissions over a month: how long statistics, pages and erasing the oldest day take,
on SQLite and on PostgreSQL.
"""

import itertools
import json
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from flaskapi.submissions.database import Database
from flaskapi.submissions.erasing import erase_before
from flaskapi.submissions.listing import Filters, find_page
from flaskapi.submissions.statistics import count_days
from flaskapi.submissions.tables import submissions
from tests.databases import Postgres, why_no_postgres
from tests.fakes import draw_digit, encode

ROWS, DAYS = 1_000_000, 30
# Which took the old one's place at two thirds of the time.
OLD, NEW = ("2026-09-30-0a1b2c3d", "2026-11-22-087f17e4")
SEEN = 1000  # different pictures as the network sees them; each row has an image of its own
PICTURE = encode(draw_digit(7, side=28))
COLUMNS = [column.name for column in submissions.c]
KINDS = (
    "uuid timestamptz bytea varchar uuid varchar float8 bool varchar json "
    "bytea json json float8 float8 float8 float8 varchar varchar"
)
BOX = {
    "digit": 5,
    "confidence": 0.999,
    "uncertain": False,
    "box": {"x": 12, "y": 8, "width": 31, "height": 54},
}
PAGE = 50
Row = tuple[Any, ...]


def main(rows: int = ROWS) -> None:
    """Make the rows in both databases, and print how long each page and the statistics of the month
    take.
    """
    if missing := why_no_postgres():
        sys.exit(f"error: {missing}")
    folder = Path(tempfile.mkdtemp(prefix="flaskapi-bench-"))
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    postgres = Postgres(folder / "postgres")
    try:
        now = datetime.now(UTC)
        urls = {
            "SQLite": f"sqlite:///{folder}/submissions.db",
            "PostgreSQL": postgres.make_database(),
        }
        print(f"{rows:,} submissions over {DAYS} days; ms")
        for name, url in urls.items():
            began_s = time.monotonic()
            (_fill_sqlite if name == "SQLite" else _fill_postgresql)(url, rows, now)
            print(f"\n{name}: made in {time.monotonic() - began_s:.0f} s", flush=True)
            _measure(Database(url, "process"), now)
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def _measure(store: Database, now: datetime) -> None:
    until = now.date() + timedelta(days=1)
    for state in (
        "none of its days counted before",
        "its days counted before",
        "the same again",
        "and once more",
    ):
        took_ms, _ = _time(lambda: count_days(store, until - timedelta(days=DAYS + 1), until, now))
        print(f"{took_ms:9.0f}  statistics of the month, {state}", flush=True)
    today_ms, _ = _time(lambda: count_days(store, now.date(), until, now))
    print(f"{today_ms:9.0f}  the day that runs alone, {now:%H:%M}")
    pages = []
    for filters in _every_filter(now):
        took_ms, page = min(
            (_time(partial(find_page, store, filters, PAGE)) for _ in range(3)),
            key=lambda pair: pair[0],
        )
        pages.append((took_ms, filters, len(page.rows)))
    alone = [page for page in pages if sum(value is not None for value in page[1]) < 2]
    for title, some in (("no filter, or one", alone), ("all combinations", pages)):
        times = sorted(took_ms for took_ms, _, _ in some)
        over = sum(took_ms > 50 for took_ms in times)
        print(
            f"{statistics.median(times):9.1f}  a page, median of {len(times):,}: {title}; slowest "
            f"{times[-1]:.1f}, {over} over 50"
        )
    for took_ms, filters, found in sorted(pages, key=lambda page: -page[0])[:5]:
        given = {name: str(value) for name, value in filters._asdict().items() if value is not None}
        print(f"{took_ms:9.1f}    {found:3} rows of {given}")
    took_ms, erased = _time(lambda: erase_before(store, now - timedelta(days=DAYS - 1)))
    rate = 1000 * erased / took_ms
    print(f"{took_ms:9.0f}  the oldest day is erased: {erased:,} rows, {rate:,.0f} a second")
    store.close()


def _every_filter(now: datetime) -> Iterator[Filters]:
    """Each filter absent, and with values of which there are many, few and none, in every
    combination.
    """
    values = {
        "digit": [None, "3"],
        "label": [None, "4", "none", "any", "missing"],
        "disagreement": [None, True, False],
        "uncertain": [None, True, False],
        "model": [None, OLD, NEW, "2020-01-01-00000000"],
        "route": [None, "/predict", "/predict/number", "/none"],
        "since": [None, now - timedelta(days=3)],
        "until": [None, now - timedelta(days=25)],
    }
    yield from (Filters(*combination) for combination in itertools.product(*values.values()))


def _time(work: Callable[[], Any]) -> tuple[float, Any]:
    began_s = time.perf_counter()
    result = work()
    return 1000 * (time.perf_counter() - began_s), result


def _make_image(number: int) -> Row:
    picture = PICTURE + b"%d" % number
    return sha256(picture).digest(), "image/png", picture


def _make_rows(count: int, now: datetime) -> Iterator[Row]:
    """Submissions, evenly over the days: a tenth are numbers, 2 % uncertain, 5 % labelled, and of
    those 1 in 20 otherwise.
    """
    rng = random.Random(0)
    seen = [rng.randbytes(784) for _ in range(SEEN)]
    probabilities, step = (
        json.dumps([0.0] * 7 + [0.9997, 0.0, 0.0003]),
        timedelta(days=DAYS) / count,
    )
    for number in range(count):
        moment, chance = now - timedelta(days=DAYS) + number * step, rng.random()
        id = UUID(
            int=int(moment.timestamp() * 1000) << 80
            | 0x7 << 76
            | rng.getrandbits(12) << 64
            | 0b10 << 62
            | rng.getrandbits(62)
        )
        is_number, digit = chance < 0.1, rng.randrange(10)
        confidence = round(
            rng.uniform(0.3, 0.95) if rng.random() < 0.02 else rng.uniform(0.95, 1), 4
        )
        answer, label = "5550123" if is_number else str(digit), None
        if rng.random() < 0.05:
            label = answer if rng.random() < 0.95 else rng.choice(["none", str((digit + 1) % 10)])
        traits = (
            [None] * 4
            if is_number
            else [
                rng.gauss(0.135, 0.04),
                rng.gauss(3.6, 0.5),
                rng.uniform(15, 400),
                rng.uniform(30, 250),
            ]
        )
        yield (
            id,
            moment,
            _make_image(number)[0],
            "/predict/number" if is_number else "/predict" if chance < 0.7 else "/predict/batch",
            None,
            answer,
            confidence,
            confidence < 0.95,
            OLD if number < count * 2 / 3 else NEW,
            None if is_number else probabilities,
            None if is_number else seen[number % SEEN],
            '["5550123"]' if is_number else None,
            json.dumps([BOX] * 7) if is_number else None,
            *traits,
            label,
            label and "operator",
        )


def _fill_sqlite(url: str, count: int, now: datetime) -> None:
    _make_tables(url)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA synchronous = OFF")
    connection.executemany(
        "INSERT INTO images (sha256, media_type, content) VALUES (?, ?, ?)",
        map(_make_image, range(count)),
    )
    rows = (
        (row[0].hex, row[1].strftime("%Y-%m-%d %H:%M:%S.%f"), *row[2:])
        for row in _make_rows(count, now)
    )
    connection.executemany(
        f"INSERT INTO submissions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})",
        rows,
    )
    connection.execute(_SHADOWS)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _fill_postgresql(url: str, count: int, now: datetime) -> None:
    _make_tables(url)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy(
            "COPY images (sha256, media_type, content) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["bytea", "varchar", "bytea"])
            for number in range(count):
                copy.write_row(_make_image(number))
        with cursor.copy(
            f"COPY submissions ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
        ) as copy:  # type: ignore[arg-type]
            copy.set_types(KINDS.split())
            for row in _make_rows(count, now):
                copy.write_row(row)
        cursor.execute(_SHADOWS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")  # as autovacuum does after so many rows


# What a candidate answered to one in twenty.
_SHADOWS = (
    "INSERT INTO shadows SELECT id, 'candidate', prediction, confidence FROM submissions "
    "WHERE confidence BETWEEN 0.9700 AND 0.9725"
)


def _make_tables(url: str) -> None:
    store = Database(url, "process")
    store.check()
    store.close()
