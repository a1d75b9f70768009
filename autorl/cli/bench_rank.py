"""`autorl bench rank | judge`: what people and models think of what a run made."""

import time
from typing import TYPE_CHECKING, Annotated, cast

import typer

from autorl.cli.output import Json, give, on_one_line, say

if TYPE_CHECKING:
    from autorl.bench.opinions import Sees
    from autorl.bench.spec import Size as SizeOfStore

Run = Annotated[str, typer.Argument(help="A run by its name or folder, or a benchmark for its newest run.")]
Size = Annotated[str | None, typer.Option(help="Of the store recalled from; the last of the definition by default.")]


def rank(
    run: Run,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 for any that is free.")] = 0,
    size: Size = None,
    as_json: Json = False,
) -> None:
    """Rank what the settings made, blind, on a local page, until control-C. For example: autorl bench rank smoke"""
    from autorl.bench import rank_page
    from autorl.bench.run import find

    with rank_page.serving(find(run), port=port, size=_size(size)) as address:
        if as_json:
            give({"address": address})
        else:
            say(f"Open {address}\nSeveral people may rank at once. Every move is kept; control-C ends it.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            if not as_json:
                say(f"\nWhat came of it: autorl bench report {run}")


def judge(
    run: Run,
    model: Annotated[str, typer.Option(help="The judge, such as openai:NAME.")],
    base_url: Annotated[str | None, typer.Option(help="URL of its server.")] = None,
    sees: Annotated[str, typer.Option(help="pictures, for a model that reads them, or words.")] = "pictures",
    controls: Annotated[int, typer.Option(min=1, help="Pairs of each kind of defect that gate it.")] = 5,
    size: Size = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at a time.")] = 2,
    as_json: Json = False,
) -> None:
    """Let a model compare what the settings made, once it has shown that it can. For example:
    autorl bench judge smoke --model openai:gpt-5-mini"""
    from autorl import models
    from autorl.bench import judging, text
    from autorl.bench.run import find
    from autorl.errors import UsageError

    if sees not in ("pictures", "words"):
        raise UsageError(f"a judge cannot see '{sees}'", "Say --sees pictures, or --sees words")
    done = judging.judge(find(run), models.load(model, base_url=base_url), sees=cast("Sees", sees),
                         controls=controls, size=_size(size), concurrency=concurrency, watch=on_one_line())
    if as_json:
        give({"judge": str(done.judge), "counts": done.gate.open, "credit": done.gate.whole.share,
              "interval": done.gate.whole.interval, "controls": done.gate.whole.n, "nonsense": done.gate.nonsense,
              "kinds": {kind: [score.right, score.n] for kind, score in done.gate.kinds.items()},
              "asked": done.asked, "not_asked": done.left})
        return
    for kind, score in done.gate.kinds.items():
        say(f"  {kind.replace('_', ' '):<28} {text.share(score)}")
    say(f"{done.judge}: credit for {text.share(done.gate.whole)} of {done.gate.whole.n} controls, where chance gets "
        f"25 %; {done.gate.nonsense} answers were nonsense; {done.asked} questions asked")
    if not done.gate.open:
        say(f"Not shown to beat chance: its votes do not count, and {done.left} pairs of decks were not put to it.",
            style="yellow")
    else:
        say(f"What came of it: autorl bench report {run}")


def _size(given: str | None) -> "SizeOfStore | None":
    from autorl.errors import UsageError

    if given is None or given.isdigit():
        return None if given is None else int(given)
    if given != "all":
        raise UsageError(f"'{given}' is no size of a store", "Say a number, or all")
    return "all"
