"""`autorl tasks list | show | check | generate`."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autorl.cli.output import Json, give, say

if TYPE_CHECKING:
    from autorl.types import Task

app = typer.Typer(no_args_is_help=True, help="See, check and make task sets. For example: autorl tasks list")

Set = Annotated[str, typer.Argument(help="A task set, such as slides/learn, or a .jsonl file.")]
Skip = Annotated[bool, typer.Option("--skip-wrong", help="Leave out lines that hold no task.")]


@app.command("list")
def list_sets(as_json: Json = False) -> None:
    """Every task set there is. For example: autorl tasks list"""
    from autorl import tasks

    found, made = [tasks.load(name, skip_wrong=True) for name in tasks.names()], tasks.made()
    if as_json:
        files = [{"set": s.name, "path": str(s.path), "wrong": len(s.wrong), **_figures(s.tasks)} for s in found]
        give([*files, *({"set": name, "path": None} for name in made)])
        return
    for s in found:
        wrong = f", {len(s.wrong)} wrong lines" if s.wrong else ""
        say(f"{s.name:<24} {_in_words(_figures(s.tasks))}{wrong}")
    for name in made:
        say(f"{name:<24} made by its tool pack when it is asked for")


@app.command()
def show(name: Set, skip_wrong: Skip = False, as_json: Json = False) -> None:
    """The tasks of a set. For example: autorl tasks show slides/learn"""
    from autorl import tasks

    found = tasks.load(name, skip_wrong=skip_wrong)
    if as_json:
        give([task.model_dump() for task in found.tasks])
        return
    for task in found.tasks:
        say(task.id, style="bold")
        say(f"  {task.text}")
        asked = {key: value for key, value in task.requirements.items() if key not in (tasks.GROUP, tasks.BRIEF)}
        if asked:
            say(f"  {'; '.join(f'{key}: {_plain(value)}' for key, value in asked.items())}", style="dim")
    if found.wrong:
        say(f"Left out: {'; '.join(map(str, found.wrong))}", style="yellow")


@app.command()
def check(
    name: Set,
    apart_from: Annotated[list[str] | None, typer.Option(help="A set that it may share no task with; may be given "
                                                              "again.")] = None,
    as_json: Json = False,
) -> None:
    """Whether a set can be used: its lines, its requirements, and that no task repeats another.

    For example: autorl tasks check slides/learn --apart-from slides/held_out
    """
    from autorl import tasks
    from autorl.bench import leaks

    found = tasks.load(name, skip_wrong=True)
    known = tasks.verifiers()
    problems = [str(wrong) for wrong in found.wrong]
    problems += [f"'{task.id}': {problem}" for task in found.tasks for problem in tasks.misunderstood(task, known)]
    problems += [f"{twin}" for twin in leaks.twins(found.tasks)]
    others = {other: tasks.load(other).tasks for other in apart_from or ()}
    problems += [f"{leak}, which is in {other}" for other, theirs in others.items()
                 for leak in leaks.leaks(((task.id, task.text) for task in found.tasks), theirs)]
    if as_json:
        give({"set": found.name, "path": found.path and str(found.path), **_figures(found.tasks), "problems": problems})
    else:
        say(f"{found.path or found.name}: {_in_words(_figures(found.tasks))}")
        for problem in problems:
            say(f"  {problem}", style="yellow")
        say(f"{len(problems)} problems" if problems else "No problems found.")
    raise typer.Exit(5 if problems else 0)


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="The .jsonl file to write; one that is there is gone on with.")],
    model: Annotated[str | None, typer.Option(help="provider:model; `autorl models list`. [default: local]")] = None,
    base_url: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server, ending in /v1.")] = None,
    kind: Annotated[str, typer.Option(help="Which prompt asks for them (prompts/tasks/KIND.jinja), and which verifier "
                                           "judges them.")] = "slides",
    careers: Annotated[int, typer.Option(min=1, help="How many careers.")] = 50,
    each: Annotated[int, typer.Option(min=1, help="Tasks of each career.")] = 2,
    language: Annotated[list[str] | None, typer.Option(help="Code of a language that every tenth career writes in, in "
                                                            "turn with others; may be given again.")] = None,
    apart_from: Annotated[list[str] | None, typer.Option(help="A set that it may share no task with; may be given "
                                                              "again.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a new set with a model: careers first, then what people of each would ask for.

    For example: autorl tasks generate tasks/mine.jsonl --model openai:gpt-5-mini --careers 20
    """
    from dataclasses import asdict

    from autorl import models, tasks
    from autorl.bench.generate import Plan, generate
    from autorl.errors import UsageError
    from autorl.settings import resolve

    if out.suffix != tasks.SUFFIX:
        raise UsageError(f"'{out}' is no {tasks.SUFFIX} file", f"Name it {out.with_suffix(tasks.SUFFIX)}")
    apart = tuple(task for other in apart_from or () for task in tasks.load(other).tasks)
    chosen = resolve({"model": model, "base_url": base_url})
    plan = Plan(careers=careers, each=each, kind=kind, languages=tuple(language or ()), apart_from=apart, seed=seed)
    try:
        made = generate(out, models.load(chosen.model, base_url=chosen.base_url), plan,
                        lambda line: print(line, file=sys.stderr, flush=True))
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}", "Name another file") from error
    if as_json:
        give({"path": str(out), "planned": careers * each, **asdict(made)})
    else:
        say(f"{out}: {made.tasks} of {careers * each} tasks, {made.new} of them new, from {made.requests} requests")
        for why, count in made.dropped.items():
            say(f"  dropped {count}: {why}", style="yellow")
        if made.tasks < careers * each:
            say("To go on with it, give the same command again; another --seed gives other tasks.")
    raise typer.Exit(0 if made.tasks >= careers * each else 5)


def _figures(tasks_of_set: "tuple[Task, ...]") -> dict[str, Any]:
    from autorl import tasks

    return {"tasks": len(tasks_of_set), "groups": len({tasks.group(task) for task in tasks_of_set}),
            "languages": dict(Counter(tasks.language(task) for task in tasks_of_set))}


def _in_words(figures: dict[str, Any]) -> str:
    languages = ", ".join(f"{count} {code}" for code, count in figures["languages"].items())
    return f"{figures['tasks']} tasks of {figures['groups']} groups ({languages or 'none'})"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
