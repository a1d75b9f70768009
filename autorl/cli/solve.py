"""`autorl solve` and `autorl feedback`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autorl.cli.output import Format, Json, Store, console, give, open_store, say, say_checks

if TYPE_CHECKING:
    from autorl.types import Trajectory
    from autorl.verify.reward_model import RewardModel

DONE, UNVERIFIED, LIMIT, OTHER = 0, 1, 3, 5


def solve(
    task: Annotated[str | None, typer.Argument(help="What to do, in your own words.", show_default=False)] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run instead of a new task.")] = None,
    model: Annotated[str | None, typer.Option(help="provider:model; `autorl models list`. [default: local]")] = None,
    policy: Annotated[str | None, typer.Option(help="A policy trained on the model; none for the bare model. "
                                                    "[default: the promoted one]")] = None,
    base_url: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server, ending in /v1.")] = None,
    tools: Annotated[list[str] | None, typer.Option(help="A tool pack, NAME or NAME:GROUP; may be given again. "
                                                         "[default: slides]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to copy what was made to.")] = None,
    read: Annotated[list[Path] | None, typer.Option(help="Folder that tools may read; may be given again.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Past successes to recall. [default: 2]")] = None,
    budget: Annotated[int | None, typer.Option(help="Tokens they may take. [default: 1500]")] = None,
    no_replay: Annotated[bool, typer.Option("--no-replay", help="Recall nothing.")] = False,
    format: Format = None,
    recall: Annotated[str | None, typer.Option(help="Which of them: verified+useful, or, to compare with it, verified, "
                                                    "recent, random, add-all or none. [default: "
                                                    "verified+useful]")] = None,
    exemplars: Annotated[str | None, typer.Option(help="How they are shown: full, compact, or auto for what there is "
                                                       "room for. [default: auto]")] = None,
    failures: Annotated[bool | None, typer.Option("--failures/--no-failures", help="Tell in one line what went wrong "
                                                  "before on tasks like this.", show_default=False)] = None,
    constrained: Annotated[bool | None, typer.Option(
        "--constrained/--free", help="Whether a grammar holds the model to the format. [default: constrained]",
        show_default=False)] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the sampling. [default: 0.7]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the sampling.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Of one completion. [default: 512]")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Of the run. [default: 20]")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Of the run. [default: 600]")] = None,
    verifier: Annotated[str | None, typer.Option(help="Who decides success: a tool pack's verifier, one with a bar of "
                                                 "your own, 'slides>=0.2', or the reward model in a folder, "
                                                 "reward:FOLDER. [default: the tool pack's]")] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Solve a task, verify it, and remember how.

    For example: autorl solve "Make a five-slide deck about honey bees" --out .
    """
    from autorl import settings
    from autorl.agent import Agent
    from autorl.errors import AutorlError, UsageError
    from autorl.registry import nobody
    from autorl.train.policies import in_force
    from autorl.types import Task

    if (task is None) == (resume is None):
        raise UsageError("give either a task or --resume RUN", 'For example: autorl solve "Make a deck about bees"')
    kept = open_store(store)
    given = {
        "model": model, "policy": policy, "base_url": base_url, "tools": tuple(tools) if tools else None,
        "readable": tuple(read) if read else None, "k": 0 if no_replay else k, "budget": budget, "format": format,
        "recall": recall, "exemplars": exemplars, "failures": failures, "constrained": constrained,
        "temperature": temperature, "seed": seed, "store": store,
        "max_tokens": max_tokens, "max_steps": max_steps, "max_seconds": max_seconds,
    }
    # A run goes on as it began, but for what is said anew.
    began = _as_it_began(kept.get(resume)) if resume else {}
    chosen = settings.resolve({**began, **{name: value for name, value in given.items() if value is not None}})
    chosen = chosen.model_copy(update={"model": in_force(kept, chosen.model, chosen.policy)})
    verify = _reward_model(verifier)
    asked = None if task is None else Task.of(task).model_copy(update={"verifier": None if verify else verifier})
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file", "Name a folder")
    watcher = _watcher(quiet=as_json)
    there = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    agent = Agent.of(chosen, store=kept, ask=_ask if there else nobody)
    try:
        done = (agent.solve(asked, verify=verify, watcher=watcher) if asked
                else agent.resume(resume or "", verify=verify, watcher=watcher))
    except (AutorlError, KeyboardInterrupt) as error:
        go_on = f"The run is kept as {watcher.run}. To go on with it: autorl solve --resume {watcher.run}"
        if watcher.run and not as_json:
            say(f"\n{go_on}")
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(OTHER) from error
        if watcher.run and as_json:
            error.remedy = f"{error.remedy}. {go_on}" if error.remedy else go_on
        raise
    if done.verdict is None and done.status == "finished" and sys.stdin.isatty() and not as_json:
        done = _ask_person(agent, done)
    folder = agent.workspace(done.id).root
    files = _copied(done, folder, out) if out else [(folder / a.path, a) for a in done.artifacts]
    if as_json:
        give(_result(done, files))
    else:
        _show_end(done, files)
    raise typer.Exit(_exit_code(done))


