"""Bring the tables to the revision that this code needs, one process at a time."""

import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.engine import is_busy
from flaskapi.submissions.tables import REVISION

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x666C61736B617069  # "flaskapi": the number of PostgreSQL's advisory lock
_PATIENCE_S = 60  # while another process migrates


def find_revision(connection: sa.Connection) -> str | None:
    """The revision of the existing tables, or None if there are none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def bring_up_to_date(engine: sa.Engine) -> None:
    """Create the tables, or change them, unless they are as this code needs them.

    Raises:
        StoreUnavailableError: they were made by a newer version of this code.
        SQLAlchemyError: the database cannot be read or written.
    """
    if _is_current(engine):
        return
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            migrate(engine)
            return
        except DBAPIError as error:
            if not is_busy(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _is_current(engine: sa.Engine) -> bool:
    try:
        with engine.connect() as connection:
            return (
                connection.execution_options(reads=True)
                .execute(sa.text("SELECT version_num FROM alembic_version"))
                .scalar()
                == REVISION
            )
    except (
        OperationalError,
        ProgrammingError,
    ) as error:  # there are no tables yet, or no connection, which then says so again
        if error.connection_invalidated:
            raise
        return False


def known_revisions() -> list[str]:
    """The revisions that this code knows, the newest first."""
    # Not at the top: once the tables are there, no web process needs it.
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]


def migrate(engine: sa.Engine, revision: str = REVISION) -> None:
    """Migrate up or down to a revision, in one transaction that holds the lock: all of it or
    nothing.

    Raises:
        StoreUnavailableError: this code does not know the revision of the tables.
        SQLAlchemyError: the database cannot be read or written, or is locked.
    """
    # Not at the top: once the tables are there, no web process needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = known_revisions()
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = find_revision(connection)
        if found is not None and found not in known:
            raise StoreUnavailableError(
                f"The store's tables have version {found}, which is newer than this version of the "
                f"service. Update the service."
            )
        config.attributes["connection"] = connection
        if found is not None and (
            revision == "base" or known.index(revision) > known.index(found)
        ):  # the newest comes first
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
