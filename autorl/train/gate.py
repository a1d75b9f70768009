"""The gate: whether a new policy may take the place of an old one, from rollouts on the same tasks and seeds."""

from collections.abc import Callable, Mapping, Sequence
from math import comb
from typing import Any

from autorl import tasks as task_sets
from autorl.bench import leaks
from autorl.bench.ledger import Episode
from autorl.bench.spec import Setting, Spec, Split, Tasks
from autorl.bench.statistics import FEWEST, Estimate, Runs, difference
from autorl.errors import UsageError
from autorl.models.base import Model
from autorl.models.local import split
from autorl.replay.store import ReplayStore
from autorl.settings import Settings, home
from autorl.train import measure
from autorl.train.measure import Watch
from autorl.types import Task, Value

EQUAL = 0.05
"""Share of the runs by which fewer may pass, at the lower end of the interval, for two policies to count as equal."""
WORSE, ALARM = 0.1, 0.05
"""A group of tasks got clearly worse if its mean fell by so much, and a sign test finds so small a chance of that."""
FORGOT = 1.25
"""The factor by which the perplexity on neutral texts may rise."""


class Ruling(Value):
    """What the gate said, and on what grounds.

    compared: of success, score and written tokens: what `old` and `new` gave, `by` how much new is above, its 95 %
        interval, and what that `says`
    worse: groups of tasks that got clearly worse; forgot: by what factor the perplexity rose, None where not measured
    """

    passed: bool
    why: str
    old: str
    new: str
    tasks: int
    seeds: tuple[int, ...]
    compared: dict[str, dict[str, Any]]
    worse: tuple[str, ...] = ()
    forgot: float | None = None
    perplexity: tuple[float, float] | None = None


def decide(old: Sequence[Episode], new: Sequence[Episode], group: Callable[[str], str], *,
           elsewhere: tuple[Sequence[Episode], Sequence[Episode]] = ((), ()),
           forgot: Estimate | None = None) -> tuple[bool, str, tuple[str, ...]]:
    """Whether `new` may take the place of `old`, why, and the groups of tasks that got clearly worse.

    group: of a task's id; elsewhere: episodes of both on tasks of other kinds, where new need not be better, but not
        clearly worse either; forgot: by what factor the perplexity on neutral texts rose
    New has to be better: more of its runs pass, or not fewer with a higher score, each with an interval above zero; or
    as good and shorter, where something passes: to fail sooner is no gain. Whatever it gained, it does not pass if a
    group got clearly worse, or if it forgot.
    """
    success, score, tokens = (_by(old, new, of) for of in (_passed, _score, _tokens))
    groups = _groups([*old, *elsewhere[0]], [*new, *elsewhere[1]], group)
    worse = tuple(sorted(name for name, pairs in groups.items() if _clearly_worse(pairs)))
    if success is None or success.n < FEWEST:
        return False, f"too few tasks to tell: {success.n if success else 0}, and it takes {FEWEST}", worse
    if worse:
        return False, f"these tasks got clearly worse: {', '.join(worse)}", worse
    if forgot is not None and forgot.value > FORGOT:
        return False, f"it forgot: neutral texts surprise it {forgot.value:.2f} times as much (at most {FORGOT})", worse
    if success.says == "less":
        return False, f"fewer of its runs pass: {_told(success)}", worse
    if score is not None and score.says == "less":
        return False, f"its runs score lower: {_told(score)}", worse
    if success.says == "more":
        return True, f"more of its runs pass: {_told(success)}", worse
    if score is not None and score.says == "more" and success.value >= 0:
        return True, f"its runs score higher: {_told(score)}", worse
    equal = success.low is not None and success.low >= -EQUAL and any(episode.verified for episode in new)
    if equal and tokens is not None and tokens.says == "less":
        return True, f"it is as good and writes less: {_told(tokens)} tokens a run", worse
    return False, f"no difference shown: {_told(success)} of its runs pass", worse


def gate(store: ReplayStore, old: str, new: str, tasks: Sequence[Task], *, chosen: Settings,
         also: Mapping[tuple[str, ...], Sequence[Task]] | None = None, seeds: Sequence[int] = (0, 1, 2),
         texts: Sequence[str] | None = None, concurrency: int = 1, given: Mapping[str, Model] | None = None,
         watch: Watch | None = None) -> Ruling:
    """Play both policies on `tasks` with the same seeds, and rule whether `new` may take the place of `old`.

    old, new: models by name, such as `local` and `local+policy@7f3a`; chosen: how they are asked (with replay, from
        `store`); also: tasks of other kinds, by their tools, which new must not do clearly worse
    texts: to see what was forgotten on, the neutral ones when None
    Called again after whatever broke it off, it goes on. The ruling is kept with the policy; nothing is promoted here.
    Raises UsageError for the same policy twice, no tasks, or one that a policy was trained on, by its id or its words;
    and what `measure.play` raises.
    """
    if old == new:
        raise UsageError(f"old and new are both {old}", "Name two policies: autorl policies list")
    if not tasks:
        raise UsageError("there is no task to compare the policies on", "Name a set of held-out tasks: --tasks")
    every = [*tasks, *(task for others in (also or {}).values() for task in others)]
    trained_on = [run for kept in store.policies() if kept.id in (split(old)[1], split(new)[1]) for run in kept.runs]
    learned = [run.task for run in store.get_all(trained_on).values()]
    leaks.refuse(((task.id, task.text) for task in learned), every, near=leaks.SAME)
    folder = home() / "gates"

    def play(some: Sequence[Task], chosen: Settings) -> list[Episode]:
        spec = Spec(name="gate", models=(old, new), seeds=tuple(seeds), tasks=Tasks(held_out=("given",)),
                    settings={"gate": Setting(chosen=chosen)})
        held_out = Split(learn=(), held_out=tuple(some))
        return measure.play(folder / measure.marks(spec, held_out, given), spec, held_out, memory=store,
                            concurrency=concurrency, given=given, watch=watch)

    episodes = play(tasks, chosen)
    elsewhere = [episode for tools, others in (also or {}).items()
                 for episode in play(others, chosen.model_copy(update={"tools": tools}))]
    texts = measure.neutral() if texts is None else texts
    nats = [measure.surprise(folder, name, texts, given) for name in (old, new)]
    return rule(store, old, new, episodes, every, nats, elsewhere)


