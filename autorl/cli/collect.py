"""`autorl collect`."""

from dataclasses import replace
from typing import Annotated

import typer

from autorl.cli.output import Format, Json, Store, give, open_store, say
from autorl.cli.where import Address, On, executor


def collect(
    tasks: Annotated[str, typer.Argument(help="A task set, such as slides/learn, or a .jsonl file.")],
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Attempts at each task, at most.")] = 8,
    successes: Annotated[int, typer.Option(min=1, help="Successes after which a task is left.")] = 2,
    concurrency: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    model: Annotated[str | None, typer.Option(help="provider:model; `autorl models list`. [default: local]")] = None,
    policy: Annotated[str | None, typer.Option(help="A policy trained on the model; none for the bare model. "
                                                    "[default: the promoted one]")] = None,
    base_url: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server, ending in /v1.")] = None,
    tools: Annotated[list[str] | None, typer.Option(help="A tool pack, NAME or NAME:GROUP; may be given again. "
                                                         "[default: slides]")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Past successes to recall. [default: 2]")] = None,
    format: Format = None,
    temperature: Annotated[float | None, typer.Option(help="Of the first attempt. [default: 0.7]")] = None,
    constrained: Annotated[bool | None, typer.Option(
        "--constrained/--free", help="Whether a grammar holds the model to the format. [default: constrained]",
        show_default=False)] = None,
    max_steps: Annotated[int | None, typer.Option(help="Of a run. [default: 20]")] = None,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    verifier: Annotated[str | None, typer.Option(help="Who decides success: a tool pack's verifier, or one with a bar "
                                                 "of your own, 'slides>=0.2'. [default: the task's]")] = None,
    guided: Annotated[bool, typer.Option("--guided", help="Let the verifier tell, while a run goes on, what leads to "
                                         "success, or when it is spoiled. It has to be one that can.")] = False,
    on: On = "threads",
    address: Address = None,
    skip_wrong: Annotated[bool, typer.Option("--skip-wrong", help="Leave out lines that hold no task.")] = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Attempt every task of a set, several times where need be, and keep the runs. Called again, it goes on.

    For example: autorl collect slides/learn --n 4
    """
    from autorl import settings
    from autorl import tasks as task_sets
    from autorl.agent import Agent
    from autorl.rollout.collect import Plan
    from autorl.rollout.collect import collect as roll_out
    from autorl.train.policies import in_force

    found = task_sets.load(tasks, skip_wrong=skip_wrong)
    wanted = task_sets.judged_by(found.tasks, verifier)
    chosen = settings.resolve({
        "model": model, "policy": policy, "base_url": base_url, "tools": tuple(tools) if tools else None, "k": k,
        "format": format, "temperature": temperature, "constrained": constrained, "max_steps": max_steps,
        "store": store,
    })
    where = executor(on, address, store)
    kept = open_store(store)
    agent = Agent.of(chosen.model_copy(update={"model": in_force(kept, chosen.model, chosen.policy)}), store=kept)
    agent = replace(agent, guided=guided)
    attempts = tokens = 0
    solved: set[str] = set()
    for attempt in roll_out(agent, wanted, Plan(n, successes, seed), concurrency=concurrency, on=where):
        run = attempt.trajectory
        attempts, tokens = attempts + 1, tokens + run.usage.completion_tokens
        solved |= {run.task.id} if run.verified else set()
        if not as_json:
            judged = "not judged" if run.verdict is None else "passed" if run.verified else "not passed"
            score = f" {run.verdict.score:.2f}" if run.verdict else ""
            say(f"{attempts:>5}  {run.id}  attempt {attempt.number + 1} at {attempt.temperature:.2f}  "
                f"{run.status:<13} {judged}{score}  {run.task.text[:60]}")
    ever = kept.attempts([task.id for task in found.tasks], agent.policy.model.name)
    with_one = sum(wins > 0 for _, wins in ever.values())
    if as_json:
        give({"attempts": attempts, "solved": len(solved), "tokens": tokens, "tasks": len(found.tasks),
              "with_success": with_one, "wrong_lines": len(found.wrong)})
        return
    say(f"{attempts} attempts, {tokens:,} tokens written. Of {len(found.tasks)} tasks, {with_one} have a success by "
        f"{agent.policy.model.name} in the store.", style="bold")
    if found.wrong:
        say(f"Left out: {'; '.join(map(str, found.wrong))}", style="yellow")
