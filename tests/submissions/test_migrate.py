import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fakes import make_submission
from waiting import PATIENCE_S

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions.database import Database
from flaskapi.submissions.listing import get_submission
from flaskapi.submissions.migrate import MIGRATIONS, bring_up_to_date, find_revision, migrate
from flaskapi.submissions.tables import REVISION, metadata

ROOT = Path(__file__).parents[2]
REVISIONS = ["base", *sorted(path.name[:5] for path in (MIGRATIONS / "versions").glob("r*.py"))]
START = """
import sys
from flaskapi.submissions.database import Database
sys.stdin.read(1)
print(Database(sys.argv[1], "process").check()["version"], "alembic" in sys.modules)
"""


def test_the_newest_migration_leaves_the_tables_as_the_code_has_them(
    store: Database, engine: sa.Engine
) -> None:
    store.check()
    with engine.connect() as connection:
        assert (REVISION, REVISIONS[-1]) == (find_revision(connection), REVISION)
        assert [] == compare_metadata(MigrationContext.configure(connection), metadata)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_from_each_revision_and_back_with_data_in_the_tables(
    store: Database, engine: sa.Engine, revision: str
) -> None:
    """Down to `base` everything goes; from any other what it already had is there again."""
    kept = make_submission()
    store.record([kept])
    store.close()
    migrate(engine, revision)
    with engine.connect() as connection:
        assert (None if revision == "base" else revision) == find_revision(connection)
        if revision == "base":
            assert ["alembic_version"] == sa.inspect(connection).get_table_names()
    bring_up_to_date(engine)
    assert (None if revision == "base" else kept) == get_submission(store, kept.id)
    store.record([make_submission()])


@pytest.mark.process
def test_of_several_processes_that_start_at_once_one_makes_the_tables(url: str) -> None:
    command = [sys.executable, "-c", START, url]
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.write("x")
        process.stdin.flush()
    assert [REVISION] * 4 == [
        process.communicate(timeout=3 * PATIENCE_S)[0].split()[0] for process in processes
    ]
    done = subprocess.run(command, input="x", capture_output=True, text=True, cwd=ROOT, check=True)
    assert f"{REVISION} False\n" == done.stdout, (
        "where there is nothing to migrate, Alembic is not loaded"
    )


def test_tables_of_a_newer_version_are_left_alone(store: Database, engine: sa.Engine) -> None:
    store.check()
    store.close()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'r9999'"))
    with pytest.raises(StoreUnavailableError, match="version r9999"):
        store.record([make_submission()])
