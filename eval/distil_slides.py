"""From replay to weights on the slide tasks: what the loop makes of the embedded model, on tasks it never learned from.

    python eval/distil_slides.py [--rounds 1] [--bar 0.1] [--seeds 0 1 2] [--folder DIR] [--no-keep]

The loop of `autorl improve` runs on slides/learn, from the bare model and an empty store: constrained attempts with
replay, LoRA on the best of what passed, without exemplars in the prompt, the gate. The bare model makes no deck that
passes the checker, so what counts as passed while it collects has a bar of its own. Then slides/held_out is asked of
the bare model, free-form without exemplars (`ner_before`) and constrained with them (`score_constrained_base`), and of
the distilled one, free-form without exemplars (`ner_after`, `score_after`) and with them. Called again it goes on where
it was ended. `loop_minutes` are of collecting, training and the gate, on this machine.

What is trained is what is asked: runs are collected, learned and measured with the same settings (ASKED), but for the
grammar and replay.
"""

import argparse
import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kept import keep, show
from platformdirs import user_cache_path

FREE, WITH = "free", "free+replay"
BASE = "constrained+replay"
ASKED = {"max_steps": 14}
"""How the models are asked, where that is not the default. The longest deck of the held-out tasks takes 12 steps."""


def figure(estimate: Any, **more: Any) -> dict[str, Any]:
    """An estimate as a figure to keep; empty where the tasks of a trial are too few for one."""
    return {} if estimate is None else {
        "value": estimate.value, "interval": [estimate.low, estimate.high], "n": estimate.n, **more}


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    from autorl import tasks
    from autorl.bench.ledger import Episode
    from autorl.bench.metrics import METRICS
    from autorl.bench.spec import Setting, Spec, Split, Tasks
    from autorl.bench.statistics import Runs, difference, mean, ratio
    from autorl.replay.store import ReplayStore
    from autorl.settings import Settings
    from autorl.train import improve, measure, rounds
    from autorl.train.dataset import Choice

    learn, held_out = (
        tasks.load(name).tasks[: options.tasks] for name in ("slides/learn", "slides/held_out"))
    learn = tasks.judged_by(learn, f"slides>={options.bar:g}")
    plan = rounds.Plan(rounds=options.rounds, attempts=options.attempts, successes=options.attempts, seeds=(0,),
                       measured=(), chosen=Settings(**ASKED))
    store = ReplayStore(options.folder / "replay.db")
    loop = options.folder / "loop"
    done = improve.improve(store, loop, learn, held_out, plan, concurrency=2,
                           train=improve.distil(plan, choice=Choice(exemplars=0.0)),
                           tell=lambda line: print(line, file=sys.stderr, flush=True))
    last = done.rulings[-1].new  # measured whatever the gate said of it

    def episodes(model: str, settings: Sequence[str]) -> dict[str, dict[str, list[Episode]]]:
        spec = Spec(name="distil-slides", models=(model,), seeds=tuple(options.seeds), product=".pptx",
                    tasks=Tasks(held_out=("slides/held_out",)),
                    settings={name: Setting(chosen=plan.chosen.model_copy(update=improve.SETTINGS[name]))
                              for name in settings})
        played = measure.play(options.folder / "measured", spec, Split(learn=(), held_out=held_out), memory=store,
                              concurrency=2, watch=lambda one, count, planned: print(
                                  f"{count}/{planned} {one.cell.setting} {one.cell.task}", file=sys.stderr, flush=True))
        found: dict[str, dict[str, list[Episode]]] = defaultdict(lambda: defaultdict(list))
        for episode in played:
            found[episode.cell.setting][episode.cell.task].append(episode)
        return found

    def runs(of: dict[str, list[Episode]], metric: str) -> Runs:
        values = {task: [METRICS[metric].of(episode) for episode in some] for task, some in of.items()}
        return {task: [float(value or 0) for value in some] for task, some in values.items()}

    before, after = episodes(done.start, (FREE, BASE)), episodes(last, (FREE, WITH))
    entries = list(rounds.read(loop / improve.LEDGER))
    seconds = sum(getattr(entry, "seconds", 0.0) for entry in entries)
    figures = {
        "ner_before": figure(mean(runs(before[FREE], "ner"), share=True)),
        "ner_after": figure(mean(runs(after[FREE], "ner"), share=True), goal=">= 0.98"),
        "success_before": figure(mean(runs(before[FREE], "success"), share=True)),
        "success_constrained_base": figure(mean(runs(before[BASE], "success"), share=True)),
        "success_after": figure(mean(runs(after[FREE], "success"), share=True)),
        "score_constrained_base": figure(mean(runs(before[BASE], "score"))),
        "score_after": figure(mean(runs(after[FREE], "score"))),
        "score_ratio": figure(ratio(runs(after[FREE], "score"), runs(before[BASE], "score")), goal=">= 1.3"),
        "prompt_token_ratio": figure(
            ratio(runs(after[FREE], "prompt_tokens"), runs(before[BASE], "prompt_tokens")), goal="<= 0.2"),
        "replay_on_top_minus_distilled": figure(difference(runs(after[WITH], "score"), runs(after[FREE], "score"))),
        "loop_minutes": {"value": seconds / 60, "unit": "min", "goal": "<= 60"},
        "rounds": {"value": len(done.rulings), "unit": "rounds of the loop"},
        "runs_collected": {"value": sum(entry.attempts for entry in entries if isinstance(entry, rounds.Collected)),
                           "unit": "attempts"},
        "runs_passed": {"value": sum(entry.passed for entry in entries if isinstance(entry, rounds.Collected)),
                        "unit": "attempts"},
    }
    store.close()
    if few := [name for name, each in figures.items() if not each]:
        print(f"Too few tasks, or nothing to divide by, for {', '.join(few)}", file=sys.stderr)
    return {name: each for name, each in figures.items() if each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--attempts", type=int, default=4, help="at each of the 80 learning tasks, in a round")
    parser.add_argument("--bar", type=float, default=0.1, help="score from which an attempt may be learned from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", type=int, help="of each set, for a trial; all of them by default")
    parser.add_argument("--folder", type=Path, default=user_cache_path("autorl") / "distil-slides")
    parser.add_argument("--no-keep", action="store_true", help="only print")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["AUTORL_HOME"] = str(options.folder)  # its policies are its own
    figures = measured(options)
    print(show(figures))
    if not options.no_keep:
        keep("distil-slides", figures, shlex.join(["python", "eval/distil_slides.py", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
