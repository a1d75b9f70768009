"""A grid is filled with exactly one episode a cell, whatever happens on the way."""

import itertools
import os
import signal
import threading
import time
from collections import Counter
from contextlib import closing

import pytest

from autorl import ReplayStore
from autorl.bench import ledger, run
from autorl.bench.ledger import Ending, Ledger
from autorl.bench.run import LEDGER, RUNS
from autorl.bench.spec import Budget, Setting
from autorl.errors import ModelUnavailable, UsageError
from autorl.models.scripted import Scripted
from autorl.settings import Settings
from autorl.types import Status
from tests.bench.world import (
    GIVEN,
    SPEC,
    begun,
    episodes,
    opens_doors,
    outcomes,
    run_on_a_small_disk,
    run_until_killed,
)
from tests.children import started
from tests.worlds import say


def door_opener(function):
    return {"scripted:door-opener": Scripted(function, name="door-opener")}


def test_every_cell_gets_one_episode_and_every_episode_is_a_stored_run():
    folder = begun()
    assert run.resume(folder, given=GIVEN).status == "complete"
    found = Counter((e.cell.setting, e.cell.size) for e in episodes(folder) if e.cell.phase == "held-out")
    assert found == {("agent", None): 6, **{
        (setting, size): 6 for setting in ("agent+replay", "random") for size in (0, 2, "all")}}
    assert len(outcomes(folder)) == len(episodes(folder))
    with closing(ReplayStore(folder / RUNS)) as runs:
        for episode in episodes(folder):
            kept = runs.get(episode.run)
            assert (kept.task.id, kept.status, kept.verified, len(kept.steps), kept.provenance.seed) == (
                episode.cell.task, episode.status, episode.verified, episode.steps, episode.cell.sampling_seed)
            assert episode.produced == any(runs.file(kept.id, artifact) for artifact in kept.artifacts)
    assert not (folder / "workspaces").exists()
    assert run.state(folder) == ("complete", "")


def test_a_failed_episode_says_how_it_ended_and_what_the_verifier_found():
    folder = begun()
    run.resume(folder, given=door_opener(lambda request: say("open_door", code=0)))
    for episode in episodes(folder):
        how, found = episode.reason.split("; ")
        assert how
        assert episode.status is not Status.FINISHED
        assert found == "it is shut"


def test_settings_are_asked_with_the_same_seeds():
    folder = begun()
    run.resume(folder, given=GIVEN)
    seeds = {}
    for episode in episodes(folder):
        cell = episode.cell
        if cell.phase == "held-out":
            seeds.setdefault((cell.task, cell.seed), set()).add(cell.sampling_seed)
    assert all(len(found) == 1 for found in seeds.values())
    assert len({seed for found in seeds.values() for seed in found}) == len(seeds) == 6


def test_held_out_episodes_are_shown_learning_runs_of_their_seed_and_size_only():
    folder = begun()
    run.resume(folder, given=GIVEN)
    found = episodes(folder)
    learned = {e.run: e for e in found if e.cell.phase == "learn"}
    for seed in (0, 1):
        filling = [e for e in learned.values() if e.cell.seed == seed]
        wins = [e.run for e in filling if e.verified]
        allowed = {0: set(), 2: set(wins[:2]), "all": set(wins)}
        for episode in found:
            if episode.cell.phase == "held-out" and episode.cell.seed == seed:
                shown = {recalled.run for recalled in episode.recalled}
                assert shown <= allowed.get(episode.cell.size, set())
                assert bool(shown) == (episode.cell.size in (2, "all"))
    for episode in learned.values():
        assert all(learned[r.run].cell.seed == episode.cell.seed for r in episode.recalled)
        assert all(learned[r.run].cell.task != episode.cell.task for r in episode.recalled)


def test_a_filling_tries_again_what_failed_and_nothing_that_passed():
    folder = begun()
    run.resume(folder, given=GIVEN)
    for seed in (0, 1):
        tried = [(e.cell.task, e.cell.attempt, e.verified) for e in episodes(folder)
                 if e.cell.phase == "learn" and e.cell.seed == seed]
        first = [task for task, attempt, _ in tried if attempt == 0]
        assert first == [f"door-{number}" for number in range(1, 6)]
        assert [task for task, attempt, _ in tried if attempt == 1] == [
            task for task, attempt, passed in tried if attempt == 0 and not passed]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run comes to that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("undisturbed")
        patch.setenv("AUTORL_HOME", str(folder / "home"))
        patch.chdir(folder)
        made = begun()
        run.resume(made, given=GIVEN)
        return outcomes(made)


