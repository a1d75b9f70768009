"""`autorl gate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from autorl.cli.output import Format, Json, Store, give, open_store, say

if TYPE_CHECKING:
    from autorl.bench.ledger import Episode
    from autorl.train.gate import Ruling


def gate(
    old: Annotated[str, typer.Argument(help="A policy, none for the bare model, or a model: local, provider:model.")],
    new: Annotated[str, typer.Argument(help="Another one.")],
    tasks: Annotated[str, typer.Option(help="Held-out tasks: a task set or a .jsonl file.")] = "slides/held_out",
    model: Annotated[str, typer.Option(help="The model whose policies they are.")] = "local",
    tools: Annotated[list[str] | None, typer.Option(help="A tool pack, NAME or NAME:GROUP; may be given again. "
                                                         "[default: slides]")] = None,
    also: Annotated[list[str] | None, typer.Option(help="Tasks of another kind that the new policy must not do clearly "
                                                        "worse, as SET=TOOLS; may be given again.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Of the sampling; may be given again. [default: 0, 1, 2]")]
    = None,
    format: Format = None,
    k: Annotated[int, typer.Option("-k", help="Past successes to recall.")] = 0,
    constrained: Annotated[bool, typer.Option(
        "--constrained/--free", help="Whether a grammar holds the policies to the format.")] = False,
    temperature: Annotated[float | None, typer.Option(help="Of the sampling. [default: 0.7]")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Of a run. [default: 20]")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    promote: Annotated[bool, typer.Option("--promote/--no-promote", help="Promote the new one if it passes.")] = True,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Rule whether a new policy is better than an old one, and promote it if it is. Called again, it goes on.

    For example: autorl gate none policy@7f3a --tasks slides/held_out
    """
    from autorl import settings
    from autorl import tasks as task_sets
    from autorl.errors import UsageError
    from autorl.models import PROVIDERS
    from autorl.models.local import split
    from autorl.train.gate import gate as rule
    from autorl.train.policies import in_force
    from autorl.types import Task

    kept = open_store(store)
    names = [each if each.partition("+")[0].partition(":")[0] in PROVIDERS else in_force(kept, model, each)
             for each in (old, new)]
    # Of the user's own settings only what is given here counts: both are to be asked the same, today and tomorrow.
    given = {"tools": tuple(tools) if tools else None, "format": format, "k": k, "constrained": constrained,
             "temperature": temperature, "max_steps": max_steps}
    chosen = settings.Settings.model_validate({name: value for name, value in given.items() if value is not None})
    others: dict[tuple[str, ...], list[Task]] = {}
    for name, _, pack in (each.partition("=") for each in also or ()):
        if not pack:
            raise UsageError(f"--also {name} names no tools", "For example: --also warehouse/w1/test=warehouse:w1")
        others.setdefault((pack,), []).extend(task_sets.load(name).tasks)
    ruling = rule(kept, names[0], names[1], task_sets.load(tasks).tasks, chosen=chosen, also=others,
                  seeds=tuple(seed or (0, 1, 2)), concurrency=concurrency, watch=None if as_json else _watch)
    base, policy = split(ruling.new)
    if ruling.passed and promote and policy:
        kept.promote(base, policy, why=f"the gate, on {tasks}: {ruling.why}", who="autorl gate")
    if as_json:
        give({**ruling.model_dump(mode="json"), "promoted": kept.promoted(base)})
    else:
        _show(ruling, promoted=bool(policy) and kept.promoted(base) == policy)
    raise typer.Exit(0 if ruling.passed else 1)


def _watch(episode: "Episode", done: int, planned: int) -> None:
    score = "" if episode.score is None else f" {episode.score:.2f}"
    say(f"{done:>5}/{planned}  {episode.cell.model:<28} {episode.cell.task[:32]:<32} seed {episode.cell.seed}  "
        f"{episode.status:<13} {'passed' if episode.verified else 'not passed'}{score}")


def _show(ruling: "Ruling", *, promoted: bool) -> None:
    say(f"{ruling.new} against {ruling.old}, on {ruling.tasks} tasks with {len(ruling.seeds)} seeds:", style="bold")
    for name, found in ruling.compared.items():
        if found:
            interval = "" if found["low"] is None else f", 95 % interval {found['low']:+.3f} to {found['high']:+.3f}"
            say(f"  {name}: {found['old']:.3f} -> {found['new']:.3f} ({found['by']:+.3f}{interval}): {found['says']}")
    if ruling.perplexity:
        say(f"  perplexity on neutral texts: {ruling.perplexity[0]:.1f} -> {ruling.perplexity[1]:.1f}")
    else:
        say("  what was forgotten is not known: one of them does not tell how likely it finds a text", style="yellow")
    if ruling.worse:
        say(f"  clearly worse: {', '.join(ruling.worse)}", style="yellow")
    say(f"{'Passed' if ruling.passed else 'Not passed'}: {ruling.why}", style="green" if ruling.passed else "yellow")
    if promoted:
        say(f"{ruling.new} is promoted. To go back: autorl policies rollback")
