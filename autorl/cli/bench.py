"""`autorl bench list | run | resume | report | rank | judge | export | compare | results`."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autorl.cli import bench_rank
from autorl.cli.bench_rank import Run
from autorl.cli.output import Json, give, on_one_line, say
from autorl.cli.where import Address, On, executor

if TYPE_CHECKING:
    from autorl.bench.progress import Progress
    from autorl.bench.report import Report
    from autorl.bench.spec import Budget
    from autorl.rollout.executor import Executor

app = typer.Typer(no_args_is_help=True, help="Measure whether replay helps. For example: autorl bench run smoke")

app.command()(bench_rank.rank)
app.command()(bench_rank.judge)

EXIT = {"complete": 0, "budget": 3, "interrupted": 5}
_EVERY = 60.0
"""Seconds between two lines about progress where no terminal shows it live."""

Concurrency = Annotated[int, typer.Option(min=1, help="Episodes at a time.")]
Tokens = Annotated[int | None, typer.Option(help="Stop when the run has spent these, prompts and completions.")]
Hours = Annotated[float | None, typer.Option(help="Stop when the run has taken these.")]
Keep = Annotated[bool, typer.Option("--keep", help="When complete, keep its figures and a picture in eval/results.")]


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """The benchmarks there are, and their runs so far. For example: autorl bench list"""
    from autorl.bench import definition, run
    from autorl.errors import UsageError

    defined, broken = {}, {}
    for name in definition.names():
        try:
            defined[name] = definition.load(name)
        except UsageError as error:
            broken[name] = str(error)
    runs = [(folder, run.state(folder)) for folder in run.all_runs()]
    if as_json:
        give({"benchmarks": [{"name": name, "about": one.about, "models": one.models, "settings": list(one.settings),
                              "seeds": one.seeds, "sizes": one.sizes} for name, one in defined.items()],
              "broken": broken,
              "runs": [{"run": folder.name, "folder": str(folder), "status": status, "why": why}
                       for folder, (status, why) in runs]})
        return
    for name, one in defined.items():
        say(f"{name:<20} {one.about or ', '.join(one.settings)}")
    for name, why in broken.items():
        say(f"{name:<20} cannot be run: {why}", style="yellow")
    for folder, (status, why) in runs:
        say(f"run {folder.name:<40} {status}{f': {why}' if why else ''}", style="dim")


@app.command("run")
def run_it(
    name: Annotated[str, typer.Argument(help="A benchmark: eval/NAME.toml.")],
    model: Annotated[list[str] | None, typer.Option(help="Ask this one instead; may be given again.")] = None,
    base_url: Annotated[str | None, typer.Option(help="URL of its server.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Use this seed instead; may be given again.")] = None,
    concurrency: Concurrency = 2,
    tokens: Tokens = None,
    hours: Hours = None,
    skip_wrong: Annotated[bool, typer.Option("--skip-wrong", help="Leave out lines that hold no task.")] = False,
    on: On = "threads",
    address: Address = None,
    keep: Keep = False,
    as_json: Json = False,
) -> None:
    """Run a benchmark from its beginning. For example: autorl bench run smoke --tokens 100000"""
    from autorl.bench import definition, run

    where = executor(on, address)
    chosen = definition.load(name).asked(models=model, base_url=base_url, seeds=seed)
    definition.check(chosen, "the command line")
    folder = run.begin(chosen, definition.read_tasks(chosen, skip_wrong=skip_wrong))
    _go_on(folder, concurrency, _budget(folder, tokens, hours), where, keep, as_json)


@app.command()
def resume(
    run: Run, concurrency: Concurrency = 2, tokens: Tokens = None, hours: Hours = None, on: On = "threads",
    address: Address = None, keep: Keep = False, as_json: Json = False,
) -> None:
    """Go on with a run, however it ended. For example: autorl bench resume smoke"""
    from autorl.bench.run import find

    folder = find(run)
    _go_on(folder, concurrency, _budget(folder, tokens, hours), executor(on, address), keep, as_json)


@app.command()
def report(
    run: Run,
    html: Annotated[Path | None, typer.Option(help="Write the page there, and not beside the run.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown, and write no page.")] = False,
    keep: Keep = False,
    as_json: Json = False,
) -> None:
    """What a run says so far, and a page with its decks and steps. For example: autorl bench report smoke"""
    from autorl.bench import page
    from autorl.bench import report as reports
    from autorl.bench.run import find

    folder = find(run)
    found = reports.of(folder)
    _show(found, keep=keep, markdown=markdown, as_json=as_json)
    if html or not (markdown or as_json):
        target = html or folder / "report.html"
        size = page.write(found, folder, target, watch=on_one_line())
        if not as_json:
            say(f"\nThe page: {target} ({size / 1e6:.1f} MB)")


@app.command()
def export(
    run: Run, folder: Annotated[Path, typer.Argument(help="A new folder for it.")], as_json: Json = False,
) -> None:
    """Write every context as it was asked, and every file made. For example: autorl bench export smoke smoke-data"""
    from autorl.bench import export as exports
    from autorl.bench.run import find

    count = exports.export(find(run), folder)
    if as_json:
        give({"folder": str(folder), "episodes": count})
    else:
        say(f"{count} episodes are in {folder}; {folder / 'manifest.json'} lists them")


@app.command()
def compare(first: Run, second: Run, as_json: Json = False) -> None:
    """What changed from one run to another, paired by task. For example: autorl bench compare smoke-1 smoke-2"""
    from dataclasses import asdict

    from autorl.bench import report as reports
    from autorl.bench.compare import compare as compared
    from autorl.bench.run import find
    from autorl.bench.text import of_comparison

    found = compared(reports.of(find(first)), reports.of(find(second)))
    if as_json:
        give([asdict(each) for each in found])
    else:
        say(of_comparison(found))


@app.command()
def results(as_json: Json = False) -> None:
    """Every kept figure beside its goal, and which fall short. For example: autorl bench results"""
    from autorl.bench import kept

    found = kept.results()
    short = [{"name": one["name"], "figure": figure, **fields} for one in found
             for figure, fields in one["figures"].items()
             if fields.get("goal") and not kept.meets(fields["value"], fields["goal"])]
    if as_json:
        give({"results": found, "short": [f"{each['name']}.{each['figure']}" for each in short]})
        return
    for one in found:
        say(f"{one['name']}  ({one['command']})", style="bold")
        say(kept.show(one["figures"]))
        say()
    goals = sum("goal" in fields for one in found for fields in one["figures"].values())
    say(f"{goals - len(short)} of {goals} goals are met.")
    for each in short:
        say(f"{each['name']}.{each['figure']} falls short: {each.get('reason', 'no reason is kept')}", style="yellow")


def _budget(folder: Path, tokens: int | None, hours: float | None) -> "Budget":
    """What was said on the command line, and else what the definition says."""
    from autorl.bench.run import begun_with

    spec, _ = begun_with(folder)
    given = {name: value for name, value in (("tokens", tokens), ("hours", hours)) if value is not None}
    return spec.budget.model_copy(update=given)


def _go_on(folder: Path, concurrency: int, budget: "Budget", where: "Executor", keep: bool, as_json: bool) -> None:
    from autorl.bench import report as reports
    from autorl.bench import run
    from autorl.errors import AutorlError, SystemRefused

    if not as_json:
        say(f"Run {folder.name} in {folder}", style="dim")
        _tell_load()
    watch = _watch(as_json)
    go_on = f"To go on: autorl bench resume {folder.name}"
    try:
        ending = run.resume(folder, concurrency=concurrency, budget=budget, watch=watch, on=where)
    except (AutorlError, OSError) as error:
        told = SystemRefused.of(error) if isinstance(error, OSError) else error
        told.remedy = f"{told.remedy}. {go_on}" if told.remedy else go_on
        if not as_json:
            say(go_on)
        raise told from error.__cause__
    finally:
        watch(None)
    _show(reports.of(folder), keep=keep and ending.status == "complete", markdown=False, as_json=as_json)
    if not as_json:
        say(f"\nThe same with pictures and steps: autorl bench report {folder.name}", style="dim")
    if ending.status != "complete" and not as_json:
        say(f"\nStopped: {ending.why}. {go_on}", style="yellow")
    raise typer.Exit(EXIT[ending.status])


def _tell_load() -> None:
    """Say if the machine does other things: what is timed suffers, an embedded model most (see `Local`)."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > processors / 2:
        say(f"The machine is at work already: {load:.1f} processes on {processors} processors in the last minute. "
            "Times will not be those of an idle one, and an embedded model may be ten times slower.", style="yellow")


def _show(report: "Report", *, keep: bool, markdown: bool, as_json: bool) -> None:
    from autorl import content
    from autorl.bench import figures, kept, page, text
    from autorl.bench import report as reports

    if keep:
        folder = (content.project() or content.builtin()) / "eval" / "results"
        made = figures.of(report)
        path = kept.keep(report.name, made, f"autorl bench run {report.name} --keep", folder)
        if picture := page.picture(report):
            path.with_suffix(".svg").write_text(picture, encoding="utf-8")
    if as_json:
        give(reports.to_json(report))
        return
    say(text.markdown(report) if markdown else text.plain(report))
    if keep:
        say(f"\n{kept.show(made)}\nKept in {path}")


def _watch(quiet: bool) -> Any:
    """Tells how far a run is, on one line that changes or now and then on a new one; told None, it is done."""
    live = sys.stderr.isatty()
    told = time.monotonic()

    def watch(progress: "Progress | None") -> None:
        nonlocal told
        if progress is None:
            print("\n" * live, end="", file=sys.stderr)
        elif live:
            print(f"\r{progress.line()}\033[K", end="", file=sys.stderr, flush=True)
        elif not quiet and time.monotonic() - told >= _EVERY:
            told = time.monotonic()
            say(progress.line())

    return watch
