"""From replay to weights in invented warehouses: what distillation adds to replay, in worlds known and unknown to it.

    python eval/distil_warehouse.py [--rounds 1] [--attempts 12] [--seeds 0 1 2] [--folder DIR] [--no-keep]

The loop of `autorl improve` runs on training tasks of the worlds w1 to w4 from an empty store: constrained, guided
attempts with replay and without thoughts, the short tasks first, LoRA on what passed, half of the rows with exemplars
in the prompt as replay shows them, the gate. Then test tasks of 3 to 5 calls are asked, constrained and unguided, of
the bare model and of the distilled one, each without exemplars and with what is recalled: those of the same worlds,
and those of worlds that nothing was learned in (w5 to w8), where the store has nothing but other worlds' runs to
show. Called again it goes on where it was ended.
"""

import argparse
from typing import Any

from distilling import Played, episodes, figure, keep_what_is_measured, known, of_the_loop, say
from worlds import ALONE, ASKED, NEW, REPLAY, SAME, SETTINGS, choice, of, success, take_options

from autorl.bench.statistics import difference, mean
from autorl.replay.store import ReplayStore
from autorl.train import improve, rounds


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    learn = of(SAME, "train", (2, 3, 4, 5), options.learn)
    same, new = (of(worlds, "test", (3, 4, 5), options.asked) for worlds in (SAME, NEW))
    plan = rounds.Plan(rounds=options.rounds, attempts=options.attempts, successes=1, guided=True, seeds=(0,),
                       measured=(), chosen=ASKED.model_copy(update={"policy": "none"}))
    store = ReplayStore(options.folder / "replay.db")
    loop = options.folder / "loop"
    done = improve.improve(store, loop, learn, same, plan, concurrency=2,
                           train=improve.distil(plan, choice=choice(0.5)), tell=say)

    def asked(model: str) -> dict[str, Played]:
        return episodes(options.folder / "measured", model, SETTINGS, (*same, *new), memory=store, seeds=options.seeds)

    before, after = asked(done.start), asked(done.rulings[-1].new)  # the last one, whatever the gate said of it

    figures: dict[str, dict[str, Any]] = {}
    for where, tasks in (("same_world", same), ("new_world", new)):
        for name, played in (("before", before[ALONE]), ("replay", before[REPLAY]), ("distilled", after[ALONE]),
                             ("distilled_replay", after[REPLAY])):
            goal = {"goal": ">= 0.95"} if (where, name) == ("same_world", "distilled_replay") else {}
            figures[f"{where}_{name}"] = figure(mean(success(played, tasks), share=True), **goal)
        figures[f"{where}_distilled_replay_minus_replay"] = figure(
            difference(success(after[REPLAY], tasks), success(before[REPLAY], tasks)))
    figures["new_world_distilled_replay_minus_replay"]["goal"] = ">= 0"
    store.close()
    return known({**figures, **of_the_loop(rounds.read(loop / improve.LEDGER))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--learn", type=int, default=16, help="tasks of each world and length to learn from")
    take_options(parser)
    keep_what_is_measured("distil-warehouse", parser, measured)


if __name__ == "__main__":
    main()
