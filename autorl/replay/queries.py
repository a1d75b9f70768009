"""The store's longer questions, built once: building one takes longer than SQLite takes to answer it."""

import sqlalchemy as sa

from autorl.replay.schema import artifacts, injections, observations, runs, steps, tasks, verdicts
from autorl.types import Status

_run: sa.BindParameter[str] = sa.bindparam("run")
_length = sa.select(sa.func.count()).where(steps.c.run == runs.c.id).scalar_subquery()


def _newest_verdicts() -> sa.Subquery:
    newest = sa.select(sa.func.max(verdicts.c.id)).group_by(verdicts.c.run)
    return sa.select(verdicts).where(verdicts.c.id.in_(newest)).subquery()


NEWEST = _newest_verdicts()
"""The newest verdict of each run."""

_outcome = _newest_verdicts()
_record = (
    sa.select(injections.c.exemplar, sa.func.count().label("shown"),
              sa.func.sum(sa.cast(_outcome.c.passed, sa.Integer)).label("wins"))
    .join(_outcome, _outcome.c.run == injections.c.run).group_by(injections.c.exemplar).subquery()
)

CANDIDATES = (
    sa.select(runs.c.id, runs.c.task, tasks.c.text, runs.c.tools, NEWEST.c.score, _length,
              sa.func.coalesce(_record.c.wins, 0), sa.func.coalesce(_record.c.shown, 0))
    .join(tasks, tasks.c.id == runs.c.task).join(NEWEST, NEWEST.c.run == runs.c.id)
    .outerjoin(_record, _record.c.exemplar == runs.c.id)
    .where(runs.c.status == Status.FINISHED, runs.c.trust == "trusted", NEWEST.c.passed.is_(True))
)
"""Every run that finished, passed and is trusted, with how often it was shown and to what effect."""

SUMMARIES = (
    sa.select(runs.c.id, tasks.c.text, runs.c.status, runs.c.trust, NEWEST.c.passed, NEWEST.c.score, _length,
              runs.c.provenance, runs.c.started)
    .join(tasks, tasks.c.id == runs.c.task).outerjoin(NEWEST, NEWEST.c.run == runs.c.id)
    .order_by(runs.c.started.desc(), runs.c.id.desc())
)

# One run (parameter `run`), table by table.
RUN = sa.select(runs, tasks.c.body.label("task_body")).join(tasks, tasks.c.id == runs.c.task).where(runs.c.id == _run)
STEPS = (
    sa.select(steps.c.body, observations.c.body)
    .outerjoin(observations, sa.and_(observations.c.run == steps.c.run, observations.c.step == steps.c.step))
    .where(steps.c.run == _run).order_by(steps.c.step)
)
INJECTIONS = sa.select(injections).where(injections.c.run == _run).order_by(injections.c.rank)
ARTIFACTS = sa.select(artifacts).where(artifacts.c.run == _run).order_by(artifacts.c.path)
VERDICT = sa.select(verdicts.c.body).where(verdicts.c.run == _run).order_by(verdicts.c.id.desc()).limit(1)
ADD_STEP = steps.insert()
ADD_OBSERVATION = observations.insert()
