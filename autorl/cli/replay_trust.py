"""`autorl replay trust | revoke | quarantine | cap`."""

from typing import Annotated

import typer

from autorl.cli.output import Json, Store, give, open_store, say

Run = Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")]
Why = Annotated[str, typer.Option(help="Why; it is kept with the run.", prompt="Why")]
Who = Annotated[str | None, typer.Option(help="Who says so. [default: the user of this machine]", show_default=False)]


def trust(run: Run, why: Why, who: Who = None, store: Store = None, as_json: Json = False) -> None:
    """Let a run be recalled and trained on. For example: autorl replay trust 20260102-1504 --why "I read it" """
    _set(run, "trusted", why, who, store, as_json)


def revoke(run: Run, why: Why, who: Who = None, store: Store = None, as_json: Json = False) -> None:
    """Take a run out of recall and training, and name the policies that were trained on it.

    For example: autorl replay revoke 20260102-1504 --why "it copied a stranger's text"
    """
    _set(run, "revoked", why, who, store, as_json)


def quarantine(run: Run, why: Why, who: Who = None, store: Store = None, as_json: Json = False) -> None:
    """Keep a run from recall and training until somebody trusts it.

    For example: autorl replay quarantine 20260102-1504 --why "to be read first"
    """
    _set(run, "quarantined", why, who, store, as_json)


def cap(
    source: Annotated[str, typer.Argument(help="Where runs came from; `autorl replay stats` lists them.")],
    most: Annotated[int | None, typer.Argument(min=0, help="Runs of it at most; any number when left out.",
                                               show_default=False)] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Limit what one source gives to recall and training. For example: autorl replay cap team-b 50"""
    open_store(store).cap(source, most)
    if as_json:
        give({"source": source, "cap": most})
    else:
        say(f"{source}: {'any number of' if most is None else f'at most {most}'} runs may be recalled.")


def _set(run: str, level: str, why: str, who: str | None, store: str | None, as_json: bool) -> None:
    from getpass import getuser

    from autorl.errors import UsageError

    if not why.strip():
        raise UsageError("--why is empty", 'For example: --why "I read it"')
    kept = open_store(store)
    found = kept.summary(run)
    policies = kept.trust(found.id, level, why, who or getuser())  # type: ignore[arg-type]  # one of the three
    if as_json:
        give({"run": found.id, "trust": level, "was": found.trust, "why": why, "policies": policies})
        return
    say(f"{found.id}: {level} (was {found.trust}).")
    if policies and level != "trusted":
        say(f"Policies that were trained on it: {', '.join(policies)}", style="yellow")
