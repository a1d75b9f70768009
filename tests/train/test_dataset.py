"""Which runs a policy learns from, and what is told of those that it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from autorl.errors import UsageError
from autorl.replay.store import ReplayStore
from autorl.train import dataset
from autorl.train.dataset import Choice, Dataset
from autorl.types import Provenance, Status
from tests.train.small import TOOLS, a_run, steps

PLAIN = Choice(exemplars=0)


@pytest.fixture
def make(store: ReplayStore, tokenizer: Any, tmp_path: Path) -> Any:
    def make_it(choice: Choice = PLAIN, folder: str = "rows", tools: Any = TOOLS) -> Dataset:
        return dataset.make(store, tmp_path / folder, choice, tokenizer=tokenizer, tools=tools)

    return make_it


def test_only_what_finished_passed_and_is_trusted_is_learned(store: ReplayStore, make: Any) -> None:
    good = [a_run("Task 1"), a_run("Task 2")]
    tainted = a_run("Task 3")
    first = tainted.steps[0]
    assert first.observation
    outside = first.model_copy(update={"observation": first.observation.model_copy(update={"tainted": True})})
    tainted = tainted.model_copy(update={"steps": (outside, *tainted.steps[1:])})
    store.add([*good, tainted, a_run("Task 4", passed=False, score=0.2), a_run("Task 5", passed=None),
               a_run("Task 6", status=Status.OUT_OF_STEPS)])
    store.add([a_run("Task 7")], trust="quarantined")
    revoked = a_run("Task 8")
    store.add([revoked])
    store.trust(revoked.id, "revoked", "it cheated")
    assert set(make().runs) == {run.id for run in good}
    store.trust(tainted.id, "trusted", "somebody looked at it")
    again = make(folder="again")
    assert set(again.runs) == {run.id for run in good}
    assert again.manifest["dropped"] == {"read what came from outside": 1}


def test_the_best_of_a_task_come_first_then_the_shorter_and_no_more_than_the_cap(store: ReplayStore, make: Any) -> None:
    best, short, long = (a_run("Task", [f"a{n}"], score=0.9) for n in range(3))
    long = long.model_copy(update={"steps": steps(["x", "y", "z"])})
    worst = a_run("Task", ["other"], score=0.6)
    best = best.model_copy(update={"verdict": best.verdict.model_copy(update={"score": 1.0})})  # type: ignore[union-attr]
    store.add([worst, long, short, best, a_run("Another task")])
    made = make(Choice(exemplars=0, per_task=2))
    assert [run for run in made.runs if run in {best.id, short.id, long.id, worst.id}] == [best.id, short.id]
    assert made.manifest["dropped"] == {"beyond the cap of their task": 2}


def test_runs_that_do_the_same_count_once(store: ReplayStore, make: Any) -> None:
    words = [f"word{n}" for n in range(10)]
    store.add([a_run("Task", words), a_run("Task", words), a_run("Task", [*words[:-1], "else"]), a_run("Task 2")])
    made = make(Choice(exemplars=0, per_task=4))
    assert made.manifest["dropped"] == {"do what a better run does": 1}
    assert len(made.rows) == 3


def test_actions_that_no_longer_fit_their_tools_drop_the_run(store: ReplayStore, make: Any) -> None:
    from autorl.registry import Toolset, tool

    @tool
    def add(word: str, times: int) -> str:
        """Add a word so many times."""
        return word * times

    store.add([a_run("Task 1"), a_run("Task 2"), a_run("Task 3", provenance=Provenance(settings={"tools": ["gone"]}))])
    assert len(make().rows) == 3
    with pytest.raises(UsageError, match="3 an action no longer fits its tool"):
        make(folder="changed", tools=Toolset.of([add], lambda name: None))  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match="3 their tools are not here"):
        make(folder="packs", tools=None)


def test_a_row_that_is_too_long_is_left_out_and_counted_never_cut(store: ReplayStore, make: Any) -> None:
    long = a_run("Task 3", ["word"] * 80)
    store.add([a_run("Task 1"), a_run("Task 2"), long])
    made = make(Choice(exemplars=0, max_tokens=600))
    assert long.id not in made.runs
    assert made.manifest["dropped"] == {"longer than 600 tokens": 1}
    assert make(Choice(exemplars=0, max_tokens=8000), "all").manifest["dropped"] == {}


def test_a_stated_share_of_the_rows_is_shown_runs_of_other_tasks(store: ReplayStore, make: Any) -> None:
    store.add([a_run(f"Add {n} words", [f"word{n}"]) for n in range(8)])
    made = make(Choice(exemplars=0.5))
    shown = [row for row in made.rows if row["exemplars"]]
    assert len(shown) == 4 == made.manifest["with_exemplars"]
    of_task = {row["run"]: row["task"] for row in made.rows}
    assert all(of_task[exemplar] != row["task"] for row in shown for exemplar in row["exemplars"])
    assert all(len([m for m in row["messages"] if m["role"] == "assistant"]) >= 2 for row in made.rows)
    assert make(Choice(exemplars=0), "none").manifest["with_exemplars"] == 0
    assert make(Choice(exemplars=1), "each").manifest["with_exemplars"] == 8


def test_where_there_is_no_room_for_exemplars_the_row_stays_without_them_and_that_is_told(
    store: ReplayStore, make: Any
) -> None:
    store.add([a_run(f"Add {n} words", [f"word{n}"]) for n in range(3)])
    longest = max(row["tokens"] for row in make().rows)
    made = make(Choice(exemplars=1, max_tokens=longest), "tight")
    assert made.manifest["with_exemplars"] == 0
    assert made.manifest["notes"] == {"shown no exemplar for want of room": 3}


def test_the_manifest_names_every_run_and_the_same_store_gives_the_same_rows(store: ReplayStore, make: Any) -> None:
    store.add([a_run(f"Task {n}", score=n / 10) for n in range(1, 5)])
    one, other = make(Choice(exemplars=0.5)), make(Choice(exemplars=0.5), "other")
    assert one.hash == other.hash
    assert [source["run"] for source in one.manifest["runs"]] == [row["run"] for row in one.rows]
    assert {source["score"] for source in one.manifest["runs"]} == {0.1, 0.2, 0.3, 0.4}
    assert one.manifest["settings"]["exemplars"] == 0.5
    assert one.manifest["prompt_hash"]
    assert Dataset.read(one.folder) == one


def test_rows_that_are_not_those_of_the_manifest_are_refused(store: ReplayStore, make: Any) -> None:
    store.add([a_run("Task 1"), a_run("Task 2")])
    folder = make().folder
    rows = (folder / "rows.jsonl").read_text().replace("one", "ten")
    (folder / "rows.jsonl").write_text(rows)
    with pytest.raises(UsageError, match="are not those"):
        Dataset.read(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match="holds no data set"):
        Dataset.read(folder)


def test_nothing_is_written_into_a_folder_that_holds_something_else(
    store: ReplayStore, make: Any, tmp_path: Path
) -> None:
    store.add([a_run("Task 1"), a_run("Task 2")])
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty"):
        make()
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["thesis.txt"]


def test_too_little_to_learn_from_is_told_with_what_to_do(store: ReplayStore, make: Any) -> None:
    with pytest.raises(UsageError, match=r"holds no runs.*autorl collect"):
        make()
    store.add([a_run("Task 1", passed=False, score=0.1), a_run("Task 2", passed=False, score=0.1)])
    with pytest.raises(UsageError, match=r"none of the 2 runs in .* passed.*autorl feedback"):
        make()
    store.add([a_run("Task 3")])
    with pytest.raises(UsageError, match=r"is one task .*learned by heart"):
        make()
    assert not list(Path.cwd().glob("rows*"))


def test_a_data_set_with_a_run_that_was_revoked_since_is_refused_and_made_again_without_it(
    store: ReplayStore, make: Any
) -> None:
    runs = [a_run(f"Task {n}") for n in range(3)]
    store.add(runs)
    made = make()
    made.check_trust(store)
    store.trust(runs[1].id, "revoked", "it cheated")
    with pytest.raises(UsageError, match=f"no longer trusted: {runs[1].id}"):
        made.check_trust(store)
    assert runs[1].id not in make(folder="again").runs


def test_rows_are_in_the_form_that_trl_takes(store: ReplayStore, make: Any) -> None:
    store.add([a_run("Task 1"), a_run("Task 2")])
    for line in (make().folder / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert [message["role"] for message in row["messages"][:3]] == ["system", "user", "assistant"]
        assert row["messages"][-1]["role"] == "assistant"
