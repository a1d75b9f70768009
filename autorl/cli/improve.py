"""`autorl improve`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from autorl.cli.output import Format, Json, Store, give, open_store, say
from autorl.cli.where import Address, On, executor


def improve(
    tasks: Annotated[str, typer.Argument(help="Tasks to learn from: a task set, such as slides/learn, or a .jsonl "
                                              "file.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds at most; it stops by itself when the gate rules against it "
                                                    "twice in a row.")] = 3,
    held_out: Annotated[str, typer.Option(help="Tasks to measure with.")] = "slides/held_out",
    out: Annotated[Path | None, typer.Option(help="Folder of the loop; with the same again, it goes on. [default: "
                                                  "AUTORL_HOME/loops/TASKS]")] = None,
    model: Annotated[str, typer.Option(help="The model that is trained.")] = "local",
    tools: Annotated[list[str] | None, typer.Option(help="A tool pack, NAME or NAME:GROUP; may be given again. "
                                                         "[default: slides]")] = None,
    format: Format = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Attempts at each task of a round, at most.")] = 4,
    successes: Annotated[int, typer.Option(min=1, help="Successes after which a task is left.")] = 2,
    verifier: Annotated[str | None, typer.Option(help="Who decides success while it collects: a tool pack's "
                                                 "verifier, or one with a bar of your own, 'slides>=0.2'. "
                                                 "[default: the task's]")] = None,
    guided: Annotated[bool, typer.Option("--guided", help="Let the verifier tell, while an attempt goes on, what leads "
                                         "to success, or when it is spoiled. It has to be one that can.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each training, at most. [default: 3]")] = None,
    choose_on: Annotated[int, typer.Option(min=0, help="Learning tasks that choose between the epochs by rollouts; 0 "
                                                       "chooses by the held-out loss.")] = 0,
    seed: Annotated[list[int] | None, typer.Option(help="Of the gate's rollouts; may be given again. "
                                                        "[default: 0, 1, 2]")] = None,
    only_gate: Annotated[bool, typer.Option("--only-gate", help="Measure free-form without replay only, which is what "
                                                                "the gate looks at.")] = False,
    max_steps: Annotated[int | None, typer.Option(help="Of a run. [default: 20]")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    on: On = "threads",
    address: Address = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Collect, verify, train, gate and promote, round after round. Called again, it goes on.

    For example: autorl improve slides/learn --rounds 3
    """
    from autorl import settings
    from autorl import tasks as task_sets
    from autorl.train import improve as loop
    from autorl.train.base import need_torch
    from autorl.train.hyper import Hyper
    from autorl.train.rounds import Plan

    need_torch()
    learn = task_sets.judged_by(task_sets.load(tasks).tasks, verifier)
    given = {"model": model, "tools": tuple(tools) if tools else None, "format": format, "max_steps": max_steps}
    chosen = settings.Settings.model_validate({name: value for name, value in given.items() if value is not None})
    more: dict[str, Any] = {"measured": ()} if only_gate else {}
    plan = Plan(base=model, rounds=rounds, attempts=n, successes=successes, seeds=tuple(seed or (0, 1, 2)),
                choose_on=choose_on, guided=guided, chosen=chosen, **more)
    folder = out or settings.home() / "loops" / tasks.replace("/", "-").removesuffix(".jsonl")
    hyper = Hyper(epochs=epochs) if epochs else Hyper()
    done = loop.improve(
        open_store(store), folder, learn, task_sets.load(held_out).tasks, plan, train=loop.distil(plan, hyper),
        concurrency=concurrency, tell=(lambda _: None) if as_json else say, on=executor(on, address, store))
    if as_json:
        give(done.model_dump(mode="json"))
        return
    for number, ruling in enumerate(done.rulings, 1):
        say(f"Round {number}: {ruling.new} {'passed' if ruling.passed else 'not passed'}, {ruling.why}",
            style="green" if ruling.passed else "yellow")
    say(f"It ended as {done.stopped}. {model} is {done.now} now (before: {done.start}).", style="bold")
    say(f"The curve: {done.page}")
