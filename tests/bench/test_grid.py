"""Every cell comes up exactly once, after the store that it recalls from is there."""

from hypothesis import given
from hypothesis import strategies as st

from autorl.bench.fill import ordered
from autorl.bench.grid import Grid
from autorl.bench.ledger import Episode
from autorl.bench.progress import Pace
from autorl.bench.spec import Cell, Fill, Setting, Spec, Split, Tasks
from autorl.settings import Settings
from autorl.types import Status, Task


def a_spec(sizes=(0, 2, "all"), attempts=2, seeds=(0, 1), **changes):
    settings = {
        "agent": Setting(chosen=Settings(k=0)),
        "replay": Setting(chosen=Settings(), fill="replay"),
        "random": Setting(chosen=Settings(recall="random"), fill="replay"),
        "own": Setting(chosen=Settings(), fill="own"),
        "none": Setting(chosen=Settings(recall="none")),
        "once": Setting(chosen=Settings(recall="recent"), fill="replay", sizes=sizes[-1:]),
    }
    return Spec(**{"name": "x", "models": ("a", "b"), "seeds": seeds, "sizes": sizes, "settings": settings,
                   "tasks": Tasks(held_out=("any",)), "fill": Fill(attempts=attempts), **changes})


def some_tasks(learn=4, held_out=3):
    return Split(learn=tuple(Task(text=f"Learn {n}", id=f"l{n}") for n in range(learn)),
                 held_out=tuple(Task(text=f"Do {n}", id=f"h{n}") for n in range(held_out)))


def an_episode(cell, passed=True, seconds=1.0):
    return Episode(cell=cell, run="r", status=Status.FINISHED, verified=passed, recallable=passed, wall=seconds)


def play(grid, passes, choose=lambda running: 0):
    """Play the whole grid, three episodes at a time, which end in the order that `choose` says; returns them."""
    running, done = [], []
    while True:
        while len(running) < 3 and (cell := grid.take()):
            running.append(cell)
        if not running:
            return done
        cell = running.pop(choose(running) % len(running))
        done.append(an_episode(cell, passes(cell)))
        grid.took(done[-1])


@given(chance=st.randoms(use_true_random=False), sizes=st.sets(st.sampled_from([0, 1, 2, 3, 4, 7, "all"]), min_size=1),
       attempts=st.integers(1, 3))
def test_every_cell_is_played_once_or_counted_as_out_of_reach(chance, sizes, attempts):
    spec, tasks = a_spec(tuple(sizes), attempts), some_tasks()
    grid = Grid(spec, tasks)
    done = play(grid, lambda cell: chance.random() < 0.4, lambda running: chance.randrange(10))
    cells = [episode.cell for episode in done]
    assert len(set(cells)) == len(cells)
    measured = [cell for cell in cells if cell.phase == "held-out"]
    out = sum(count for _, _, count in grid.unreached())
    planned = 3 * 2 * 2 * (2 + 3 * len(sizes) + 1)
    assert len(measured) + out == planned
    assert grid.todo.total() == 0
    for filling, size, count in grid.unreached():
        assert len(filling.solved) < size
        assert count == 3 * (1 if filling.setting == "own" else 3 if size == spec.sizes[-1] else 2)


@given(chance=st.randoms(use_true_random=False), cut=st.integers(0, 60))
def test_a_grid_told_of_its_episodes_stands_where_it_stood(chance, cut):
    spec, tasks = a_spec(), some_tasks()
    verdicts = {}

    def passes(cell):
        return verdicts.setdefault(cell, chance.random() < 0.5)

    whole = play(Grid(spec, tasks), passes)
    again = Grid(spec, tasks)
    for episode in whole[:cut]:
        again.took(episode)
    rest = play(again, passes)
    assert {e.cell for e in whole[:cut]} | {e.cell for e in rest} == {e.cell for e in whole}
    assert len(whole[:cut]) + len(rest) == len(whole)


def test_a_cell_that_recalls_comes_after_its_store_has_come_to_its_size():
    grid = Grid(a_spec(), some_tasks())
    passed = set()
    for episode in play(grid, lambda cell: cell.task != "l0"):
        cell = episode.cell
        key = (cell.model, "own" if cell.setting == "own" else "replay", cell.seed)
        if cell.phase == "learn":
            passed |= {(key, cell.task)} if episode.recallable else set()
        elif cell.size:
            assert sum(where == key for where, _ in passed) >= (3 if cell.size == "all" else cell.size)
        if cell.setting in ("agent", "none"):
            assert cell.size is None


def test_a_setting_is_asked_at_its_own_sizes_alone():
    done = play(Grid(a_spec(sizes=(0, 2, 4)), some_tasks()), lambda cell: True)
    assert {episode.cell.size for episode in done if episode.cell.setting == "once"} == {4}
    assert {episode.cell.size for episode in done if episode.cell.setting == "random"} == {0, 2, 4}


def test_a_store_is_not_filled_beyond_the_largest_size():
    done = play(Grid(a_spec(sizes=(0, 2)), some_tasks(learn=10)), lambda cell: True)
    assert sum(episode.cell.phase == "learn" for episode in done) == 2 * (2 * 2 * 2)
    done = play(Grid(a_spec(sizes=(0,)), some_tasks(learn=10)), lambda cell: True)
    assert all(episode.cell.phase == "held-out" for episode in done)