@pytest.mark.parametrize("completions", [0, 3, 30, 90])
def test_a_run_killed_at_any_moment_goes_on_without_repeating_or_losing_an_episode(completions, undisturbed):
    folder = begun()
    child = started(run_until_killed, folder, completions)
    child.join(300)
    assert child.exitcode == -signal.SIGKILL
    assert run.state(folder)[0] == "killed"
    before = {episode.run for episode in episodes(folder)}
    assert run.resume(folder, given=GIVEN).status == "complete"
    assert before <= {episode.run for episode in episodes(folder)}
    assert outcomes(folder) == undisturbed


def test_a_run_killed_again_and_again_comes_to_its_end():
    folder = begun(held_out=2)
    for _ in range(3):
        child = started(run_until_killed, folder, 15)
        child.join(300)
        assert child.exitcode == -signal.SIGKILL
    assert run.resume(folder, given=GIVEN).status == "complete"
    assert len(outcomes(folder)) == len(episodes(folder))


def test_what_is_done_is_not_done_again():
    folder = begun(held_out=1)
    run.resume(folder, given=GIVEN)
    before = episodes(folder)
    assert run.resume(folder, given=door_opener([])).status == "complete"
    assert episodes(folder) == before


def test_a_token_budget_holds_and_what_it_left_out_can_be_played_later():
    folder = begun()
    ending = run.resume(folder, given=GIVEN, concurrency=1, budget=Budget(tokens=5000))
    assert (ending.status, "5,000 tokens" in ending.why) == ("budget", True)
    spent = sum(e.usage.total for e in episodes(folder)) + ending.lost
    assert 5000 <= spent < 5000 + 500  # by one completion at most
    again = run.resume(folder, given=GIVEN, budget=Budget(tokens=5001))
    assert again.status == "budget"
    assert run.resume(folder, given=GIVEN).status == "complete"


def test_an_hour_budget_counts_the_time_in_which_a_process_was_at_work():
    folder = begun()
    ending = run.resume(folder, given=GIVEN, budget=Budget(hours=0.5 / 3600))
    assert (ending.status, "hours" in ending.why) == ("budget", True)
    done = len(episodes(folder))
    assert run.resume(folder, given=GIVEN, budget=Budget(hours=0.5 / 3600)).status == "budget"
    assert len(episodes(folder)) == done


def test_an_hour_budget_ends_a_completion_under_way():
    class Slow(Scripted):
        said = 0

        def complete(self, request):
            for _ in range(1000):
                time.sleep(0.01)
                self.said += 1
                if request.on_text:
                    request.on_text(".")
            return super().complete(request)

    slow = Slow(opens_doors, name="door-opener")
    folder = begun()
    ending = run.resume(folder, given={"scripted:door-opener": slow}, concurrency=1, budget=Budget(hours=0.5 / 3600))
    assert (ending.status, "hours" in ending.why) == ("budget", True)
    assert slow.said < 1000
    assert not episodes(folder)


def test_a_model_that_dies_stops_the_grid_which_can_go_on():
    folder = begun()
    left = threading.Semaphore(30)

    def dies(request):
        if not left.acquire(blocking=False):
            raise ModelUnavailable("the server is gone", "Start it again")
        return opens_doors(request)

    with pytest.raises(ModelUnavailable, match="the server is gone"):
        run.resume(folder, given=door_opener(dies))
    assert run.state(folder) == ("failed", "the server is gone. Start it again")
    assert episodes(folder)
    assert run.resume(folder, given=GIVEN).status == "complete"
    assert len(outcomes(folder)) == len(episodes(folder))


