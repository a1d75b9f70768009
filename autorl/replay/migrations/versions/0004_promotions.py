"""Which policy is promoted, and which were deleted; files of runs may be larger than 2 GB"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    name = sa.String(64).with_variant(sa.Text, "postgresql")
    op.add_column("policies", sa.Column("deleted", sa.String(40)))
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("policy", name, sa.ForeignKey("policies.id")),
        sa.Column("undoes", sa.Boolean, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("who", name, nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":  # SQLite's integers are as long as they need to be
        op.alter_column("artifacts", "bytes", type_=sa.BigInteger)
