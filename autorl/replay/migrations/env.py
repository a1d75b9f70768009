"""Alembic's entry: upgrades the database behind the connection that the store hands over."""

from alembic import context

from autorl.replay.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata,
                  transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
