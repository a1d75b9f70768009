"""The tables of the replay store. Steps, observations, verdicts and injections are only ever added to."""

from sqlalchemy import (
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
)

HEAD = "0001"
"""The newest migration. Opening a store that has it costs no migration tool."""

metadata = MetaData()

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
    Column("owner", String(128), nullable=False, default=""),  # the process that runs it
    Column("started", String(40), nullable=False),
    Column("seconds", Float, nullable=False, default=0.0),
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
    Column("verifier", String(64), nullable=False),
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
    PrimaryKeyConstraint("run", "rank"),
)

artifacts = Table(
    "artifacts", metadata,
    Column("run", String(64), ForeignKey("runs.id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", Integer, nullable=False),
    PrimaryKeyConstraint("run", "path"),
)

embeddings = Table(
    "embeddings", metadata,
    Column("task", String(64), ForeignKey("tasks.id"), nullable=False),
    Column("model", String(64), nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian, of length 1
    PrimaryKeyConstraint("task", "model"),
)

trust_changes = Table(
    "trust_changes", metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String(64), ForeignKey("runs.id"), nullable=False),
    Column("trust", String(16), nullable=False),
    Column("why", Text, nullable=False),
    Column("who", String(64), nullable=False),
    Column("created", String(40), nullable=False),
)

Index("runs_by_task", runs.c.task)
Index("runs_by_start", runs.c.started)
