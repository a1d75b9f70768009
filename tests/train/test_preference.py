"""Pairs of a run that passed and one that failed: which they are, which tokens count, and what is learned."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from autorl.errors import UsageError
from autorl.replay.store import ReplayStore
from autorl.train import preference
from autorl.train.dataset import Dataset
from autorl.train.hyper import Hyper
from autorl.train.pairs import Pairing
from autorl.train.preference import _collate_pairs, _collate_singles, _tokens
from autorl.train.tokens import prompt_tokens
from autorl.types import Provenance, Recalled, Trajectory
from tests.train.small import TOOLS, a_run

HYPER = Hyper(rank=2, learning_rate=2e-3, epochs=2, batch=2, held_out=0, warmup=0)


@pytest.fixture
def make(store: ReplayStore, tokenizer: Any, tmp_path: Path) -> Any:
    def make_it(pairing: Pairing = Pairing(), folder: str = "pairs") -> Dataset:
        return preference.make(store, tmp_path / folder, pairing, tokenizer=tokenizer, tools=TOOLS)

    return make_it


def failed(task: str, words: list[str] | None = None, **changes: Any) -> Trajectory:
    return a_run(task, words or ["bad"], passed=False, score=0.1, **changes)


def paired(made: Dataset) -> set[tuple[str, str]]:
    return {(row["run"], row["rejected_run"]) for row in made.rows}


def test_only_runs_of_the_same_task_and_the_same_prompt_are_paired(store: ReplayStore, make: Any) -> None:
    exemplar = a_run("Add something")
    store.add([exemplar])
    shown = {"recalled": (Recalled(run=exemplar.id, rank=0, score=0.5),)}
    good, bad = a_run("Task 1"), failed("Task 1")
    good_shown, bad_shown = a_run("Task 1", ["x"], **shown), failed("Task 1", ["y"], **shown)
    other_prompt = failed("Task 1", ["z"], provenance=Provenance(format="react", prompt_hash="another"))
    store.add([good, bad, good_shown, bad_shown, other_prompt, failed("Task 2"), a_run("Task 3")])
    made = make()
    assert paired(made) == {(good.id, bad.id), (good_shown.id, bad_shown.id)}
    (row,) = (row for row in made.rows if row["run"] == good_shown.id)
    assert row["exemplars"] == [exemplar.id]
    assert made.manifest["dropped"]["without a counterpart of the other kind"] == 4
    assert set(made.runs) == {good.id, bad.id, good_shown.id, bad_shown.id}


def test_what_is_not_trusted_or_does_the_same_is_not_paired(store: ReplayStore, make: Any) -> None:
    store.add([a_run("Task 1"), failed("Task 1", ["one", "two"])])
    store.add([failed("Task 1", ["w"])], trust="quarantined")
    with pytest.raises(UsageError, match=r"no two runs .*1 not trusted.*autorl collect"):
        make()


def test_an_empty_store_is_told(make: Any) -> None:
    with pytest.raises(UsageError, match="holds no judged runs"):
        make()


def test_online_pairs_are_the_latest_runs_only(store: ReplayStore, make: Any) -> None:
    old, new = a_run("Task 1"), a_run("Task 2")
    before = new.started
    old_bad = failed("Task 1", started=before - timedelta(hours=1))
    store.add([old.model_copy(update={"started": before - timedelta(hours=1)}), old_bad, new, failed("Task 2")])
    assert [row["run"] for row in make(Pairing(since=before)).rows] == [new.id]
    assert len(make(folder="all").rows) == 2
    assert [row["run"] for row in make(Pairing(runs=(old.id, old_bad.id)), "named").rows] == [old.id]


def test_the_pairs_furthest_apart_come_first_up_to_the_cap(store: ReplayStore, make: Any) -> None:
    good = a_run("Task 1")
    near, far = (failed("Task 1", [word]) for word in ("near", "far"))
    near = near.model_copy(update={"verdict": near.verdict.model_copy(update={"score": 0.9})})  # type: ignore[union-attr]
    store.add([good, near, far])
    made = make(Pairing(per_task=1))
    assert paired(made) == {(good.id, far.id)}
    assert made.manifest["dropped"]["pairs beyond the cap of their task"] == 1


def test_only_the_policys_own_answers_count_and_both_sides_answer_the_same_prompt(
    store: ReplayStore, make: Any, tokenizer: Any
) -> None:
    store.add([a_run("Task 1", ["one"], failing=True), failed("Task 1", ["bad"], failing=True)])
    (row,) = make().rows
    ((_, sides),) = _tokens(tokenizer, row, "dpo", HYPER)
    own = {side: tokenizer.decode([i for i, mine in zip(sides[side]["ids"], sides[side]["own"], strict=True) if mine])
           for side in ("chosen", "rejected")}
    assert "SEEN" not in own["chosen"] + own["rejected"]
    assert "WRONG" not in own["chosen"]  # what it did wrong, it is not to do
    assert '"word": "WRONG"' in own["rejected"]
    asked = prompt_tokens(tokenizer, row["prompt"])
    for side in ("chosen", "rejected"):
        assert sides[side]["ids"][: len(asked)] == asked
        assert not any(sides[side]["own"][: len(asked)])
    batch = _collate_pairs([sides])
    assert batch["completion_mask"].sum() == sum(map(sum, (sides[side]["own"] for side in ("chosen", "rejected"))))
    assert batch["attention_mask"][0].sum() == len(sides["chosen"]["ids"])


def test_kto_sets_each_prompt_beside_the_answers_of_its_neighbour(
    store: ReplayStore, make: Any, tokenizer: Any
) -> None:
    store.add([a_run("Task 1", ["one"]), failed("Task 1")])
    singles = [example for _, example in _tokens(tokenizer, make().rows[0], "kto", HYPER)]
    assert [single["label"] for single in singles] == [True, False]
    batch = _collate_singles(singles)
    first = batch["KL_input_ids"][0][batch["KL_completion_mask"][0].bool()]
    assert tokenizer.decode(first) == tokenizer.decode(
        [i for i, mine in zip(singles[1]["ids"], singles[1]["own"], strict=True) if mine])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_what_passed_becomes_likelier_against_what_failed(
    store: ReplayStore, make: Any, tokenizer: Any, tmp_path: Path, torch_weights: Path, method: Any
) -> None:
    store.add([run for n in range(2) for run in (a_run(f"Task {n}", ["one"]), failed(f"Task {n}"))])
    made = make()
    # What KTO learns from a step hangs on which rows meet in it, and that is drawn: it is given time.
    hyper = HYPER if method == "dpo" else replace(HYPER, epochs=6, at_once=2)
    trained = preference.train(made, tmp_path / method, method=method, hyper=hyper)
    before, after = (_margin(tokenizer, made, torch_weights, adapter) for adapter in (None, trained.folder))
    assert after > before + 1
    if method == "dpo":  # and on from there, against the adapter as the reference
        more = preference.train(made, tmp_path / "more", start=trained.folder,
                                hyper=Hyper(rank=2, learning_rate=2e-3, epochs=1, batch=2, held_out=0, warmup=0))
        assert more.losses[0][1] == pytest.approx(0.6931, abs=0.02)  # it begins at its reference
        assert _margin(tokenizer, made, torch_weights, more.folder) > after


def test_kto_of_one_at_a_time_is_refused(store: ReplayStore, make: Any, tmp_path: Path) -> None:
    store.add([a_run("Task 1"), failed("Task 1")])
    with pytest.raises(UsageError, match="--at-once 2"):
        preference.train(make(), tmp_path / "out", method="kto", hyper=HYPER)


def test_rows_without_pairs_are_refused(store: ReplayStore, tokenizer: Any, tmp_path: Path) -> None:
    from autorl.train import dataset

    store.add([a_run("Task 1"), a_run("Task 2")])
    rows = dataset.make(store, tmp_path / "rows", tokenizer=tokenizer, tools=TOOLS)
    with pytest.raises(UsageError, match="holds no pairs"):
        preference.train(rows, tmp_path / "out")


def _margin(tokenizer: Any, made: Dataset, weights: Path, adapter: Path | None) -> float:
    """How much likelier (in nats) the chosen answers are than the rejected ones."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)

    def likelihood(side: dict[str, Any]) -> float:
        ids, own = torch.tensor([side["ids"]]), torch.tensor(side["own"][1:], dtype=torch.bool)
        with torch.no_grad():
            logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        return float(logps.gather(1, ids[0, 1:, None])[:, 0][own].sum())

    ((_, sides),) = _tokens(tokenizer, made.rows[0], "dpo", HYPER)
    return likelihood(sides["chosen"]) - likelihood(sides["rejected"])
