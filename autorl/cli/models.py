"""`autorl models list | fetch`."""

from typing import Annotated

import typer

from autorl.cli.output import Json, give, say

app = typer.Typer(no_args_is_help=True, help="See and fetch models. For example: autorl models list")


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """The ways to name a model, and whether the embedded one is here. For example: autorl models list"""
    from autorl import models, settings
    from autorl.models import weights

    here = weights.location().is_file()
    used = settings.resolve().model
    if as_json:
        give({"providers": models.PROVIDERS, "default": used,
              "embedded": {"path": str(weights.location()), "fetched": here}})
        return
    for name, about in models.PROVIDERS.items():
        say(f"{name:<9} {about}")
    say(f"\nUsed unless --model says otherwise: {used}")
    say(f"The embedded model is {'at' if here else 'not fetched yet (autorl models fetch); it will be at'} "
        f"{weights.location()}")


@app.command()
def fetch(
    again: Annotated[bool, typer.Option("--again", help="Even if it is here and sound.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch the embedded model (94 MB) and check it. For example: autorl models fetch"""
    from autorl.models import weights

    path = weights.location()
    if again or not path.is_file() or not weights.sound(path):
        path = weights.fetch()
    if as_json:
        give({"path": str(path), "sha256": weights.SHA256, "bytes": path.stat().st_size})
    else:
        say(f"{path} is the expected file (sha256 {weights.SHA256[:12]}...)")
