"""`autorl policies`: what was trained, what came of it, and which policy stands for its model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autorl.cli.output import Json, Store, give, open_store, say

if TYPE_CHECKING:
    from autorl.replay.lineage import Kept

app = typer.Typer(no_args_is_help=True, help="Policies that were trained on runs.")
Name = Annotated[str, typer.Argument(help="The policy's name, or the beginning of it.")]
Base = Annotated[str, typer.Option(help="The model that it was trained on.")]
Who = Annotated[str | None, typer.Option(help="Who says so. [default: the user of this machine]", show_default=False)]


@app.command("list")
def list_(store: Store = None, as_json: Json = False) -> None:
    """Every policy, the newest last; a * marks the promoted one. For example: autorl policies list"""
    from autorl.train import policies

    kept = open_store(store)
    policies.bring(kept)
    known = kept.policies()
    promoted = {base: kept.promoted(base) for base in {policy.base for policy in known}}
    if as_json:
        give([_plain(policy, promoted[policy.base]) for policy in known])
        return
    for policy in known:
        mark = "*" if promoted[policy.base] == policy.id else " "
        notes = [f"{len(policy.runs)} runs", f"parent {policy.parent}" if policy.parent else "", _gate(policy),
                 f"{len(policy.revoked)} of its runs revoked" if policy.revoked else "",
                 "deleted" if policy.deleted else ""]
        say(f"{mark} {policy.id}  {policy.base}  {policy.created:%Y-%m-%d %H:%M}  {', '.join(filter(None, notes))}",
            style="dim" if policy.deleted else "yellow" if policy.revoked else "")
    if not known:
        say("No policy yet. Train one: autorl train sft")


@app.command()
def show(name: Name, store: Store = None, as_json: Json = False) -> None:
    """What a policy came from, how the gate judged it, and whether its files are sound.

    For example: autorl policies show policy@7f3a
    """
    from autorl.train import policies

    kept = open_store(store)
    policy = policies.find(kept, name, deleted=True)
    wrong = [] if policy.deleted else policies.problems(policy.id)
    history = [step for step in kept.promotions(policy.base) if step.policy == policy.id]
    if as_json:
        give({**_plain(policy, kept.promoted(policy.base)), "runs": policy.runs, "problems": wrong,
              "training": policies.training(policy.id), "promotions": [vars(step) for step in history]})
        return
    stands = "promoted" if kept.promoted(policy.base) == policy.id else "not promoted"
    say(f"{policy.id}, of {policy.base}: {f'deleted on {policy.deleted:%Y-%m-%d}' if policy.deleted else stands}",
        style="bold")
    say(f"Made {policy.created:%Y-%m-%d %H:%M} from runs of {policy.parent or 'the bare model'}; adapter "
        f"{(policy.adapter or '')[:16]}, data set {policy.dataset[:16] or 'unknown'}")
    some = f": {', '.join(policy.runs[:5])}{', ...' if len(policy.runs) > 5 else ''}" if policy.runs else ""
    say(f"Trained on {len(policy.runs)} runs of this store{some}")
    if not wrong:  # else its own note of them may be what is damaged
        _tell_elsewhere(policies.elsewhere(policy))
    if policy.revoked:
        say(f"Of these, {len(policy.revoked)} were revoked since: {', '.join(policy.revoked)}", style="yellow")
        say(f"       -> Train it again without them: autorl train sft --again {policy.id}")
    for step in history:
        say(f"{'Gone back to' if step.undoes else 'Promoted'} {step.created:%Y-%m-%d %H:%M} by {step.who}: {step.why}")
    say(f"Gate: {_gate(policy) or 'not asked here'}")
    for problem in wrong:
        say(f"{problem}", style="yellow")
    if wrong:
        say("       -> Make its files again: autorl policies add FOLDER, the one that it was trained to or a copy")


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="The folder that PEFT wrote.")],
    base: Annotated[str | None, typer.Option(help="The model that it was trained on. [default: what its training.json "
                                                  "says, or local]")] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Keep an adapter that was trained elsewhere, such as on a machine with a GPU.

    For example: autorl policies add trained/
    """
    from autorl.train import policies

    kept = open_store(store)
    policy = policies.add(kept, folder, base=base)
    elsewhere = policies.elsewhere(policies.find(kept, policy))
    if as_json:
        give({"policy": policy, "runs_elsewhere": elsewhere})
    else:
        _tell_elsewhere(elsewhere)
        say(f"Kept as {policy}. To try it: autorl solve ... --policy {policy}. To let it in: autorl gate none {policy}")


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="The policy's name, or the beginning of it; none for the bare model.")],
    why: Annotated[str, typer.Option(help="Why; it is kept.", prompt="Why")],
    base: Base = "local",
    who: Who = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Have a policy stand for its model, whatever the gate said.

    For example: autorl policies promote policy@7f3a --why "better decks"
    """
    from autorl.train import policies

    kept = open_store(store)
    policies.bring(kept)
    found = None if name == policies.NONE else policies.find(kept, name)
    policy, base = (found.id, found.base) if found else (None, base)
    kept.promote(base, policy, why=_said(why), who=_person(who))
    _stands(base, policy, as_json)


@app.command()
def rollback(why: Annotated[str, typer.Option(help="Why; it is kept.", prompt="Why")], base: Base = "local",
             who: Who = None, store: Store = None, as_json: Json = False) -> None:
    """Have that stand for a model which stood for it before.

    For example: autorl policies rollback --why "it rambles"
    """
    from autorl.train import policies

    kept = open_store(store)
    policies.bring(kept)
    _stands(base, kept.roll_back(base, why=_said(why), who=_person(who)), as_json)


@app.command()
def delete(name: Name, store: Store = None, as_json: Json = False) -> None:
    """Delete the files of a policy that is not promoted; what it came from stays known.

    For example: autorl policies delete policy@7f3a
    """
    from autorl.train import policies

    gone = policies.delete(open_store(store), name)
    if as_json:
        give({"policy": gone.id, "deleted": True})
    else:
        say(f"{gone.id}: its files are deleted. What it was trained on stays known: autorl policies show {gone.id}")


def _stands(base: str, policy: str | None, as_json: bool) -> None:
    if as_json:
        give({"base": base, "promoted": policy})
    else:
        say(f"{base} is {policy or 'the bare model'} from now on, unless --policy says otherwise.")


def _tell_elsewhere(runs: int) -> None:
    if runs:
        say(f"{runs} of the runs that it was trained on are in another store: this one will not tell when they are "
            "revoked", style="yellow")


def _plain(policy: "Kept", promoted: str | None) -> dict[str, Any]:
    import json

    return {
        "policy": policy.id, "base": policy.base, "promoted": promoted == policy.id, "adapter": policy.adapter,
        "parent": policy.parent, "dataset": policy.dataset, "created": policy.created.isoformat(),
        "deleted": policy.deleted and policy.deleted.isoformat(), "trained_on": len(policy.runs),
        "revoked": policy.revoked, "gate": json.loads(policy.gate) if policy.gate else None,
    }


def _gate(policy: "Kept") -> str:
    import json

    if not policy.gate:
        return ""
    verdict = json.loads(policy.gate)
    return f"gate {'passed' if verdict.get('passed') else 'not passed'} ({verdict.get('why', '')})"


def _said(why: str) -> str:
    from autorl.errors import UsageError

    if not why.strip():
        raise UsageError("--why is empty", 'For example: --why "better decks"')
    return why


def _person(who: str | None) -> str:
    from getpass import getuser

    return who or getuser()