def feedback(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    good: Annotated[bool | None, typer.Option("--good/--bad", help="Whether it did what was asked.",
                                              show_default=False)] = None,
    why: Annotated[str, typer.Option(help="Why, in a few words.")] = "",
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say whether a run did what was asked; a good one becomes an example.

    For example: autorl feedback 20260102-1504 --bad --why "the numbers are wrong"
    """
    from autorl.errors import UsageError

    if good is None:
        raise UsageError("say --good or --bad", f"For example: autorl feedback {run} --good")
    kept = open_store(store)
    verdict = kept.feedback(run, good, why)
    found = kept.summary(run)
    if as_json:
        give({"run": found.id, "verified": verdict.passed, "verifier": verdict.verifier, "why": why})
    else:
        say(f"{found.id}: {'a good example now' if good else 'not to be recalled'}.")


def _reward_model(verifier: str | None) -> "RewardModel | None":
    """The one in the folder that `reward:FOLDER` names; None for another name."""
    kind, _, folder = (verifier or "").partition(":")
    if kind != "reward":
        return None
    from autorl.train.reward import open_reward_model

    return open_reward_model(Path(folder).expanduser())


def _as_it_began(run: "Trajectory") -> dict[str, Any]:
    from autorl.models.local import split

    recorded = run.provenance.settings
    same = {name: recorded.get(name) for name in ("temperature", "max_tokens", "constrained", "base_url")}
    tools = recorded.get("tools")
    model, policy = split(run.provenance.model)
    return {**same, "model": model, "policy": policy or "none", "format": run.provenance.format,
            "seed": run.provenance.seed, "tools": tuple(tools) if tools else None}


def _ask(question: str) -> str:
    """Put a tool's question to the person at the terminal."""
    return console().input(f"\n[bold]The agent asks:[/] {question}\n> ").strip() or "None"


def _ask_person(agent: Any, done: "Trajectory") -> "Trajectory":
    say(f"\nAnswer: {done.answer}" if done.answer else "")
    answer = console().input("Keep this as an example? \\[y/N, or why not] ").strip()
    if not answer:
        return done
    passed = answer.lower() in ("y", "yes")
    verdict = agent.store.feedback(done.id, passed, "" if passed or answer.lower() in ("n", "no") else answer)
    return done.model_copy(update={"verdict": verdict})


def _watcher(*, quiet: bool) -> Any:
    """Shows a run as it happens. A class made here, so that `autorl --help` imports nothing of the engine."""
    from autorl.journal import Watcher
    from autorl.types import Observation, Step, Trajectory

    live = sys.stdout.isatty()

    class Live(Watcher):
        run = ""

        def began(self, trajectory: Trajectory) -> None:
            self.run = trajectory.id
            if quiet:
                return
            say(f"Task: {trajectory.task.text}", style="bold")
            say(f"Run {trajectory.id} with {trajectory.provenance.model}, format {trajectory.provenance.format}"
                + (f", resumed at step {len(trajectory.steps) + 1}" if trajectory.steps else ""), style="dim")
            for recalled in trajectory.recalled:
                mark = " (a seed: the store has no success with these tools yet)" if recalled.origin == "seed" else ""
                shown = ", its actions alone" if recalled.style == "compact" else ""
                say(f"Recalled {recalled.run}, likeness {recalled.score:.2f}{shown}{mark}", style="cyan")
            if not trajectory.recalled:
                say("Recalled nothing", style="cyan")
            remembered = trajectory.provenance.recall
            for why, count in (remembered.get("left_out") or {}).items():
                say(f"Left out of recall, {why}: {count}", style="yellow")
            if remembered.get("warning"):
                say(f"Told: {remembered['warning']}", style="cyan")
            say()

        def text(self, piece: str) -> None:
            if live and not quiet:
                console().print(piece, end="", markup=False)

        def decided(self, run: str, step: Step) -> None:
            if quiet:
                return
            say("" if live else step.raw)
            share = step.usage.cached_tokens / step.usage.prompt_tokens if step.usage.prompt_tokens else 0
            notes = [f"step {step.index + 1}", f"{step.usage.completion_tokens} tokens",
                     f"{step.tokens_per_second:.0f} tokens/s", f"{share:.0%} of the prompt from cache"]
            notes += [f"{step.cut} characters after the action ignored"] if step.cut else []
            notes += [f"{len(step.dropped)} exemplars dropped to fit"] if step.dropped else []
            notes += [f"{step.elided} old observations elided to fit"] if step.elided else []
            say(f"  [{', '.join(notes)}]", style="dim")

        def observed(self, run: str, index: int, observation: Observation) -> None:
            if not quiet:
                say(f"Observation: {observation.text}\n", style="" if observation.ok else "yellow")

    return Live()


def _copied(done: "Trajectory", source: Path, target: Path) -> list[tuple[Path, Any]]:
    """Copy what was made to `target`; a file that is there already gets a neighbour, and is not replaced."""
    import shutil

    from autorl.errors import UsageError

    copied = []
    for artifact in done.artifacts:
        path = target / artifact.path
        number = 1
        while path.exists():
            number += 1
            path = (target / artifact.path).with_stem(f"{Path(artifact.path).stem}-{number}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / artifact.path, path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", f"What was made is in {source}") from error
        copied.append((path, artifact))
    return copied


def _result(done: "Trajectory", files: list[tuple[Path, Any]]) -> dict[str, Any]:
    return {
        "run": done.id, "status": done.status, "verified": done.verified,
        "score": done.verdict.score if done.verdict else None,
        "verifier": done.verdict.verifier if done.verdict else None, "steps": len(done.steps),
        "artifacts": [{"path": str(path), "sha256": made.sha256, "bytes": made.bytes} for path, made in files],
        "usage": done.usage.model_dump(), "recalled": [recalled.model_dump() for recalled in done.recalled],
        "policy": done.provenance.model, "seconds": round(done.seconds, 3), "reason": done.reason,
        "answer": done.answer,
    }


def _show_end(done: "Trajectory", files: list[tuple[Path, Any]]) -> None:
    usage = done.usage
    later = [step.usage for step in done.steps[1:]]
    cached = sum(u.cached_tokens for u in later) / max(1, sum(u.prompt_tokens for u in later))
    say(f"{done.status.replace('_', ' ').capitalize()}{f' ({done.reason})' if done.reason else ''}: "
        f"{len(done.steps)} steps, {done.seconds:.1f} s, {usage.completion_tokens} tokens written, "
        f"{usage.prompt_tokens} read ({cached:.0%} of them from cache after the first step)",
        style="bold green" if done.status == "finished" else "bold yellow")
    for path, made in files:
        say(f"Made {path} ({made.bytes:,} bytes)")
    if done.verdict:
        verdict = done.verdict
        said = "passed" if verdict.passed else "not passed"
        say(f"Verified by {verdict.verifier}: {said}, score {verdict.score:.2f}",
            style="green" if verdict.passed else "yellow")
        say_checks(verdict.checks)
        if verdict.why and not verdict.checks:
            say(f"  {verdict.why}")
    else:
        say(f"Not verified. If it is good: autorl feedback {done.id} --good")
    say(f"Kept as {done.id}. To see it again: autorl replay show {done.id}")
    if done.status not in ("finished", "running"):
        say(f"To go on with it: autorl solve --resume {done.id}")


def _exit_code(done: "Trajectory") -> int:
    if done.status == "finished":
        return DONE if done.verified else UNVERIFIED
    return OTHER if done.status in ("failed", "cancelled") else LIMIT
