"""`autorl replay stats | verify | prune | compact | salvage`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autorl.cli.output import Json, Store, give, open_store, say


def stats(store: Store = None, as_json: Json = False) -> None:
    """What is in the store, in numbers. For example: autorl replay stats"""
    kept = open_store(store)
    found = kept.stats()
    if as_json:
        give({"store": str(kept.where), **found})
        return
    say(f"{kept.where}: {found['bytes']:,} bytes", style="bold")
    for name, value in found.items():
        if name == "sources":
            for source, of in value.items():
                most = "no cap" if of["cap"] is None else f"cap {of['cap']}"
                say(f"  from {source}: {of['runs']} runs, {of['passed']} passed, {of['recallable']} recallable, {most}")
        elif isinstance(value, dict):
            say(f"  {name.replace('_', ' ')}: {', '.join(f'{n:,} {what}' for what, n in value.items()) or 'none'}")
        elif name != "bytes":
            say(f"  {name.replace('_', ' ')}: {value:,}")


def verify(
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest runs to look at.")] = 1000,
    apply: Annotated[bool, typer.Option("--apply", help="Keep the new verdicts.")] = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Verify stored runs with today's verifiers, and show what would change. For example: autorl replay verify"""
    from autorl.content import load_pack
    from autorl.reverify import reverify

    kept = open_store(store)
    reviews = []
    for review in reverify(kept, load_pack, limit=limit):
        reviews.append(review)
        if apply and review.new and review.new != review.old:
            kept.judged(review.run, review.new)
    changed = [review for review in reviews if review.changed]
    skipped = [review for review in reviews if review.skipped]
    if as_json:
        give({"looked_at": len(reviews), "applied": apply, "skipped": {r.run: r.skipped for r in skipped},
              "changed": [{"run": r.run, "old": r.old and r.old.model_dump(), "new": r.new and r.new.model_dump()}
                          for r in changed]})
        return
    for review in changed:
        assert review.new is not None
        was = "not verified" if review.old is None else _said(review.old.passed, review.old.score)
        failing = ", ".join(check.name for check in review.new.checks if not check.passed)
        say(f"{review.run}: {was} -> {_said(review.new.passed, review.new.score)} by {review.new.verifier}"
            f"{f' ({failing})' if failing else ''}  {review.task[:60]}")
    for review in skipped:
        say(f"{review.run}: left as it is, {review.skipped}", style="dim")
    say(f"{len(changed)} of {len(reviews)} finished runs {'were changed' if apply else 'would change'}, "
        f"{len(skipped)} could not be verified."
        + ("" if apply or not changed else " To keep the new verdicts: autorl replay verify --apply"))


def prune(
    older: Annotated[float, typer.Option(min=0, help="Days since a run started.")] = 30,
    unverified: Annotated[bool, typer.Option("--unverified", help="Also finished runs that nobody judged.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it they are only shown.")] = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Delete the steps and files of old failures. Their outcomes stay, for the statistics.

    For example: autorl replay prune --older 30
    """
    from datetime import timedelta

    kept = open_store(store)
    what = kept.prunable(timedelta(days=older), unverified=unverified)
    done = kept.prune(what) if yes else what
    if as_json:
        give({**asdict(done), "deleted": yes})
        return
    for run in done.runs[:20]:
        say(f"  {run}")
    if len(done.runs) > 20:
        say(f"  and {len(done.runs) - 20} more")
    if yes:
        say(f"Deleted {done.steps} steps of {len(done.runs)} runs, and {done.files} files ({done.bytes:,} bytes). "
            "To give their room back: autorl replay compact")
    else:
        say(f"{done.steps} steps of {len(done.runs)} runs would be deleted, with the files that no other run has."
            + (" To do it: autorl replay prune --yes" if done.runs else ""))


def compact(store: Store = None, as_json: Json = False) -> None:
    """Give back the room of what was deleted. For example: autorl replay compact"""
    before, after = open_store(store).compact()
    if as_json:
        give({"bytes_before": before, "bytes_after": after})
    else:
        say(f"{before:,} bytes before, {after:,} bytes after.")


def salvage(
    file: Annotated[Path, typer.Argument(help="The damaged SQLite store; it is only read.")],
    new: Annotated[Path, typer.Argument(help="A new file for what can be read.")],
    as_json: Json = False,
) -> None:
    """Rescue what can be read of a damaged store. For example: autorl replay salvage replay.db rescued.db"""
    from autorl.replay.salvage import salvage as rescue

    saved = rescue(file, new)
    if as_json:
        give(asdict(saved))
        return
    say(f"{saved.runs} runs rescued into {new}, {saved.steps} steps, {saved.verdicts} verdicts.")
    for run, why in saved.lost.items():
        say(f"  {run}: {why}", style="yellow")
    for table, gaps in saved.gaps.items():
        say(f"  in the table {table}, {gaps} places could not be read", style="yellow")
    say(f"If it is what you expect, move {file} away and {new} to its place.")


def _said(passed: bool, score: float) -> str:
    return f"{'passed' if passed else 'not passed'} {score:.2f}"
