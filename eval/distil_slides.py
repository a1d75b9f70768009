"""From replay to weights on the slide tasks: what the loop makes of the embedded model, on tasks it never learned from.

    python eval/distil_slides.py [--rounds 1] [--attempts 2] [--seeds 0 1 2] [--folder DIR] [--no-keep] [--publish]

The loop of `autorl improve` runs on slides/learn, from the bare model and an empty store: guided attempts with replay,
LoRA on one success of each task that has one, a quarter of them with exemplars in the prompt, the gate, on one task of
each held-out career. Then slides/held_out is asked of the bare model, free-form without exemplars (`ner_before`) and
constrained with them (`score_constrained_base`), and of the distilled one, free-form without exemplars (`ner_after`,
`score_after`) and with them, and constrained with them, as `autorl solve` asks. None of that is guided.
Called again it goes on where it was ended. `loop_minutes` are of collecting, training and the gate, on this machine.
`--publish` puts the distilled policy into policies/, if the gate let it in, as what `local` uses unless told otherwise,
with these figures on its card.

What is trained is what is asked: runs are collected, learned and measured with the same settings (ASKED), but for the
grammar, replay, the guide, and a penalty on repetition, which free-form stands against every bracket that has to be
closed (FREELY). Thoughts of so small a model say nothing: they are left out.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from distilling import episodes, figure, keep_what_is_measured, known, of_the_loop, runs, say
from kept import show

from autorl import tasks
from autorl.bench.statistics import difference, mean, ratio
from autorl.models.local import split
from autorl.replay.store import ReplayStore
from autorl.settings import Settings
from autorl.train import improve, policies, rounds
from autorl.train.dataset import Choice
from autorl.train.hyper import Hyper

FREE, WITH = "free", "free+replay"
BASE = "constrained+replay"
ASKED = {"policy": "none", "max_steps": 14, "max_tokens": 400, "format": "act"}
"""How the models are asked, where that is not the default. The longest deck of the held-out tasks takes 12 steps,
and no call that is of use 400 tokens."""
FREELY = {"repetition": 1.0}
"""And what is different without a grammar. The loop's own gate has the embedded model's usual penalty there, too."""
POLICIES = Path(__file__).resolve().parent.parent / "policies"
TOLD = """
## What it is worth

On held-out tasks of the slides pack, as `AUTORL_THREADS=2 python eval/distil_slides.py --publish` measured it, which
makes such a policy again:

```
{figures}
```
"""


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    learn, held_out = (
        tasks.load(name).tasks[: options.tasks] for name in ("slides/learn", "slides/held_out"))
    plan = rounds.Plan(rounds=options.rounds, attempts=options.attempts, successes=1, seeds=(0,), measured=(),
                       guided=True, chosen=Settings(**ASKED))
    store = ReplayStore(options.folder / "replay.db")
    loop = options.folder / "loop"
    # The rows are few and long: in batches of eight they make two dozen steps, which do not teach so much as the form.
    chosen = Choice(format="act", per_task=1, exemplars=0.25, max_tokens=2560)
    train = improve.distil(plan, Hyper(batch=1, epochs=2), chosen)
    done = improve.improve(store, loop, learn, held_out[::2], plan, concurrency=2, train=train, tell=say)

    def asked(model: str, *settings: str) -> dict[str, Any]:
        how = {name: {**improve.SETTINGS[name], **({} if name == BASE else FREELY)} for name in settings}
        return episodes(options.folder / "measured", model,
                        {name: plan.chosen.model_copy(update=changes) for name, changes in how.items()}, held_out,
                        memory=store, seeds=options.seeds, product=".pptx")

    last = done.rulings[-1]
    after = asked(last.new, FREE, WITH, BASE)  # whatever the gate said of it
    before = asked(done.start, FREE, BASE)
    spent = of_the_loop(rounds.read(loop / improve.LEDGER))
    spent["loop_minutes"]["goal"] = "<= 60"
    figures = {
        "ner_before": figure(mean(runs(before[FREE], "ner"), share=True)),
        "ner_after": figure(mean(runs(after[FREE], "ner"), share=True), goal=">= 0.98"),
        "ner_with_exemplars": figure(mean(runs(after[WITH], "ner"), share=True)),
        "ner_constrained_base": figure(mean(runs(before[BASE], "ner"), share=True)),
        "ner_constrained_after": figure(mean(runs(after[BASE], "ner"), share=True)),
        "success_before": figure(mean(runs(before[FREE], "success"), share=True)),
        "success_after": figure(mean(runs(after[FREE], "success"), share=True)),
        "success_with_exemplars": figure(mean(runs(after[WITH], "success"), share=True)),
        "success_constrained_base": figure(mean(runs(before[BASE], "success"), share=True)),
        "success_constrained_after": figure(mean(runs(after[BASE], "success"), share=True)),
        "score_before": figure(mean(runs(before[FREE], "score"))),
        "score_after": figure(mean(runs(after[FREE], "score"))),
        "score_with_exemplars": figure(mean(runs(after[WITH], "score"))),
        "score_constrained_base": figure(mean(runs(before[BASE], "score"))),
        "score_constrained_after": figure(mean(runs(after[BASE], "score"))),
        "score_ratio": figure(ratio(runs(after[FREE], "score"), runs(before[BASE], "score")), goal=">= 1.3"),
        "prompt_token_ratio": figure(
            ratio(runs(after[FREE], "prompt_tokens"), runs(before[BASE], "prompt_tokens")), goal="<= 0.2",
            reason="the tools, the task and what was done so far are all that is left of the prompt"),
        "replay_on_top_minus_distilled": figure(difference(runs(after[WITH], "score"), runs(after[FREE], "score"))),
        **spent,
    }
    store.close()
    figures = known(figures)
    policy = split(last.new)[1]
    if options.publish and not last.passed:
        say(f"The gate did not let {policy} in: nothing is published")
    elif options.publish and policy:
        for other in POLICIES.glob("policy@*"):
            shutil.rmtree(other)
        say(f"Published as {policies.publish(policy, POLICIES, told=TOLD.format(figures=show(figures)))}")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--attempts", type=int, default=2, help="at each of the 80 learning tasks, in a round")
    parser.add_argument("--publish", action="store_true", help="put the policy into policies/")
    parser.add_argument("--tasks", type=int, help="of each set, for a trial; all of them by default")
    keep_what_is_measured("distil-slides", parser, measured)


if __name__ == "__main__":
    main()
