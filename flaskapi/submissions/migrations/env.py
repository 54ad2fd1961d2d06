"""What Alembic runs for each command: the migrations, on the connection and in the transaction that
`migrate.py` made.
"""

from alembic import context

from flaskapi.submissions.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
