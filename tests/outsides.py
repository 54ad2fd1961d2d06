"""Places outside the database: servers of object stores, what lies in a place, and processes that
are killed while they write there.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fakes import make_submission
from servers import free_port
from waiting import until

from flaskapi.submissions import Submission
from flaskapi.submissions.database import Database
from flaskapi.submissions.outside import GRACE
from flaskapi.submissions.pictures import Pictures
from flaskapi.submissions.tables import images, outside

ROOT = Path(__file__).parents[1]


def later() -> datetime:
    """When what is written now has its row, or never has."""
    return datetime.now(UTC) + GRACE + timedelta(seconds=1)


def large(text: str = "large", **values: Any) -> Submission:
    return make_submission(image=text.encode() * 999, **values)


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The server of the library moto, which speaks S3, with a bucket."""
    port = free_port()
    environ = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with _served("s3fs", ["moto_server", "-H", "127.0.0.1", "-p", str(port)], environ):
        yield "s3://digits"


@contextlib.contextmanager
def gs_server() -> Iterator[str]:
    """The server gcp-storage-emulator, which speaks as Google Cloud Storage does, with a bucket."""
    port = free_port()
    command = ["gcp-storage-emulator", "start", "--in-memory", "--host", "127.0.0.1"]
    environ = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        # Else gcsfs asks the true Google what kind of bucket it is.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
    with _served("gcsfs", [*command, "--port", str(port)], environ):
        yield "gs://digits"


@contextlib.contextmanager
def _served(library: str, command: list[str], environ: dict[str, str]) -> Iterator[None]:
    pytest.importorskip(library, reason=f"{library} is not installed: pip install '.[remote]'")
    program = Path(sys.prefix) / "bin" / command[0]
    if not program.exists():
        reason = f"{command[0]} is not installed: pip install '.[test]'"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    import fsspec

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        server = subprocess.Popen(
            [program, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def make_bucket() -> bool:
            kind = {"s3fs": "s3", "gcsfs": "gs"}[library]
            try:
                fsspec.filesystem(kind, skip_instance_cache=True).mkdir("digits")
            except Exception:  # it does not listen yet
                return False
            return True

        try:
            until(make_bucket, 120, every_s=0.5)
            yield
        finally:
            server.kill()
            server.wait()


def names_in(place: str) -> set[str]:
    """The names of all that lies in a place."""
    if "://" not in place:
        root = Path(place)
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    import fsspec

    options = {"skip_instance_cache": True, "use_listings_cache": False}
    files, root = fsspec.url_to_fs(place, **options)
    return {path.removeprefix(f"{root}/") for path in files.find(root)}


def rows_of(store: Database) -> dict[str, bytes]:
    """The images that the database has outside: their names and SHA-256."""
    query = sa.select(images.c.place, images.c.sha256).where(images.c.place.is_not(None))
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    return {row.place: row.sha256 for row in rows}


def count_notes(store: Database) -> int:
    query = sa.select(sa.func.count()).select_from(outside)
    return store.run(lambda connection: connection.execute(query).scalar_one(), reads=True)


def die_at(deadly: int) -> Callable[[], int]:
    """Let this process be killed at a step: before or after each write of the database and each of
    the place. Gives what counts the steps.
    """
    step = 0

    def die_around(kind: Any, name: str) -> None:
        do = getattr(kind, name)

        def step_by_step(self: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal step
            if options.get("reads"):
                return do(self, *arguments, **options)
            for when in (0, 1):
                step += 1
                if step == deadly:
                    os.kill(os.getpid(), signal.SIGKILL)
                if when == 0:
                    done = do(self, *arguments, **options)
            return done

        setattr(kind, name, step_by_step)

    for kind, name in ((Database, "run"), (Pictures, "write"), (Pictures, "erase")):
        die_around(kind, name)
    return lambda: step
