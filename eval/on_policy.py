"""On-policy against off-policy, at the same number of rows: whose runs a policy should learn from.

    python eval/on_policy.py [--rounds 3] [--each 2] [--samples 4] [--seeds 0 1 2] [--folder DIR] [--no-keep]

The question of "All Roads Lead to Likelihood" (Swamy et al. 2025), in the invented warehouses w1 to w4. The learning
tasks are cut into as many blocks as there are rounds, each with so many tasks of every world and length (2 to 5 calls).

Fine-tuning learns one success of every task, without exemplars in the prompt. Off-policy, the bare model makes them
all. On-policy, it makes those of the first block; then the base is trained on what there is, and what came of that
makes those of the next block. Both are guided, and shown their own successes.
Preferences (DPO) begin with the policy that was fine-tuned off-policy, and are of its attempts without guidance and
without exemplars: one that passed and one that failed, of one task. Offline, it makes them all. Online, what was
trained on the pairs of the blocks before makes those of the next. Tasks that it always or never solves give no pair.

Then test tasks of the same worlds are asked of every policy, constrained, without exemplars, and the bare model as
well. Intervals are over tasks; there is one training of each kind. Called again it goes on where it was ended.
"""

import argparse
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from distilling import Played, episodes, figure, keep_what_is_measured, known, runs, say
from worlds import ALONE, ASKED, SAME, SETTINGS, choice, gather, of, success, take_options

from autorl.agent import Agent
from autorl.bench.statistics import difference, mean
from autorl.errors import UsageError
from autorl.models.local import Local
from autorl.replay.store import ReplayStore
from autorl.rollout.collect import Plan
from autorl.settings import Settings
from autorl.train import base, improve, policies, preference, rounds
from autorl.train.dataset import Dataset
from autorl.train.pairs import Pairing
from autorl.types import Task

Parts = Sequence[Sequence[Task]]
SAMPLED = ASKED.model_copy(update={"k": 0, "temperature": 0.7})
"""How a policy is asked for runs to compare: as it is measured, but warmer, for they have to differ."""


class Arm:
    """One way to learn, in a folder of its own: its store, its trainings, and what it has come to.

    rows: that it was trained on; longer: pairs among them whose failed run has more messages than the other
    """

    def __init__(self, folder: Path, start: Path | None = None) -> None:
        self.folder, self.adapter, self.rows, self.longer = folder, start, 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.store = ReplayStore(folder / "replay.db")

    @property
    def model(self) -> str:
        """The model's name as it stands."""
        return f"local+{policies.add(self.store, self.adapter, base='local')}" if self.adapter else "local"

    def gather(self, chosen: Settings, tasks: Sequence[Task], plan: Plan, *, guided: bool) -> None:
        model = self.model
        agent = replace(Agent.of(chosen, store=self.store), model=model, guided=guided)
        say(f"{self.folder.name}: {model} at {len(tasks)} tasks")
        gather(agent, tasks, plan)
        Local.shared(model).close()  # training needs the memory


def fine_tuned(arm: Arm, parts: Parts, attempts: int) -> Arm:
    """After each part, trained anew on one success of every task so far."""
    train, seen = improve.distil(rounds.Plan(chosen=ASKED), choice=replace(choice(0), per_task=1)), []
    for number, tasks in enumerate(parts):
        arm.gather(ASKED, tasks, Plan(attempts, 1), guided=True)
        seen += [task.id for task in tasks]
        arm.adapter = train(arm.store, seen, arm.folder / f"round-{number}", say)[0]
        arm.rows = len(Dataset.read(arm.folder / f"round-{number}" / "rows").rows)
    return arm


def preferred(arm: Arm, parts: Parts, samples: int) -> Arm:
    """After each part, trained on with the pairs of its tasks."""
    for number, tasks in enumerate(parts):
        arm.gather(SAMPLED, tasks, Plan(samples, samples), guided=False)
        folder = arm.folder / f"round-{number}"
        try:
            pairs = _pairs(arm.store, folder / "rows", tasks)
        except UsageError as none:
            say(f"{arm.folder.name} stays what it is in this round: {none}")
            continue
        say(f"{arm.folder.name}: {len(pairs.rows)} pairs; left out: {pairs.manifest['dropped'] or 'nothing'}")
        arm.adapter = preference.train(pairs, folder / "adapter", start=arm.adapter, watch=lambda at: say(
            f"  step {at.step}/{at.steps}, {at.seconds_left:.0f} s left")).folder
        arm.rows += len(pairs.rows)
        arm.longer += sum(len(row["rejected"]) > len(row["chosen"]) for row in pairs.rows)
    return arm


def _pairs(store: ReplayStore, folder: Path, tasks: Sequence[Task]) -> Dataset:
    """One pair of each task; raises UsageError where there is none at all."""
    try:
        return Dataset.read(folder)
    except UsageError:  # there are none yet, or a kill left half of them
        shutil.rmtree(folder, ignore_errors=True)
        pairing = Pairing(format=ASKED.format, per_task=1, tasks=[task.id for task in tasks])
        return preference.make(store, folder, pairing,
                               tokenizer=base.load_tokenizer(base.torch_weights("local")))


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    blocks = [of(SAME, "train", (2, 3, 4, 5), options.each, first=number * options.each)
              for number in range(options.rounds)]
    at_once = [[task for block in blocks for task in block]]
    asked = of(SAME, "test", (3, 4, 5), options.asked)
    sft = {name: fine_tuned(Arm(options.folder / f"sft-{name}"), parts, options.attempts)
           for name, parts in (("off_policy", at_once), ("on_policy", blocks))}
    start = sft["off_policy"].adapter
    dpo = {name: preferred(Arm(options.folder / f"dpo-{name}", start), parts, options.samples)
           for name, parts in (("offline", at_once), ("online", blocks))}

    def of_model(model: str) -> Played:
        with closing(ReplayStore(options.folder / "nothing.db")) as nothing:
            return episodes(options.folder / "measured", model, {ALONE: SETTINGS[ALONE]}, asked, memory=nothing,
                            seeds=options.seeds)[ALONE]

    figures: dict[str, dict[str, Any]] = {}

    def tell(name: str, played: Played) -> None:
        figures[name] = figure(mean(success(played, asked), share=True))
        figures[f"{name}_steps"] = figure(mean(runs(played, "steps")), unit="steps a run")

    tell("base", of_model("local"))
    for kind, arms, (first, second) in (("sft", sft, ("on_policy", "off_policy")), ("dpo", dpo, ("online", "offline"))):
        found = {name: of_model(arm.model) for name, arm in arms.items()}
        for name, arm in arms.items():
            tell(f"{kind}_{name}", found[name])
            figures[f"{kind}_{name}_rows"] = {"value": arm.rows, "unit": "rows" if kind == "sft" else "pairs"}
            if kind == "dpo":
                figures[f"dpo_{name}_failed_is_longer"] = {"value": arm.longer, "unit": "pairs"}
        figures[f"{kind}_{first}_minus_{second}"] = figure(
            difference(success(found[first], asked), success(found[second], asked)))
    for arm in (*sft.values(), *dpo.values()):
        arm.store.close()
    return known(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="blocks of tasks, and rounds of what is on-policy")
    parser.add_argument("--each", type=int, default=2, help="tasks of each world and length in a block")
    parser.add_argument("--samples", type=int, default=4, help="runs of each task to make pairs of")
    take_options(parser)
    keep_what_is_measured("on-policy", parser, measured)


if __name__ == "__main__":
    main()
