"""`autorl replay`: list, show and search here; trust and upkeep in files of their own."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from autorl.cli import replay_exchange, replay_trust, replay_upkeep
from autorl.cli.output import Json, Store, give, open_store, say, say_checks

if TYPE_CHECKING:
    from autorl.replay.store import Summary

app = typer.Typer(no_args_is_help=True, help="Look into the store of past runs. For example: autorl replay list")

for command in (replay_trust.trust, replay_trust.revoke, replay_trust.quarantine, replay_trust.cap,
                replay_upkeep.stats, replay_upkeep.verify, replay_upkeep.prune, replay_upkeep.compact,
                replay_upkeep.salvage, replay_exchange.export, replay_exchange.import_):
    app.command()(command)

Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]


@app.command("list")
def list_runs(
    limit: Limit = 20,
    passed: Annotated[bool | None, typer.Option("--passed/--failed", help="Only those that were verified so.",
                                                show_default=False)] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """The newest runs first. For example: autorl replay list --passed"""
    _show_all(open_store(store).newest(limit=limit, passed=passed), as_json)


@app.command()
def search(
    words: Annotated[str, typer.Argument(help="Words of the task.")], limit: Limit = 20, store: Store = None,
    as_json: Json = False,
) -> None:
    """Runs whose tasks hold these words. For example: autorl replay search "honey bees" """
    _show_all(open_store(store).search(words, limit=limit), as_json)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    store: Store = None,
    as_json: Json = False,
) -> None:
    """One run, step by step. For example: autorl replay show 20260102-1504"""
    kept = open_store(store)
    trajectory = kept.get(run)
    summary = kept.summary(run)
    record = kept.record(summary.id)
    changes, policies = kept.trust_changes(summary.id), kept.policies_of(summary.id)
    if as_json:
        give({**trajectory.model_dump(mode="json"), "trust": summary.trust, "policies": policies,
              "trust_changes": [asdict(change) for change in changes], "record": record._asdict()})
        return
    say(f"Task: {trajectory.task.text}", style="bold")
    say(f"Run {trajectory.id}: {trajectory.status}{f' ({trajectory.reason})' if trajectory.reason else ''}, "
        f"{_verdict(summary.passed, summary.score)}, {summary.trust}, {trajectory.seconds:.1f} s, "
        f"{trajectory.usage.completion_tokens} tokens, {trajectory.provenance.model}", style="dim")
    for recalled in trajectory.recalled:
        say(f"Was shown {recalled.run} ({recalled.origin}, likeness {recalled.score:.2f})", style="cyan")
    for change in changes:
        say(f"{change.trust.capitalize()} by {change.who} on {change.created:%Y-%m-%d}: {change.why}", style="yellow")
    if policies:
        say(f"Policies trained on it: {', '.join(policies)}", style="yellow")
    if record.shown:
        say(f"Was shown to {record.shown} runs that were judged, of which {record.wins} passed; without it "
            f"{record.expected:.1f} were to be expected", style="cyan")
    if pruned := kept.pruned(summary.id):
        say(f"Its steps were deleted by `replay prune` on {pruned:%Y-%m-%d}", style="yellow")
    for step in trajectory.steps:
        say(f"\n{step.raw.strip()}")
        if step.observation:
            say(f"Observation: {step.observation.text}", style="" if step.observation.ok else "yellow")
    for artifact in trajectory.artifacts:
        say(f"\nMade {artifact.path} ({artifact.bytes:,} bytes, sha256 {artifact.sha256[:12]}...)")
    if trajectory.verdict:
        verdict = trajectory.verdict
        why = f", {verdict.why}" if verdict.why and not verdict.checks else ""
        say(f"\n{verdict.verifier}: {_verdict(verdict.passed, verdict.score)}{why}")
        say_checks(verdict.checks)


def _show_all(found: "list[Summary]", as_json: bool) -> None:
    if as_json:
        give([asdict(summary) for summary in found])
        return
    for s in found:
        trust = "" if s.trust == "trusted" else f", {s.trust}"
        say(f"{s.id}  {_verdict(s.passed, s.score):<18} {s.status:<13} {s.steps:>3} steps{trust}  {s.task[:90]}")
    if not found:
        say('There is no such run. The first one: autorl solve "Make a five-slide deck about honey bees"')


def _verdict(passed: bool | None, score: float | None) -> str:
    if passed is None or score is None:
        return "not verified"
    return f"{'passed' if passed else 'not passed'} {score:.2f}"
