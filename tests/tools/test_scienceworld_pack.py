"""The world of ScienceWorld: its own score, runs that survive their process, and what it says to mistakes."""

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from dataclasses import replace

import pytest
from autorl_tools.scienceworld import ACTIONS, MOVES, Scene, Simulator, lacking

from autorl import Agent
from autorl import tasks as task_sets
from autorl.content import load_pack
from autorl.errors import UnknownName, UsageError
from autorl.models.scripted import Scripted
from autorl.registry import RunContext
from autorl.replay.recall import Recall
from autorl.tasks import misunderstood
from autorl.types import Context, Limits, Status, Task
from autorl.workspace import Workspace
from tests import needs
from tests.worlds import say

SHORT = ("lifespan-longest-lived", "power-component")
VERIFIER = load_pack("scienceworld").verifiers["scienceworld"]


@pytest.fixture(autouse=True)
def _world():
    for what, remedy in lacking().items():
        needs.require(False, what, remedy)


@pytest.fixture(scope="module")
def gold():
    """The path that ScienceWorld itself finds to the end of a task."""
    simulator = Simulator()
    known = {}

    def path(task):
        if task.id not in known:
            simulator.load(Scene.of(task), gold=True)
            known[task.id] = list(simulator.calls.getGoldActionSequence())
        return known[task.id]

    return path


@pytest.fixture
def play(make_run):
    """A run of a task of ScienceWorld."""

    def begin(task):
        run = make_run(packs=("scienceworld",))
        run.task = task
        return run

    return begin


def a_task(kind=SHORT[0], **requirements):
    return Task(text="Do it", id=kind, requirements={"task": kind, **requirements})


def acts(run, actions):
    return [run.done("act", action=action) for action in actions]


def to_the_end(run, actions):
    """A path may go on when all is done."""
    for action in actions:
        if "act" in offered(run):
            run.done("act", action=action)


def offered(run):
    """What a constrained policy may choose from now."""
    return [spec.name for spec in run.tools.available(RunContext(run.workspace, run.task))]


def judged(run):
    """As a verifier judges that comes later, in another process."""
    return VERIFIER(run.task, run.trajectory, Workspace(run.workspace.root))


