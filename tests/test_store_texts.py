"""What the store is measured with: made-up texts and runs, and what recall and writing are held against."""

import re
import sqlite3
import sys
from collections import Counter
from itertools import islice
from math import log
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "eval"))

import store_writing
from store.build import fill
from store.exact import Exact, recall_of_all, recall_of_meaning
from store.runs import QUERIES, TOOLSETS, queries, runs
from store.texts import Texts
from store_recall import label, milliseconds

from autorl.replay.store import ReplayStore


@pytest.fixture(scope="module")
def texts():
    return Texts()


@pytest.fixture(scope="module")
def some(texts):
    """Texts of many matters, three wordings each."""
    return [texts.text(number // 3, number % 3) for number in range(9_000)]


def words(text):
    return re.findall(r"\w+", text.lower())


def test_the_same_number_gives_the_same_text_every_time(texts):
    numbers = [(1, 0), (1, 1), (77, 3), (500_000, 0)]
    asked = [texts.text(*number) for number in numbers]
    assert asked == [Texts().text(*number) for number in numbers]
    assert not set(asked) & {Texts(seed=1).text(*number) for number in numbers}


def test_how_often_a_word_comes_up_falls_with_its_rank_as_in_real_text(texts, some):
    counts = sorted(Counter(word for text in some for word in words(text)).values(), reverse=True)
    (high, often), (low, seldom) = ((log(rank), log(counts[rank - 1])) for rank in (10, 5_000))
    assert -1.3 < (seldom - often) / (low - high) < -0.8
    assert sum(count == 1 for count in counts) > len(counts) / 5, "many words come up once"
    assert len(set(texts.words)) >= 30_000


def test_texts_are_as_long_as_tasks_are(texts, some):
    lengths = [len(text.split()) for number, text in enumerate(some) if texts.language(number // 3) != "japanese"]
    assert min(lengths) >= 8
    assert max(lengths) <= 40


def test_wordings_of_one_matter_share_its_words_and_those_of_two_do_not(texts):
    common = set(words(" ".join(texts.text(matter, 0) for matter in range(2_000, 2_100))))

    def shared(one, other):
        return len((set(words(one)) & set(words(other))) - common)

    same = [shared(texts.text(matter, 1), texts.text(matter, 2)) for matter in range(300)]
    different = [shared(texts.text(matter, 1), texts.text(matter + 1, 2)) for matter in range(300)]
    assert sum(same) > 5 * sum(different)


def test_runs_are_several_of_a_task_and_of_every_outcome(texts):
    made = list(runs(texts, 2_000))
    assert len({run.id for run in made}) == 2_000
    assert 1.8 < 2_000 / len({run.task.id for run in made}) < 3
    assert 0.6 < sum(run.verified for run in made) / 2_000 < 0.75
    assert 0.02 < sum(run.tainted for run in made) / 2_000 < 0.1
    assert {run.verdict is None for run in made} == {True, False}
    assert {frozenset(a.name for a in run.actions) <= set(TOOLSETS["slides"]) for run in made} == {True, False}
    ids = {run.id: run for run in made}
    shown = [(ids[recalled.run], run) for run in made for recalled in run.recalled]
    assert shown
    assert all(earlier.verified and earlier.started < later.started for earlier, later in shown)


def test_what_is_asked_is_of_every_kind_and_not_stored(texts):
    asked = queries(texts, 2_000, 100)
    assert Counter(query.kind for query in asked) == {kind: round(100 * share) for kind, share in QUERIES.items()}
    assert not {query.text for query in asked} & {run.task.text for run in runs(texts, 2_000)}


def test_a_store_is_filled_with_all_runs_and_a_small_one_is_searched_exactly(texts, tmp_path):
    fill(str(tmp_path / "replay.db"), 600)
    store = ReplayStore(tmp_path / "replay.db")
    assert sum(count for status, count in store.counts().items() if status != "passed") == 600
    exact = Exact(store)
    assert set(exact.tasks) == {run.task.id for run in runs(texts, 600)}
    asked = queries(texts, 600, 20)
    assert recall_of_meaning(store, exact, asked) == 1
    assert recall_of_all(exact, exact, asked) == 1
    assert recall_of_all(store, exact, asked) > 0.5


def test_bare_sqlite_is_given_the_very_rows_that_the_store_wrote(tmp_path):
    store = ReplayStore(tmp_path / "store.db")
    bare = store_writing.empty(tmp_path / "bare.db")
    reader = sqlite3.connect(tmp_path / "store.db")
    seen = {}
    for batch in islice(store_writing.batches(2), 2):
        store.add(batch)
        rows = store_writing.added(reader, seen)
        assert len(rows["runs"]) == store_writing.BATCH
        store_writing.insert(bare, rows)
    for table in (name for name in store_writing.TABLES if name != "records"):  # its rows change afterwards
        written, read = (database.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
                         for database in (reader, bare))
        assert written == read
        assert written or table not in ("tasks", "runs", "steps", "observations", "verdicts", "recallable")
    store.close()


def test_a_median_comes_with_the_interval_it_lies_in():
    figure = milliseconds([n / 1000 for n in range(1, 101)], 0.5)
    assert (figure["value"], figure["interval"], figure["n"]) == (51, [41, 61], 100)
    assert [label(count) for count in (10_000, 100_000, 1_000_000)] == ["1e4", "1e5", "1e6"]
