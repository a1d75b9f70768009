"""Numbered embeddings, packed in blocks; what an exemplar was worth; how it was shown"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    name = sa.String(64).with_variant(sa.Text, "postgresql")
    op.add_column("records", sa.Column("expected", sa.Float, nullable=False, server_default="0"))
    op.add_column("records", sa.Column("strict", sa.Integer, nullable=False, server_default="0"))
    # Until now every verdict was strict, and an exemplar was taken to help every other time.
    op.execute("UPDATE records SET expected = 0.5 * shown, strict = shown")
    op.add_column("injections", sa.Column("style", sa.String(8), nullable=False, server_default="full"))
    op.execute("UPDATE injections SET style = 'compact' WHERE run IN "
               """(SELECT id FROM runs WHERE provenance LIKE '%"style":"compact"%')""")
    op.create_table(
        "embedders",
        sa.Column("model", name, primary_key=True),
        sa.Column("dimensions", sa.Integer, nullable=False),
        sa.Column("upto", sa.Integer, nullable=False),
    )
    op.create_table(
        "embedding_blocks",
        sa.Column("model", name, nullable=False),
        sa.Column("block", sa.Integer, nullable=False),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("model", "block"),
    )
    # What a task means is made again from its text, in the background.
    op.drop_table("embeddings")
    op.create_table(
        "embeddings",
        sa.Column("model", name, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("task", sa.String(64), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("model", "number"),
        sa.UniqueConstraint("task", "model"),
    )
    op.create_index("recallable_by_toolset", "recallable", ["toolset", "number"])
