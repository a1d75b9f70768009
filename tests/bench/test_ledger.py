"""What is in the ledger is on disk and whole, whatever its writer died of."""

import os
from contextlib import closing

import pytest

from autorl.bench import ledger
from autorl.bench.ledger import Ending, Episode, Ledger
from autorl.bench.spec import Cell
from autorl.errors import StoreUnavailable, UsageError
from autorl.types import Recalled, Status, Usage


def an_episode(task="a", **changes):
    cell = Cell(phase="held-out", model="m", setting="s", seed=1, size=4, task=task)
    values = {"cell": cell, "run": f"run-{task}", "status": Status.FINISHED, "verified": True, "recallable": True,
              "score": 0.5, "steps": 3, "usage": Usage(prompt_tokens=7),
              "recalled": (Recalled(run="r", rank=0, score=1),)}
    return Episode(**{**values, **changes})


def test_what_is_added_is_read_back(tmp_path):
    path = tmp_path / "ledger.jsonl"
    assert list(ledger.read(path)) == []
    entries = [an_episode("a"), an_episode("b"), Ending(status="budget", why="spent", lost=5)]
    with closing(Ledger(path)) as book:
        book.add(entries[:2])
        book.add(entries[2:])
    assert list(ledger.read(path)) == entries


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_line_that_was_cut_off_is_no_entry_and_the_next_one_is(cut, tmp_path):
    path = tmp_path / "ledger.jsonl"
    with closing(Ledger(path)) as book:
        book.add([an_episode("a"), an_episode("b")])
    path.write_bytes(path.read_bytes()[:-cut])
    assert [entry.run for entry in ledger.read(path)] == ["run-a"]
    with closing(Ledger(path)) as book:
        book.add([an_episode("c")])
    assert [entry.run for entry in ledger.read(path)] == ["run-a", "run-c"]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with closing(Ledger(path)) as book:
        book.add([an_episode("a")])
    with path.open("a") as file:
        file.write('{"kind": "episode", "run": "x"}\n')
    with pytest.raises(UsageError, match=r"line 2 of the ledger .* is damaged"):
        list(ledger.read(path))


def test_on_a_full_disk_all_entries_of_a_call_are_kept_or_none(tmp_path, monkeypatch):
    path = tmp_path / "ledger.jsonl"
    real = os.write
    with closing(Ledger(path)) as book:
        book.add([an_episode("a")])

        def half(file, data):
            if len(data) < 100:
                raise OSError(28, "No space left on device")
            return real(file, data[: len(data) // 2])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(StoreUnavailable, match=r"No space left.*Make room"):
                book.add([an_episode("b"), an_episode("c")])
        book.add([an_episode("d")])
    assert [entry.run for entry in ledger.read(path)] == ["run-a", "run-d"]


def test_one_process_writes_at_a_time_and_others_see_that(tmp_path):
    path = tmp_path / "ledger.jsonl"
    assert not ledger.held(path)
    with closing(Ledger(path)) as book:
        book.add([an_episode("a")])
        assert ledger.held(path)
        with pytest.raises(UsageError, match="another process is at work"):
            Ledger(path)
        assert [entry.run for entry in ledger.read(path)] == ["run-a"]
    assert not ledger.held(path)