def ended(process, within=60.0):
    """Whether the process of that number is gone, or nothing but a number."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def java_of(run):
    return run.workspace.documents[ACTIONS]._simulator.java


# Its own score.


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHORT)
def test_the_path_that_the_world_itself_finds_passes_with_all_points(kind, play, gold):
    run = play(a_task(kind))
    to_the_end(run, gold(run.task))
    assert run.call("finish").ends_run
    verdict = judged(run)
    assert (verdict.passed, verdict.score) == (True, 1)
    assert judged(run) == verdict


def test_score_and_words_are_those_of_its_own_python_class(play, gold):
    from scienceworld import ScienceWorldEnv

    run = play(a_task())
    path = gold(run.task)
    published = ScienceWorldEnv(SHORT[0])
    try:
        published.load(SHORT[0], 0, "")
        published.reset()
        for action in ("look around", *path):
            text, _, over, info = published.step(action)
            seen = run.call("act", action=action)
            assert seen.text.startswith(text.strip())
            assert (seen.data["score"], seen.data["moves"]) == (info["score"], info["moves"])
            assert ("The task is over" in seen.text) == over
            if over:
                break
        assert over
    finally:
        published.close()


def test_the_wrong_focus_fails_a_task_for_good(play):
    run = play(a_task("boil"))
    said = run.done("act", action="focus on agent")
    assert "The task is over, with 0 of 100 points" in said
    assert "the task is over. Call finish" in run.refused("act", action="look around")
    verdict = judged(run)
    assert (verdict.passed, verdict.score, verdict.why) == (False, 0, "-100 of 100 points after 1 moves")


def test_without_an_action_there_are_no_points(play):
    verdict = judged(play(a_task("boil")))
    assert (verdict.passed, verdict.score, verdict.verifier) == (False, 0, "scienceworld@1")


def test_a_task_is_over_after_its_moves_and_not_before(play):
    run = play(a_task("boil", moves=12))
    assert "This is move 11 of 12." in run.done("act", action="wait")
    assert offered(run) == ["act"]
    assert "not over, after 11 of 12 moves" in run.refused("finish")
    assert "The task is over" in acts(run, ["wait1"])[-1]
    assert offered(run) == ["finish"]
    assert run.call("finish").ends_run


def test_a_constraint_keeps_to_what_the_world_takes_now(make_run):
    run = make_run(packs=("scienceworld:valid",))
    run.task = a_task("boil", variation=1, simplification="easy")
    assert run.tools.specs == make_run(packs=("scienceworld",)).tools.specs
    for action in ("teleport to kitchen", "open door", "0"):
        (spec,) = run.tools.available(RunContext(run.workspace, run.task))
        choices = spec.parameters["properties"]["action"]["enum"]
        assert len(choices) > 1
        assert action in choices or action == "open door"
        run.done("act", action=action)
    assert json.loads(run.workspace.path(ACTIONS).read_bytes())[-1] == ["0", True]
    assert judged(run).score == run.steps[-1].observation.data["score"] / 100


# What becomes of a run when its process does not live on.


@pytest.mark.slow
def test_a_run_goes_on_after_kill_9_as_if_nothing_had_happened(play, gold):
    task = a_task("find-non-living-thing")
    path = gold(task)
    whole, cut = play(task), play(task)
    script = textwrap.dedent("""
        import json, os, signal, sys
        from pathlib import Path
        from autorl.content import load_pack
        from autorl.registry import RunContext, Toolset
        from autorl.types import Action, Task
        from autorl.workspace import Workspace

        folder, task, *path = sys.argv[1:]
        context = RunContext(Workspace(Path(folder)), Task.model_validate_json(task))
        tools = Toolset.of(["scienceworld"], load_pack)
        seen = [tools.carry_out(Action(name="act", arguments={"action": action}), context).text for action in path]
        print(json.dumps([seen, context.workspace.documents["actions.json"]._simulator.java.pid]), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script, cut.workspace.root, task.model_dump_json(), *path[:3]],
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == -signal.SIGKILL, done.stderr
    seen, java = json.loads(done.stdout)
    assert ended(java), "no Java process outlives a run's own"
    assert seen + acts(cut, path[3:]) == acts(whole, path)
    assert judged(cut).passed


def test_a_java_process_that_dies_is_replaced(play, gold):
    run = play(a_task("find-non-living-thing"))
    path = gold(run.task)
    acts(run, path[:2])
    java_of(run).kill()
    java_of(run).wait()
    to_the_end(run, path[2:])
    assert judged(run).passed


def test_a_java_process_ends_with_its_run(play):
    run = play(a_task())
    acts(run, ["look around"])
    number = java_of(run).pid
    run.workspace = None
    gc.collect()
    assert ended(number)


def test_what_the_workspace_says_was_done_counts(play, gold):
    run = play(a_task())
    acts(run, ["look around"])
    run.workspace.write(ACTIONS, json.dumps([[action, False] for action in gold(run.task)]).encode())
    assert "the task is over" in run.refused("act", action="look around")
    for broken in (b"[1]", b"{", b'{"a": 1}'):
        run.workspace.write(ACTIONS, broken)
        assert "does not hold the actions of this run" in run.refused("act", action="look around")


def test_an_agent_takes_its_run_up_again_and_is_judged_by_all_of_it(store, gold, tmp_path):
    task = a_task()
    path = gold(task)
    answers = [*(say("act", action=action) for action in ("fly", *path)), say("finish")]

    agent = Agent(model=Scripted(answers[:3]), tools=["scienceworld"], store=store, recall=Recall(k=0),
                  limits=Limits(steps=3), workspaces=tmp_path)
    left = agent.solve(task)
    assert (left.status, left.verified) == (Status.OUT_OF_STEPS, False)
    assert 0 < left.verdict.score < 1
    done = replace(agent, model=Scripted(answers[3:]), limits=Limits()).resume(left.id)
    assert (done.status, done.verified, done.answer) == (Status.FINISHED, True, "100 of 100 points.")
    assert [artifact.path for artifact in done.artifacts] == [ACTIONS]


