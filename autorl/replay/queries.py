"""The store's longer questions, built once: building one takes longer than SQLite takes to answer it."""

from typing import Any

import sqlalchemy as sa

from autorl.replay.schema import (
    artifacts,
    embeddings,
    injections,
    observations,
    recallable,
    records,
    runs,
    steps,
    tasks,
    toolsets,
    verdicts,
)
from autorl.types import Status

_some: sa.BindParameter[Any] = sa.bindparam("runs", expanding=True)
_length = sa.select(sa.func.count()).where(steps.c.run == runs.c.id).scalar_subquery()

_record = [sa.func.coalesce(column, 0) for column in (records.c.wins, records.c.shown, records.c.expected,
                                                      records.c.strict)]
_columns = (
    sa.select(recallable.c.run, recallable.c.task, tasks.c.text, toolsets.c.names, recallable.c.score,
              recallable.c.steps, *_record, recallable.c.source)
    .join(tasks, tasks.c.id == recallable.c.task).join(toolsets, toolsets.c.number == recallable.c.toolset)
    .outerjoin(records, records.c.exemplar == recallable.c.run)
)
_better = (recallable.c.score.desc(), recallable.c.steps, recallable.c.run.desc())

CANDIDATES = _columns.order_by(recallable.c.task, *_better)
"""Every run that may be recalled, the best of each task first, with how often it was shown and to what effect."""

_wanted = sa.alias(recallable)
_best = (
    sa.select(_wanted.c.run).where(_wanted.c.task == tasks.c.id, _wanted.c.toolset.in_(sa.bindparam("toolsets",
                                                                                                   expanding=True)))
    .order_by(_wanted.c.score.desc(), _wanted.c.steps, _wanted.c.run.desc()).limit(1)
    .correlate(tasks).scalar_subquery()
)
_last_toolset = sa.select(sa.func.max(toolsets.c.number)).scalar_subquery()
BEST = _columns.add_columns(_last_toolset).where(
    tasks.c.id.in_(sa.bindparam("tasks", expanding=True)), recallable.c.run == _best)
"""The same, of some tasks and some toolsets: one run a task, found by index; and the last of all toolsets."""

SOME = (
    _columns.add_columns(_last_toolset).where(recallable.c.toolset.in_(sa.bindparam("toolsets", expanding=True)),
                   recallable.c.number <= sa.bindparam("last"))
    .order_by(recallable.c.number.desc()).limit(sa.bindparam("limit"))
)
"""Some of them, the newest first; and the last of all toolsets."""

_unfinished = [Status.RUNNING.value, Status.FAILED.value, Status.CANCELLED.value]
CAME_TO_AN_END = (
    sa.select(runs.c.id, runs.c.task, tasks.c.text, runs.c.tools, sa.func.coalesce(runs.c.score, 0.0), runs.c.length,
              *_record, runs.c.source)
    .join(tasks, tasks.c.id == runs.c.task).outerjoin(records, records.c.exemplar == runs.c.id)
    .where(runs.c.task.in_(sa.bindparam("tasks", expanding=True)), runs.c.status.not_in(_unfinished),
           runs.c.trust != "revoked", runs.c.pruned.is_(None))
    .order_by(runs.c.started.desc())
)
"""Every run of some tasks that came to an end, whichever, and whatever was said of it; the newest first."""

_newest = (sa.select(verdicts.c.body).where(verdicts.c.run == runs.c.id).order_by(verdicts.c.id.desc()).limit(1)
           .scalar_subquery())
OUTCOMES = (
    sa.select(runs.c.status, runs.c.passed, _newest)
    .where(runs.c.task.in_(sa.bindparam("tasks", expanding=True)), runs.c.source == "local", runs.c.trust == "trusted",
           sa.or_(runs.c.passed.is_not(None), runs.c.status.not_in([Status.FINISHED.value, Status.RUNNING.value])))
    .order_by(runs.c.started.desc()).limit(sa.bindparam("limit"))
)
"""How the newest runs of some tasks went: status, whether it passed, its newest verdict."""

ATTEMPTS = (
    sa.select(runs.c.task, sa.func.count(), sa.func.coalesce(sa.func.sum(sa.cast(runs.c.passed, sa.Integer)), 0))
    .where(runs.c.task.in_(sa.bindparam("tasks", expanding=True)), runs.c.model == sa.bindparam("model"),
           runs.c.status.not_in(_unfinished))
    .group_by(runs.c.task)
)
"""How many runs of each of some tasks a model brought to an end, and how many of them passed."""

SUMMARIES = (
    sa.select(runs.c.id, tasks.c.text, runs.c.status, runs.c.trust, runs.c.passed, runs.c.score, _length,
              runs.c.source, runs.c.started)
    .join(tasks, tasks.c.id == runs.c.task)
    .order_by(runs.c.started.desc(), runs.c.id.desc())
)

TOOLSETS = sa.select(toolsets.c.number, toolsets.c.names).order_by(toolsets.c.number)
VECTORS = sa.select(embeddings.c.task, embeddings.c.vector).where(
    embeddings.c.model == sa.bindparam("model"), embeddings.c.task.in_(sa.bindparam("tasks", expanding=True)))

# Some runs (parameter `runs`), table by table.
RUNS = sa.select(runs, tasks.c.body.label("task_body"), _newest.label("verdict")).join(
    tasks, tasks.c.id == runs.c.task).where(runs.c.id.in_(_some))
STEPS = (
    sa.select(steps.c.run, steps.c.body, observations.c.body)
    .outerjoin(observations, sa.and_(observations.c.run == steps.c.run, observations.c.step == steps.c.step))
    .where(steps.c.run.in_(_some)).order_by(steps.c.run, steps.c.step)
)
INJECTIONS = sa.select(injections).where(injections.c.run.in_(_some)).order_by(injections.c.run, injections.c.rank)
ARTIFACTS = sa.select(artifacts).where(artifacts.c.run.in_(_some)).order_by(artifacts.c.run, artifacts.c.path)
WHOLE = (RUNS, STEPS, INJECTIONS, ARTIFACTS)