def rule(store: ReplayStore, old: str, new: str, episodes: Sequence[Episode], tasks: Sequence[Task],
         nats: Sequence[Runs | None], elsewhere: Sequence[Episode] = ()) -> Ruling:
    """The ruling on these episodes of both, kept with the policy that `new` is.

    tasks: of all episodes, for their groups; elsewhere: episodes on tasks of other kinds
    nats: how little old and new expect each neutral text, where they can tell
    """
    ours, theirs = _of(episodes, old), _of(episodes, new)
    before, after = nats
    forgot = measure.rise(after, before) if before and after else None
    groups = {task.id: task_sets.group(task) for task in tasks}
    passed, why, worse = decide(ours, theirs, lambda task: groups[task], forgot=forgot,
                                elsewhere=(_of(elsewhere, old), _of(elsewhere, new)))
    ruling = Ruling(
        passed=passed, why=why, old=old, new=new, tasks=len({episode.cell.task for episode in theirs}),
        seeds=tuple(sorted({episode.cell.seed for episode in theirs})), worse=worse,
        compared={name: _compared(ours, theirs, of) for name, of in _MEASURES.items()},
        forgot=forgot.value if forgot else None,
        perplexity=(measure.perplexity(before), measure.perplexity(after)) if before and after else None)
    policy = split(new)[1]
    if policy and any(kept.id == policy for kept in store.policies()):
        store.judge_policy(policy, ruling.model_dump_json())
    return ruling


def _of(episodes: Sequence[Episode], model: str) -> list[Episode]:
    return [episode for episode in episodes if episode.cell.model == model]


Measure = Callable[[Episode], float | None]


def _passed(episode: Episode) -> float:
    return float(episode.verified)


def _score(episode: Episode) -> float | None:
    return episode.score


def _tokens(episode: Episode) -> float:
    return float(episode.usage.completion_tokens)


_MEASURES: dict[str, Measure] = {"success": _passed, "score": _score, "tokens": _tokens}


def _runs(episodes: Sequence[Episode], of: Measure) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for episode in episodes:
        value = of(episode)
        if value is not None:
            found.setdefault(episode.cell.task, []).append(value)
    return found


def _by(old: Sequence[Episode], new: Sequence[Episode], of: Measure) -> Estimate | None:
    return difference(_runs(new, of), _runs(old, of))


def _groups(old: Sequence[Episode], new: Sequence[Episode], group: Callable[[str], str]
            ) -> dict[str, list[tuple[Episode, Episode]]]:
    """The episodes of the same task and seed, by group."""
    before = {(episode.cell.task, episode.cell.seed): episode for episode in old}
    found: dict[str, list[tuple[Episode, Episode]]] = {}
    for episode in new:
        if other := before.get((episode.cell.task, episode.cell.seed)):
            found.setdefault(group(episode.cell.task), []).append((other, episode))
    return found


def _clearly_worse(pairs: Sequence[tuple[Episode, Episode]]) -> bool:
    """By a one-sided sign test (Dixon and Mood 1946), of what passed and of the score; it takes five pairs or more."""
    for of in (_passed, _score):
        fell = [before - after for one, other in pairs
                if (before := of(one)) is not None and (after := of(other)) is not None]
        losses, differ = sum(drop > 0 for drop in fell), sum(drop != 0 for drop in fell)
        chance = sum(comb(differ, count) for count in range(losses, differ + 1)) / 2**differ
        if fell and sum(fell) / len(fell) >= WORSE and chance <= ALARM:
            return True
    return False


def _compared(old: Sequence[Episode], new: Sequence[Episode], of: Measure) -> dict[str, Any]:
    by = _by(old, new, of)
    if by is None:
        return {}
    means = [sum(sum(values) / len(values) for values in runs.values()) / len(runs)
             for runs in (_runs(old, of), _runs(new, of))]
    return {"old": means[0], "new": means[1], "by": by.value, "low": by.low, "high": by.high, "says": by.says}


def _told(by: Estimate) -> str:
    interval = "" if by.low is None or by.high is None else f" ({by.low:+.2f} to {by.high:+.2f})"
    return f"{by.value:+.2f}{interval}"
