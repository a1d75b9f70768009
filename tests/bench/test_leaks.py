"""Held-out tasks that are known already are found by id and by text."""

import random

import pytest

from autorl import tasks
from autorl.bench.leaks import NEAR, Known, Leak, leaks, refuse, twins
from autorl.errors import UsageError
from autorl.types import Task

LEARN = [(task.id, task.text) for task in tasks.load("slides/learn").tasks]
HELD_OUT = tasks.load("slides/held_out").tasks
LOCKSMITH = next(task for task in HELD_OUT if task.id == "slides-locksmith-1")


def test_a_task_with_the_id_of_a_held_out_one_is_a_leak_whatever_it_says():
    assert leaks([*LEARN, ("slides-locksmith-1", "Something else")], HELD_OUT) == [
        Leak("slides-locksmith-1", "slides-locksmith-1", "id", 1.0)]


@pytest.mark.parametrize("change", [
    str.upper, lambda text: f"Hello! I hope that you can help me with this today. {text} Thank you very much.",
    lambda text: text.replace("230", "400").replace("6 slides", "8 slides"),
    lambda text: " ".join(sorted(text.split(". "), key=len)), lambda text: text.replace("key", "KEY \n"),
])
def test_a_text_that_is_nearly_a_held_out_one_is_a_leak_under_any_id(change):
    (leak,) = leaks([*LEARN, ("other", change(LOCKSMITH.text))], HELD_OUT)
    assert (leak.stored, leak.held_out, leak.how) == ("other", "slides-locksmith-1", "text")
    assert NEAR <= leak.likeness <= 1


def test_a_text_that_the_embedding_knows_nothing_of_leaks_all_the_same():
    assert leaks([("a", "  \u2603\u2603  ")], [Task(text="\u2603\u2603", id="b")]) == [Leak("a", "b", "text", 1.0)]


def test_a_store_that_holds_none_of_them_passes_and_one_that_does_is_refused_with_their_names():
    refuse(LEARN, HELD_OUT)
    with pytest.raises(UsageError) as raised:
        refuse([*LEARN, ("run-7", LOCKSMITH.text), (HELD_OUT[0].id, "Anything")], HELD_OUT)
    assert "2 tasks to learn from are held-out ones" in str(raised.value)
    assert "'run-7' says the same (likeness 1.00) as 'slides-locksmith-1'" in str(raised.value)


def test_nothing_leaks_from_nothing():
    assert leaks([], HELD_OUT) == leaks(LEARN, []) == []


def test_a_task_that_repeats_an_earlier_one_is_its_twin():
    again = Task(text=f"Please: {LOCKSMITH.text}", id="again")
    (twin,) = twins([*HELD_OUT, again])
    assert (twin.stored, twin.held_out) == ("again", "slides-locksmith-1")


def test_what_is_added_is_known_from_then_on():
    known = Known()
    assert known.nearest(["Make tea"]) == [("", 0.0)]
    known.add([Task(text="Make tea", id="tea")])
    known.add([Task(text="Repair the roof", id="roof")])
    assert known.nearest(["make  TEA", "Repair the roof of the barn"])[0] == ("tea", 1.0)
    assert known.nearest(["Repair the roof of the barn"])[0][0] == "roof"


def test_one_leak_is_found_among_thousands_of_tasks_that_are_read_once():
    chance = random.Random(0)
    words = [word for _, text in LEARN for word in text.split()]
    texts = (LOCKSMITH.text if number == 1_234 else " ".join(chance.choices(words, k=12)) for number in range(2_000))
    assert [leak.stored for leak in leaks(((str(n), text) for n, text in enumerate(texts)), HELD_OUT)] == ["1234"]