def test_a_full_disk_stops_the_grid_which_can_go_on():
    folder = begun()
    child = started(run_on_a_small_disk, folder, 300_000)
    child.join(300)
    assert "StoreUnavailable" in (folder / "stopped").read_text()
    assert run.state(folder)[0] in ("failed", "killed")  # the ledger's own disk may be full, too
    assert run.resume(folder, given=GIVEN).status == "complete"
    assert len(outcomes(folder)) == len(episodes(folder))


def test_control_c_ends_the_steps_under_way_and_keeps_what_is_done():
    folder = begun()
    asked = itertools.count()

    def interrupted(request):
        if next(asked) == 30:
            os.kill(os.getpid(), signal.SIGINT)
        return opens_doors(request)

    assert run.resume(folder, given=door_opener(interrupted)).status == "interrupted"
    done = len(episodes(folder))
    assert done > 5
    assert run.resume(folder, given=GIVEN).status == "complete"


def test_what_the_framework_fails_with_in_one_episode_is_its_result_and_counted():
    folder = begun()

    def broken(request):
        if "room 1002" in request.messages[1]["content"]:
            raise RuntimeError("a bug")
        return opens_doors(request)

    assert run.resume(folder, given=door_opener(broken)).status == "complete"
    died = [e for e in episodes(folder) if e.died]
    assert {e.cell.task for e in died} == {"door-1002"}
    assert all((e.status, e.verified, e.died) == (Status.FAILED, False, "RuntimeError: a bug") for e in died)


def test_tools_may_depend_on_the_task():
    folder = begun(spec=SPEC.replace('tools = ["doors"]', 'tools = ["doors:{wing}"]'), held_out=2)
    run.resume(folder, given=GIVEN)
    with closing(ReplayStore(folder / RUNS)) as runs:
        for episode in episodes(folder):
            kept = runs.get(episode.run)
            assert kept.provenance.settings["tools"] == [f"doors:{kept.task.requirements['wing']}"]
    settings = {"agent": Setting(chosen=Settings(tools=("doors:{floor}",)))}
    other = run.begin(run.begun_with(folder)[0].model_copy(update={"settings": settings}), run.begun_with(folder)[1])
    with pytest.raises(UsageError, match=r"the tools doors:\{floor\} need 'floor' of the task 'door-1'"):
        run.resume(other, given=GIVEN)


def test_later_attempts_at_a_learning_task_are_warmer():
    folder = begun(held_out=1)
    run.resume(folder, given=GIVEN)
    with closing(ReplayStore(folder / RUNS)) as runs:
        warm = {e.cell.attempt: runs.get(e.run).provenance.settings["temperature"] for e in episodes(folder)}
    assert warm[0] == 0.7 < warm[1]


def test_two_processes_cannot_fill_one_grid():
    folder = begun()
    with closing(Ledger(folder / LEDGER)):
        assert run.state(folder)[0] == "new"
        with pytest.raises(UsageError, match="another process"):
            run.resume(folder, given=GIVEN)


def test_a_run_does_not_go_on_with_other_tools_than_it_began_with(monkeypatch):
    folder = begun(held_out=1)
    run.resume(folder, given=GIVEN, budget=Budget(tokens=1000))
    from autorl.formats.base import Format

    monkeypatch.setattr(Format, "prompt_hash", "another")
    with pytest.raises(UsageError, match=r"have changed since the run began, for agent scripted:door-opener"):
        run.resume(folder, given=GIVEN)


def test_a_run_is_found_by_its_name_its_folder_and_its_benchmark():
    first = begun()
    second = run.begin(*run.begun_with(first))
    assert first != second
    assert run.find(first.name) == run.find(str(first)) == first
    assert run.find("doors") == second
    with pytest.raises(UsageError, match="no run named 'windows'"):
        run.find("windows")


def test_progress_counts_down_to_nothing(monkeypatch):
    monkeypatch.setattr(run, "PATIENCE", 0)
    folder = begun()
    seen = []
    run.resume(folder, given=GIVEN, watch=seen.append)
    done = [sum(look.done.values()) for look in seen]
    assert done == sorted(done)
    assert done[0] < done[-1]
    assert sum(seen[0].todo.values()) > sum(seen[-1].todo.values()) == 0
    last = [entry for entry in ledger.read(folder / LEDGER) if isinstance(entry, Ending)]
    assert [entry.status for entry in last] == ["complete"]