# Mistakes.


def test_what_the_world_does_not_know_is_an_error_that_takes_no_move(play):
    run = play(a_task("boil"))
    assert "the world knows no 'fly to the moon'" in run.refused("act", action=" fly  to the\nmoon")
    assert run.call("act", action="look around").data == {"score": 0, "moves": 0}


def test_a_request_that_can_be_read_in_several_ways_asks_which(play):
    run = play(a_task("boil"))
    assert "Ambiguous request" in run.done("act", action="open door")
    assert "is now open" in run.done("act", action="0")


@pytest.mark.parametrize(("requirements", "told"), [
    ({"task": "boyl"}, "no task named 'boyl'. Did you mean 'boil'?"),
    ({"task": "boil", "variation": 30}, "'boil' has no variation 30. They are 0 to 29"),
    ({"task": "boil", "simplification": "easy,lazy"}, "no simplification named 'lazy'"),
    ({"variation": 3}, "'requirements.task' cannot be used: Field required"),
    ({"task": "boil", "variation": -1}, "'requirements.variation' cannot be used"),
])
def test_a_world_that_does_not_exist_is_told(requirements, told, play):
    assert told in play(Task(text="Do it", requirements=requirements)).refused("act", action="look around")


def test_what_is_missing_is_told_with_its_remedy(play, monkeypatch):
    monkeypatch.setitem(sys.modules, "scienceworld", None)
    monkeypatch.setenv("PATH", "")
    assert load_pack("scienceworld").lacking() == {
        "scienceworld": "pip install 'autorl-agent[scienceworld]'", "Java": "apt-get install default-jre-headless"}
    said = play(a_task()).refused("act", action="look around")
    assert "there is no scienceworld and no Java" in said
    assert "apt-get install default-jre-headless" in said


# Task sets.


@pytest.mark.slow
def test_sets_are_of_the_published_variations_with_the_worlds_own_words():
    tasks = task_sets.load("scienceworld/test/boil").tasks
    simulator = Simulator()
    simulator.load(Scene(task="boil"))
    assert [task.requirements["variation"] for task in tasks] == list(simulator.calls.getVariationsTest())
    assert all(task.text.startswith("Your task is to boil ") for task in tasks)
    assert {task.requirements["group"] for task in tasks} == {"boil"}
    assert not [problem for task in tasks for problem in misunderstood(task, {"scienceworld": VERIFIER})]
    few = task_sets.load("scienceworld/dev").tasks
    assert set(Counter(task.requirements["group"] for task in few).values()) <= {1, 2, 3}
    assert len({task.requirements["group"] for task in few}) == 30
    for wrong in ("trian", "test/boyl"):
        with pytest.raises(UnknownName):
            task_sets.load(f"scienceworld/{wrong}")


@pytest.mark.slow
def test_the_embedded_model_can_be_held_to_what_the_world_takes(make_run):
    run = make_run(packs=("scienceworld:valid",))
    run.task = a_task()
    (spec,) = run.tools.available(RunContext(run.workspace, run.task))
    step = Agent(tools=["scienceworld:valid"]).policy.act(Context(run.task, run.tools.specs, available=(spec,)))
    assert step.action.arguments["action"] in spec.parameters["properties"]["action"]["enum"]


def test_a_requirement_that_cannot_be_read_is_told_beforehand():
    with pytest.raises(UsageError, match=r"requirements\.moves"):
        VERIFIER.asked(a_task(moves=0))
    assert VERIFIER.asked(a_task())["moves"] == MOVES
