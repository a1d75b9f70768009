"""PostgreSQL's full text; provenance and verdicts that lists read; what may be recalled; records, sources, policies"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BATCH = 2_000  # rows that are filled in at a time


def upgrade() -> None:
    for column in (
        sa.Column("source", sa.Text, nullable=False, server_default="local"),
        sa.Column("format", sa.Text, nullable=False, server_default=""),
        sa.Column("model", sa.Text, nullable=False, server_default=""),
        sa.Column("adapter", sa.Text),
        sa.Column("tools_hash", sa.Text, nullable=False, server_default=""),
        sa.Column("passed", sa.Boolean),
        sa.Column("score", sa.Float),
        sa.Column("length", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pruned", sa.String(40)),
    ):
        op.add_column("runs", column)
    op.create_table(
        "toolsets",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("names", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "recallable",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("run", sa.String(64), sa.ForeignKey("runs.id"), nullable=False, unique=True),
        sa.Column("task", sa.String(64), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("toolset", sa.Integer, sa.ForeignKey("toolsets.number"), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "records",
        sa.Column("exemplar", sa.String(64), primary_key=True),
        sa.Column("wins", sa.Integer, nullable=False),
        sa.Column("shown", sa.Integer, nullable=False),
    )
    op.create_table("sources", sa.Column("name", sa.Text, primary_key=True), sa.Column("cap", sa.Integer))
    name = sa.String(64).with_variant(sa.Text, "postgresql")
    op.create_table(
        "policies",
        sa.Column("id", name, primary_key=True),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("adapter", sa.Text),
        sa.Column("parent", sa.Text),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("gate", sa.Text),
        sa.Column("created", sa.String(40), nullable=False),
    )
    op.create_table(
        "policy_runs",
        sa.Column("policy", name, sa.ForeignKey("policies.id"), nullable=False),
        sa.Column("run", sa.String(64), sa.ForeignKey("runs.id"), nullable=False),
        sa.PrimaryKeyConstraint("policy", "run"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _full_text()
        for place in ("runs.owner", "verdicts.verifier", "embeddings.model", "trust_changes.who"):
            op.alter_column(*place.split("."), type_=sa.Text)
        op.execute("CREATE INDEX runs_by_prefix ON runs (id varchar_pattern_ops)")  # for the beginning of an id
    _fill()
    op.create_index("runs_by_status", "runs", ["status", "passed", "trust"])
    op.create_index("runs_by_verdict", "runs", ["passed", "started"])
    op.create_index("runs_by_source", "runs", ["source"])
    op.create_index("recallable_by_task", "recallable", ["task", "toolset", "score"])
    op.create_index("recallable_by_source", "recallable", ["source"])
    op.create_index("ix_policy_runs_run", "policy_runs", ["run"])


def _full_text() -> None:
    # English stems, and no stop words: a search for "and" finds it where there is no other word.
    op.execute("CREATE TEXT SEARCH DICTIONARY autorl_stem (TEMPLATE = snowball, Language = english)")
    op.execute("CREATE TEXT SEARCH CONFIGURATION autorl_words (COPY = english)")
    op.execute("ALTER TEXT SEARCH CONFIGURATION autorl_words ALTER MAPPING FOR asciiword, asciihword, "
               "hword_asciipart, word, hword, hword_part WITH autorl_stem")
    # Longer texts than that fit no tsvector.
    op.execute("ALTER TABLE tasks ADD COLUMN words tsvector "
               "GENERATED ALWAYS AS (to_tsvector('autorl_words', left(text, 100000))) STORED")
    op.execute("CREATE INDEX tasks_by_words ON tasks USING gin (words)")


def _fill() -> None:
    """What the new columns and tables hold of the runs that are there already."""
    connection = op.get_bind()
    newest = "(SELECT {} FROM verdicts WHERE verdicts.run = runs.id ORDER BY verdicts.id DESC LIMIT 1)"
    op.execute(f"UPDATE runs SET passed = {newest.format('passed')}, score = {newest.format('score')}, "
               "length = (SELECT count(*) FROM steps WHERE steps.run = runs.id)")
    runs = sa.table("runs", *(sa.column(name) for name in ("id", "source", "format", "model", "adapter", "tools_hash",
                                                           "provenance")))
    last = ""
    while True:
        rows = connection.execute(sa.select(runs.c.id, runs.c.provenance).where(runs.c.id > last)
                                  .order_by(runs.c.id).limit(_BATCH)).all()
        if not rows:
            break
        last = rows[-1].id
        connection.execute(
            runs.update().where(runs.c.id == sa.bindparam("run")).values(
                {name: sa.bindparam(f"new_{name}") for name in ("source", "format", "model", "adapter", "tools_hash")}),
            [{"run": run, **_provenance(text)} for run, text in rows])
    op.execute("INSERT INTO records (exemplar, wins, shown) SELECT injections.exemplar, "
               "sum(CASE WHEN runs.passed THEN 1 ELSE 0 END), count(*) FROM injections "
               "JOIN runs ON runs.id = injections.run WHERE runs.passed IS NOT NULL GROUP BY injections.exemplar")
    eligible = "status = 'finished' AND trust = 'trusted' AND passed"
    op.execute(f"INSERT INTO toolsets (names) SELECT DISTINCT tools FROM runs WHERE {eligible}")
    op.execute("INSERT INTO recallable (run, task, toolset, score, steps, source) SELECT id, task, number, score, "
               f"length, source FROM runs JOIN toolsets ON names = tools WHERE {eligible} ORDER BY started, id")


def _provenance(text: str) -> dict[str, Any]:
    """What the new columns say; a row that cannot be read keeps their defaults and is told when it is read."""
    try:
        values = json.loads(text)
    except ValueError:
        values = {}
    values = values if isinstance(values, dict) else {}

    def said(name: str, default: str | None) -> str | None:
        value = values.get(name)
        if not isinstance(value, str):
            return default
        return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")

    return {"new_source": said("source", "local"), "new_format": said("format", ""), "new_model": said("model", ""),
            "new_adapter": said("adapter", None), "new_tools_hash": said("tools_hash", "")}