def test_what_brought_a_store_to_a_size_ends_with_a_success():
    grid = Grid(a_spec(attempts=1), some_tasks(learn=6))
    play(grid, lambda cell: int(cell.task[1:]) % 2 == 1 if cell.phase == "learn" else True)
    filling = grid.fillings["a", "replay", 0]
    assert [e.cell.task for e in filling.until(2)] == ["l0", "l1", "l2", "l3"]
    assert [e.cell.task for e in filling.until("all")] == [f"l{n}" for n in range(6)]
    assert filling.until(0) == []


def test_a_store_that_stood_at_a_size_stays_as_it_stood_while_its_filling_goes_on():
    grid = Grid(a_spec(attempts=1), some_tasks(learn=6))
    filling = grid.fillings["a", "replay", 0]
    stood = []
    play(grid, lambda cell: stood.append((cell.task, filling.until(2))) or True)
    at_two = next(found for task, found in stood if task == "l2")
    assert [e.cell.task for e in at_two] == ["l0", "l1"]


def test_learning_tasks_come_in_the_stated_order():
    tasks = [Task(text=str(n), id=str(n), requirements={"optimal": optimal}) for n, optimal in enumerate((5, 2, 9, 2))]
    assert ordered(tasks, Fill(order="listed"), 0) == ["0", "1", "2", "3"]
    assert ordered(tasks, Fill(order="short"), 0) == ["1", "3", "0", "2"]
    assert ordered(tasks, Fill(order="shuffled"), 0) == ordered(tasks, Fill(order="shuffled"), 0)
    assert len({tuple(ordered(tasks, Fill(order="shuffled"), seed)) for seed in range(20)}) > 5


def test_the_sampling_seed_depends_on_seed_task_and_attempt_only():
    cell = Cell(phase="held-out", model="a", setting="s", seed=1, task="t")
    for same in ({"model": "b"}, {"setting": "x"}, {"size": 4}, {"phase": "learn"}):
        assert cell.model_copy(update=same).sampling_seed == cell.sampling_seed
    for other in ({"seed": 2}, {"task": "u"}, {"attempt": 1}):
        assert cell.model_copy(update=other).sampling_seed != cell.sampling_seed
    assert 0 <= cell.sampling_seed < 2**31


def test_the_time_left_is_guessed_from_medians_and_is_unknown_before_the_first_episode():
    spec = a_spec(seeds=(0,), models=("a",), settings={"agent": Setting(chosen=Settings(k=0))})
    grid, pace = Grid(spec, some_tasks(held_out=22)), Pace()
    assert pace.look(grid, 2, 0, 0.0).left is None
    for seconds in (1, 1, 1, 1, 2, 2, 2, 2, 2, 6, 6, 6):
        episode = an_episode(grid.take(), seconds=seconds)
        grid.took(episode)
        pace.took(episode)
    look = pace.look(grid, 2, 0, 0.0)
    assert look.left == (10 * 1 / 2, 10 * 2 / 2, 10 * 2 / 2)
    assert "held-out 12/22, 12 passed; 0 tokens; 0 s; about 10 s left (5 s to 10 s)" in look.line()


def test_a_store_cannot_be_filled_faster_than_one_episode_after_the_other():
    spec, tasks = a_spec(sizes=("all",), attempts=1, seeds=(0,), models=("a",)), some_tasks(learn=50, held_out=1)
    grid, pace = Grid(spec, tasks), Pace()
    cell = grid.take()
    grid.took(an_episode(cell, seconds=3.0))
    pace.took(an_episode(cell, seconds=3.0))
    _, middle, _ = pace.look(grid, 64, 0, 0.0).left
    assert middle == 50 * 3.0


def test_a_store_that_is_not_begun_is_taken_to_fill_like_the_others():
    replay = Setting(chosen=Settings(), fill="replay")
    spec = a_spec(sizes=(20,), attempts=9, models=("a",), settings={"replay": replay})
    grid, pace = Grid(spec, some_tasks(learn=30, held_out=1)), Pace()
    for passed in (False, True, False, True):
        episode = an_episode(grid.take(), passed)
        grid.took(episode)
        pace.took(episode)
    first, other = grid.fillings.values()
    assert (len(first.episodes), len(other.episodes)) == (4, 0)
    assert pace.look(grid, 1, 0, 0.0).todo["a", "replay", "learn"] == (20 - 2) * 4 / 2 + 20 * 4 / 2


def test_guided_attempts_at_a_task_come_in_a_row():
    spec = a_spec(sizes=(1, 2, "all"), seeds=(0,), models=("a",), fill=Fill(attempts=3, guided=True))
    grid = Grid(spec, some_tasks(learn=3))
    done = play(grid, lambda cell: cell.task != "l1")
    learned = [(episode.cell.task, episode.cell.attempt) for episode in done
               if (episode.cell.phase, episode.cell.setting) == ("learn", "replay")]
    assert learned == [("l0", 0), ("l1", 0), ("l1", 1), ("l1", 2), ("l2", 0)]
