"""The tables of the replay store. Steps, observations, verdicts and injections are only ever added to.

What recall asks for (`recallable`, `records`) and what lists show (`runs.passed`, ...) is kept up by the same
transactions that change it (standing.py), so that no question has to read every run.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

HEAD = "0004"
"""The newest migration. Opening a store that has it costs no migration tool."""

metadata = MetaData()
Name = String(64).with_variant(Text, "postgresql")
"""SQLite does not look at lengths, PostgreSQL does."""

tasks = Table(
    "tasks", metadata,
    Column("number", Integer, primary_key=True),  # the row id that the full-text index refers to
    Column("id", String(64), nullable=False, unique=True),
    Column("body", Text, nullable=False),  # the Task, as JSON
    Column("text", Text, nullable=False),
)

runs = Table(
    "runs", metadata,
    Column("id", String(64), primary_key=True),
    Column("task", String(64), ForeignKey("tasks.id"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("answer", Text, nullable=False, default=""),
    Column("trust", String(16), nullable=False, default="trusted"),
    Column("tools", Text, nullable=False, default="[]"),  # names of the tools it called, as JSON
    Column("provenance", Text, nullable=False),
    Column("owner", String(128).with_variant(Text, "postgresql"), nullable=False, default=""),  # its process
    Column("started", String(40), nullable=False),
    Column("seconds", Float, nullable=False, default=0.0),
    # Of its provenance, what is asked for.
    Column("source", Text, nullable=False, default="local"),
    Column("format", Text, nullable=False, default=""),
    Column("model", Text, nullable=False, default=""),
    Column("adapter", Text),
    Column("tools_hash", Text, nullable=False, default=""),
    # Of its newest verdict; null while there is none.
    Column("passed", Boolean),
    Column("score", Float),
    Column("length", Integer, nullable=False, default=0),  # steps, once it has ended
    Column("pruned", String(40)),  # when its steps were deleted
)

steps = Table(
    "steps", metadata,
    Column("run", String(64), ForeignKey("runs.id"), nullable=False),
    Column("step", Integer, nullable=False),
    Column("body", Text, nullable=False),  # the Step without its observation, as JSON
    PrimaryKeyConstraint("run", "step"),
)

observations = Table(
    "observations", metadata,
    Column("run", String(64), nullable=False),
    Column("step", Integer, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("run", "step"),
)

verdicts = Table(
    "verdicts", metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String(64), ForeignKey("runs.id"), nullable=False, index=True),
    Column("verifier", Name, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("score", Float, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", String(40), nullable=False),
)

injections = Table(
    "injections", metadata,
    Column("run", String(64), ForeignKey("runs.id"), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("exemplar", String(64), nullable=False, index=True),  # a run, or a seed of a tool pack
    Column("origin", String(8), nullable=False),
    Column("score", Float, nullable=False),
    Column("style", String(8), nullable=False, default="full"),
    PrimaryKeyConstraint("run", "rank"),
)

artifacts = Table(
    "artifacts", metadata,
    Column("run", String(64), ForeignKey("runs.id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", Integer().with_variant(BigInteger, "postgresql"), nullable=False),
    PrimaryKeyConstraint("run", "path"),
)

embeddings = Table(
    "embeddings", metadata,
    Column("model", Name, nullable=False),
    Column("number", Integer, nullable=False),  # 0, 1, 2, ... of each model
    Column("task", String(64), ForeignKey("tasks.id"), nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian, of length 1
    PrimaryKeyConstraint("model", "number"),
    UniqueConstraint("task", "model"),
)

embedding_blocks = Table(
    "embedding_blocks", metadata,
    Column("model", Name, nullable=False),
    Column("block", Integer, nullable=False),
    Column("vectors", LargeBinary, nullable=False),  # as `meaning.pack` makes it
    PrimaryKeyConstraint("model", "block"),
)
"""The vectors again, small and many to a row, so that a process has them all soon after it started."""

embedders = Table(
    "embedders", metadata,
    Column("model", Name, primary_key=True),
    Column("dimensions", Integer, nullable=False),
    Column("upto", Integer, nullable=False),  # tasks up to this number have their vector
)

trust_changes = Table(
    "trust_changes", metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String(64), ForeignKey("runs.id"), nullable=False),
    Column("trust", String(16), nullable=False),
    Column("why", Text, nullable=False),
    Column("who", Name, nullable=False),
    Column("created", String(40), nullable=False),
)

Index("runs_by_task", runs.c.task)
Index("runs_by_start", runs.c.started)
Index("runs_by_status", runs.c.status, runs.c.passed, runs.c.trust)
Index("runs_by_verdict", runs.c.passed, runs.c.started)
Index("runs_by_source", runs.c.source)

toolsets = Table(
    "toolsets", metadata,
    Column("number", Integer, primary_key=True),
    Column("names", Text, nullable=False, unique=True),  # as in runs.tools
)

recallable = Table(
    "recallable", metadata,
    Column("number", Integer, primary_key=True),  # rises with every entry, and is never given twice
    Column("run", String(64), ForeignKey("runs.id"), nullable=False, unique=True),
    Column("task", String(64), ForeignKey("tasks.id"), nullable=False),
    Column("toolset", Integer, ForeignKey("toolsets.number"), nullable=False),
    Column("score", Float, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("source", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""The runs that finished, passed and are trusted, within the cap of their source."""
Index("recallable_by_task", recallable.c.task, recallable.c.toolset, recallable.c.score)
Index("recallable_by_source", recallable.c.source)
Index("recallable_by_toolset", recallable.c.toolset, recallable.c.number)

records = Table(
    "records", metadata,
    Column("exemplar", String(64), primary_key=True),  # a run, or a seed of a tool pack
    Column("wins", Integer, nullable=False),
    Column("shown", Integer, nullable=False),
    Column("expected", Float, nullable=False, default=0.0),  # wins that their tasks had let expect without it
    Column("strict", Integer, nullable=False, default=0),  # how many of them a strict verifier judged
)
"""Of the judged runs that were shown an exemplar: how many there are, and how many of them passed."""

sources = Table(
    "sources", metadata,
    Column("name", Text, primary_key=True),
    Column("cap", Integer),  # recallable runs at most; null for no cap
)

policies = Table(
    "policies", metadata,
    Column("id", Name, primary_key=True),
    Column("base", Text, nullable=False),
    Column("adapter", Text),  # hash of its weights
    Column("parent", Text),
    Column("dataset", Text, nullable=False, default=""),  # hash of the snapshot it was trained on
    Column("gate", Text),  # the gate's result, as JSON
    Column("created", String(40), nullable=False),
    Column("deleted", String(40)),  # when its files were
)

policy_runs = Table(
    "policy_runs", metadata,
    Column("policy", Name, ForeignKey("policies.id"), nullable=False),
    Column("run", String(64), ForeignKey("runs.id"), nullable=False, index=True),
    PrimaryKeyConstraint("policy", "run"),
)

promotions = Table(
    "promotions", metadata,
    Column("id", Integer, primary_key=True),
    Column("base", Text, nullable=False),
    Column("policy", Name, ForeignKey("policies.id")),  # null for the base as it is
    Column("undoes", Boolean, nullable=False),  # it went back to what was promoted before
    Column("why", Text, nullable=False),
    Column("who", Name, nullable=False),
    Column("created", String(40), nullable=False),
)
"""Which policy stands for its base: the last row of a base says it, the others how it came to that."""
