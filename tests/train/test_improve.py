import json
import os
import signal
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from autorl import ReplayStore
from autorl.errors import UsageError
from autorl.models.base import Model
from autorl.train import curve, improve, measure, policies, rounds
from autorl.train.adapters import read
from autorl.train.improve import Improved, Tell
from autorl.train.rounds import Collected, Plan, Ruled, Trained
from tests import needs
from tests.children import started
from tests.train import doors, peft_folders
from tests.train.doors import Opener

LEARN, HELD_OUT = doors.tasks(1, 6), doors.tasks(1001, 8)


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of the embedded model stands one whose adapters are made in no time, and autorl brings no policy."""
    needs.require(bool(find_spec("safetensors") and find_spec("gguf")), "safetensors and gguf",
                  "pip install -e '.[train]'")
    base = peft_folders.base(tmp_path / "base")
    monkeypatch.setattr(policies, "torch_weights", lambda model: base)
    monkeypatch.setattr(policies, "brought", lambda: None)
    doors.project()
    return base


class Skills(Mapping[str, Model]):
    """The bare model, and the policies that the trainer of these tests gives, each with the skill of its round."""

    def __init__(self, folder: Path, bare: float, *trained: float) -> None:
        self.models: dict[str, Opener] = {"local": Opener("local", bare)}
        for number, skill in enumerate(trained, 1):
            adapter = peft_folders.adapter(folder / f"known-{number}", seed=number)
            name = f"local+policy@{read(adapter).sha256[:10]}"
            self.models[name] = Opener(name, skill)
        self.names = list(self.models)

    def __getitem__(self, name: str) -> Model:
        return self.models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)


def trains(store: ReplayStore, tasks: Sequence[str], folder: Path, tell: Tell) -> Sequence[Path]:
    """Takes two steps, of which the first is not done twice; the adapter is that of its round."""
    passed = [run.run.id for run in store.each(good=True) if run.run.task.id in tasks]
    assert passed, "there is something to learn from"
    half = folder / "half"
    if not half.exists():
        folder.mkdir(exist_ok=True)
        half.touch()
        tell("training: the first half")
    tell("training: the second half")
    about = {"base": "local", "dataset": "d" * 64, "runs": passed}
    return [peft_folders.adapter(folder / "adapter", seed=int(folder.name.rpartition("-")[2]), training=about)]


def plan(**changes: object) -> Plan:
    return Plan.model_validate({"rounds": 3, "attempts": 2, "successes": 1, "measured": ("constrained",),
                                "chosen": doors.CHOSEN.model_copy(update={"repetition": 1.0}), **changes})


def looped(tmp_path: Path, store: ReplayStore, skills: Skills, tell: Tell = lambda _: None,
           **changes: object) -> Improved:
    return improve.improve(store, tmp_path / "loop", LEARN, HELD_OUT, plan(**changes), train=trains, given=skills,
                           tell=tell)


def ledger(tmp_path: Path) -> list[rounds.Entry]:
    return list(rounds.read(tmp_path / "loop" / improve.LEDGER))


def test_a_loop_promotes_what_is_better_and_goes_on_from_it(tmp_path: Path, store: ReplayStore) -> None:
    skills = Skills(tmp_path, 0.3, 0.6, 1.0)
    done = looped(tmp_path, store, skills, rounds=2)
    bare, first, second = skills.names
    assert [(ruling.old, ruling.new, ruling.passed) for ruling in done.rulings] == [(bare, first, True),
                                                                                    (first, second, True)]
    assert (done.start, done.now, done.stopped) == (bare, second, "all 2 rounds are done")
    assert policies.in_force(store, "local") == second
    kept = {policy.id: policy for policy in store.policies()}
    assert kept[second.partition("+")[2]].parent == first.partition("+")[2]
    assert all(policy.runs and json.loads(policy.gate or "")["passed"] for policy in kept.values())
    assert [entry.policy for entry in ledger(tmp_path) if isinstance(entry, Collected)] == [bare, first]
    held_out = {task.id for task in HELD_OUT}
    assert not held_out & {run.run.task.id for run in store.each()}, "what is held out is not in the store"
    assert "the loop in loop" in store.promotions("local")[0].why


def test_it_stops_when_the_gate_rules_against_it_twice(tmp_path: Path, store: ReplayStore) -> None:
    skills = Skills(tmp_path, 0.6, 0.1, 0.2, 1.0)
    done = looped(tmp_path, store, skills)
    assert [ruling.passed for ruling in done.rulings] == [False, False]
    assert done.stopped == "the gate ruled against the new policy 2 times in a row"
    assert done.now == "local"
    assert store.promoted("local") is None
    collected = [entry for entry in ledger(tmp_path) if isinstance(entry, Collected)]
    assert [entry.policy for entry in collected] == ["local", "local"]
    assert collected[1].attempts > 0, "the same policy is allowed as many attempts again"


def test_a_round_between_two_failures_lets_it_go_on(tmp_path: Path, store: ReplayStore) -> None:
    done = looped(tmp_path, store, Skills(tmp_path, 0.4, 0.1, 1.0, 0.1), rounds=3)
    assert [ruling.passed for ruling in done.rulings] == [False, True, False]
    assert done.stopped == "all 3 rounds are done"


def test_the_same_loop_again_does_nothing_again_and_more_rounds_go_on(tmp_path: Path, store: ReplayStore) -> None:
    skills = Skills(tmp_path, 0.3, 0.6, 1.0)
    first = looped(tmp_path, store, skills, rounds=1)
    asked = sum(len(opener.requests) for opener in skills.models.values())
    assert looped(tmp_path, store, skills, rounds=1) == first
    assert sum(len(opener.requests) for opener in skills.models.values()) == asked
    assert len(looped(tmp_path, store, skills, rounds=2).rulings) == 2


def test_another_loop_in_its_folder_is_refused(tmp_path: Path, store: ReplayStore) -> None:
    skills = Skills(tmp_path, 0.3, 1.0)
    looped(tmp_path, store, skills, rounds=1)
    with pytest.raises(UsageError, match="holds another loop: its attempts, seeds differ"):
        looped(tmp_path, store, skills, rounds=1, attempts=3, seeds=(5,))
    with pytest.raises(UsageError, match="its tasks, prompts or tools differ"):
        improve.improve(store, tmp_path / "loop", LEARN[:3], HELD_OUT, plan(rounds=1), train=trains, given=skills)
    with (tmp_path / "loop" / improve.LEDGER).open("a") as file:
        file.write('{"kind": "ruled"}\n')
    with pytest.raises(UsageError, match=r"line 5 of .*rounds.jsonl is damaged"):
        looped(tmp_path, store, skills, rounds=1)


def test_held_out_tasks_are_never_learned_from(tmp_path: Path, store: ReplayStore) -> None:
    with pytest.raises(UsageError, match="held-out tasks are among those to learn from: door-1001"):
        improve.improve(store, tmp_path / "loop", HELD_OUT[:1], HELD_OUT, plan(), train=trains)


def test_a_training_that_gives_the_same_policy_is_no_progress(tmp_path: Path, store: ReplayStore) -> None:
    skills = Skills(tmp_path, 0.3, 1.0)

    def again(store: ReplayStore, tasks: Sequence[str], folder: Path, tell: Tell) -> Sequence[Path]:
        return [peft_folders.adapter(folder / "adapter", seed=1)]

    done = improve.improve(store, tmp_path / "loop", LEARN, HELD_OUT, plan(), train=again, given=skills)
    assert [ruling.passed for ruling in done.rulings] == [True, False, False]
    assert "gave the policy that stands already" in done.rulings[1].why


def test_rollouts_on_learning_tasks_choose_between_the_epochs(tmp_path: Path, store: ReplayStore) -> None:
    skills = Skills(tmp_path, 0.3, 0.2, 1.0, 0.5)

    def epochs(store: ReplayStore, tasks: Sequence[str], folder: Path, tell: Tell) -> Sequence[Path]:
        return [peft_folders.adapter(folder / f"epoch-{seed}", seed=seed) for seed in (1, 2, 3)]

    done = improve.improve(store, tmp_path / "loop", LEARN, HELD_OUT, plan(rounds=1, choose_on=4), train=epochs,
                           given=skills)
    assert done.now == skills.names[2]
    (trained,) = (entry for entry in ledger(tmp_path) if isinstance(entry, Trained))
    assert trained.chosen == "by rollouts of 4 learning tasks"
    assert [bool(policy.deleted) for policy in store.policies()] == [True, False, True]
    assert not {task.id for task in HELD_OUT} & {
        episode.cell.task for episode in measure.played(tmp_path / "loop" / "choosing")}


def test_the_page_and_the_picture_show_every_policy_and_what_the_gate_said(tmp_path: Path, store: ReplayStore) -> None:
    skills = Skills(tmp_path, 0.3, 1.0, 0.1)
    done = looped(tmp_path, store, skills, rounds=2)
    page, picture = done.page.read_text(), (tmp_path / "loop" / improve.PICTURE).read_text()
    assert picture in page
    tree = ET.fromstring(picture)
    circles = [node for node in tree.iter() if node.tag.endswith("circle")]
    assert len(circles) == 3 * (2 * 3) + 3 - sum("1/0" in circle.attrib for circle in circles)
    for name in skills.names:
        assert page.count(f"<td>{curve.split(name)[1] or name}") == 2, "once for each setting that was measured"
    assert "<b>passed</b>, more of its runs pass" in page
    assert "not passed, these tasks got clearly worse" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", ""), "it needs nothing but itself"


# Killed in every phase.

KILLED_AT = ("local, free, seed 0", "local, constrained", "attempt 1", "training: the first", "training: the second",
             "local+policy", "Promoted", "Round 2", "training: the first", "Promoted")
"""What the loop tells when it is killed, one after the other."""


def loop_until_killed(home: Path, here: Path, root: Path, word: str) -> None:
    """Go on with the loop in a process that kills itself when it tells of `word`."""
    os.environ["AUTORL_HOME"] = str(home)  # the child is a fork of what an earlier test started
    os.chdir(here)
    policies.torch_weights = lambda model: root / "base"

    def tell(line: str) -> None:
        if word in line:
            os.kill(os.getpid(), signal.SIGKILL)

    looped(root, ReplayStore(home / "replay.db"), Skills(root, 0.3, 0.6, 1.0), tell, rounds=2)


@pytest.mark.slow
def test_a_loop_that_is_killed_in_every_phase_comes_to_the_same_end(home: Path, tmp_path: Path) -> None:
    for word in KILLED_AT:
        child = started(loop_until_killed, home, Path.cwd(), tmp_path, word)
        child.join(300)
        assert child.exitcode == -signal.SIGKILL, f"it told of {word}"
    skills = Skills(tmp_path, 0.3, 0.6, 1.0)
    store = ReplayStore(home / "replay.db")
    done = looped(tmp_path, store, skills, rounds=2)
    assert [len(opener.requests) for opener in skills.models.values()] == [0, 0, 0], "all but its last word was done"
    assert [ruling.passed for ruling in done.rulings] == [True, True]
    assert [(step.policy, step.undoes) for step in store.promotions("local")] == [
        (name.partition("+")[2], False) for name in skills.names[1:]], "each was promoted once"
    cells = [episode.cell for episode in measure.played(tmp_path / "loop" / improve.MEASURED)]
    assert len(cells) == len(set(cells)) == 3 * (8 * 3 + 8), "each episode counts once"
    kinds = [(type(entry), entry.round) for entry in ledger(tmp_path)[1:]
             if isinstance(entry, Collected | Trained | Ruled)]
    assert kinds == [(kind, round) for round in (1, 2) for kind in (Collected, Trained, Ruled)]
    clean = ReplayStore(tmp_path / "clean.db")
    again = improve.improve(clean, tmp_path / "clean", LEARN, HELD_OUT, plan(rounds=2), train=trains,
                            given=Skills(tmp_path, 0.3, 0.6, 1.0))
    assert [ruling.compared["success"] for ruling in again.rulings] == [
        ruling.compared["success"] for ruling in done.rulings], "as if nothing had happened"
