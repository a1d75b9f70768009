"""Rows with and without exemplars: what their mix does to a distilled policy, with a full store and with an empty one.

    python eval/exemplar_mix.py [--store FILE] [--learn 4] [--shares 0 0.5 1] [--seeds 0 1 2] [--folder DIR] [--no-keep]

One collection, made as in `distil_warehouse.py`, or found in the store of a file, is distilled once for every share of
rows whose prompt shows recalled runs; all else is the same. Then test tasks of the same worlds are asked of each policy
and of the bare model, without exemplars, and with what is recalled. Called again it goes on where it was ended.
"""

import argparse
from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from distilling import Played, episodes, figure, keep_what_is_measured, known, say
from worlds import ALONE, ASKED, REPLAY, SAME, SETTINGS, choice, gather, of, success, take_options

from autorl.agent import Agent
from autorl.bench.statistics import difference, mean
from autorl.replay.store import ReplayStore
from autorl.rollout.collect import Plan
from autorl.train import improve, policies, rounds


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    if options.store and not options.store.is_file():
        raise SystemExit(f"There is no store {options.store}: leave --store out, and one is made")
    learn, asked = of(SAME, "train", (2, 3, 4, 5), options.learn), of(SAME, "test", (3, 4, 5), options.asked)
    with closing(ReplayStore(options.store or options.folder / "replay.db")) as store:
        if not options.store:
            gather(replace(Agent.of(ASKED, store=store), guided=True), learn, Plan(options.attempts, 1))

        def asked_of(model: str) -> dict[str, Played]:
            return episodes(options.folder / "measured", model, SETTINGS, asked, memory=store, seeds=options.seeds)

        played = {"before": asked_of("local")}
        for share in options.shares:
            train = improve.distil(rounds.Plan(chosen=ASKED), choice=choice(share))
            adapters = train(store, [task.id for task in learn], options.folder / f"share-{share:g}", say)
            played[f"{share:.0%}"] = asked_of(f"local+{policies.add(store, adapters[0], base='local')}")
        told = {ALONE: "empty_store", REPLAY: "full_store"}
        figures = {f"{told[setting]}_{name}": figure(mean(success(by[setting], asked), share=True))
                   for name, by in played.items() for setting in told}
        for one, other in combinations(played, 2):
            for setting in told:
                figures[f"{told[setting]}_{other}_minus_{one}"] = figure(
                    difference(success(played[other][setting], asked), success(played[one][setting], asked)))
        return known(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="runs that were collected before, such as the replay.db of "
                                                   "distil_warehouse.py; the policies are noted in it")
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.5, 1])
    parser.add_argument("--learn", type=int, default=4, help="tasks of each world and length to learn from")
    take_options(parser)
    keep_what_is_measured("exemplar-mix", parser, measured)


if __name__ == "__main__":
    main()
