"""Invented worlds: the same on every machine, solvable in exactly as many calls as they say, judged by what is left."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorl import Agent, Recall
from autorl import tasks as task_sets
from autorl.content import load_pack
from autorl.errors import UnknownName, UsageError
from autorl.formats.react import React
from autorl.models.scripted import Scripted
from autorl.types import Status

load_pack("warehouse")
from autorl_tools.warehouse.asked import Asked  # noqa: E402  # the namespace is made by loading a pack
from autorl_tools.warehouse.invent import world  # noqa: E402
from autorl_tools.warehouse.solver import calls, plan  # noqa: E402
from autorl_tools.warehouse.tasks import tasks  # noqa: E402
from autorl_tools.warehouse.verifier import checks  # noqa: E402

WORLDS = st.integers(0, 200).map("w{}".format)


def play(task, actions):
    answers = [React().write("Next", action) for action in actions]
    agent = Agent(model=Scripted(answers), tools=[f"warehouse:{task.requirements['world']}"], recall=Recall(k=0))
    return agent.solve(task)


@settings(max_examples=30, deadline=None)
@given(WORLDS)
def test_names_never_collide_and_a_seed_gives_the_same_world(name):
    one = world(name)
    words = [*one.words.values(), *one.goods, *one.zones, *one.carriers]
    assert len(set(words)) == len(words)
    world.cache_clear()
    assert world(name) == one


@settings(max_examples=25, deadline=None)
@given(WORLDS, st.integers(2, 6))
def test_a_task_takes_exactly_as_many_calls_as_it_says(name, length):
    for task in tasks(name, "train", length, 2):
        asked = Asked.of(task)
        actions = plan(asked.world, asked.start, asked.goal)
        assert len(actions) == asked.optimal == length
        state = asked.start
        for action in actions:
            outcome = asked.world.apply(state, action)
            assert outcome.ok, outcome.text
            state = outcome.state
        assert state == asked.goal


@settings(max_examples=25, deadline=None)
@given(WORLDS)
def test_every_world_has_a_rule_that_no_description_tells_but_its_error(name):
    one = world(name)
    rule = next(rule for rule in one.rules if rule.operation == "ship" and not rule.told)
    assert rule.telling(one, "ship")
    assert rule.telling(one, "ship") not in " ".join(map(one.description, one.operations))
    treat = one.word(rule.treatment)
    for task in (task for length in (3, 4, 5) for task in tasks(name, "train", length, 5)):
        asked = Asked.of(task)
        way = plan(one, asked.start, asked.goal)
        told, state = [], asked.start
        for action in (action for action in way if action.name != treat):
            outcome = one.apply(state, action)
            told += [] if outcome.ok else [outcome.text]
            state = outcome.state
        if any(action.name == treat for action in way) and any("must be" in text for text in told):
            assert any(text.endswith(f"first. Next: {treat}") for text in told)
            return
    raise AssertionError(f"no task of {name} meets the rule")


@settings(max_examples=25, deadline=None)
@given(WORLDS, st.integers(2, 6))
def test_what_a_constraint_leaves_open_holds_the_way_to_the_goal(name, length):
    (task,) = tasks(name, "train", length, 1)
    asked = Asked.of(task)
    state = asked.start
    for action in plan(asked.world, asked.start, asked.goal):
        (operation,) = (each for each in asked.world.operations if asked.world.word(each) == action.name)
        open_ = asked.world.choices(state, operation)
        assert open_ is True or all(action.arguments[name] in values for name, values in open_.items())
        state = asked.world.apply(state, action).state


@pytest.mark.parametrize("length", range(2, 13))
def test_the_shortest_plan_passes_through_the_whole_engine(length):
    (task,) = tasks("w1", "train", length, 1)
    asked = Asked.of(task)
    run = play(task, plan(asked.world, asked.start, asked.goal))
    assert (run.status, run.verified, len(run.steps)) == (Status.FINISHED, True, length)


@settings(max_examples=50, deadline=None)
@given(WORLDS, st.integers(2, 10))
def test_on_the_way_to_the_goal_no_check_that_has_come_to_pass_fails(name, length):
    (task,) = tasks(name, "train", length, 1)
    asked = Asked.of(task)
    state, right = asked.start, set()
    way = plan(asked.world, asked.start, asked.goal)
    assert len({action.model_dump_json() for action in way}) == len(way), "no call is made twice either"
    for action in way:
        found = {check.name for check in checks(state, asked.goal) if check.passed}
        assert right <= found
        assert len(found) < len(checks(state, asked.goal)) or action == asked.world.action("close")
        state, right = asked.world.apply(state, action).state, found
    assert state == asked.goal
    assert all(check.passed for check in checks(state, asked.goal))


@settings(max_examples=50, deadline=None)
@given(WORLDS, st.integers(2, 5), st.data())
def test_the_checks_pass_where_the_goal_is_reached_and_nowhere_else(name, length, data):
    (task,) = tasks(name, "train", length, 1)
    asked = Asked.of(task)
    state = asked.start
    for _ in range(8):
        able = [each for slip in state.slips for each in calls(asked.world, slip)
                if asked.world.apply(state, each).state != state]
        if not able:
            break
        state = asked.world.apply(state, data.draw(st.sampled_from(able))).state
        assert all(check.passed for check in checks(state, asked.goal)) == (state == asked.goal)


def test_what_was_not_asked_for_fails():
    (one,) = tasks("w1", "train", 3, 1)
    asked = Asked.of(one)
    actions = plan(asked.world, asked.start, asked.goal)
    bystander = next(slip for slip in asked.start.slips if slip.kind == "order" and slip not in asked.goal.slips[:1]
                     and slip in asked.goal.slips)
    also = asked.world.action("pick", number=bystander.number, count=bystander.amount)
    assert play(one, actions).verified
    assert not play(one, [also, *actions]).verified


def test_test_tasks_share_no_text_and_no_slip_with_training_tasks():
    for length in (2, 3, 4, 5):
        train = tasks("w1", "train", length, 10)
        test = tasks("w1", "test", length, 5)
        numbers = [{slip.number for task in split for slip in Asked.of(task).start.slips} for split in (train, test)]
        assert not numbers[0] & numbers[1]
        assert not {task.text for task in train} & {task.text for task in test}


def test_a_world_there_is_none_of_is_named(monkeypatch):
    with pytest.raises(UnknownName):
        _ = Agent(model=Scripted([]), tools=["warehouse:moon"]).toolset
    monkeypatch.setattr("autorl_tools.warehouse.tasks._TRIES", 20)  # so that it gives up at once
    with pytest.raises(UsageError, match="were asked for"):
        tasks("w1", "train", 2, 100_000)


@pytest.mark.parametrize("name", ["w0/train", "w3/test", "w7/test/6", "w11/train/12"])
def test_sets_are_found_by_name_and_can_all_be_done(name):
    found = task_sets.load(f"warehouse/{name}").tasks
    lengths = [Asked.of(task).optimal for task in found]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == (1 if name.count("/") == 2 else 4 if "train" in name else 3)
    assert not [problem for task in found for problem in task_sets.misunderstood(task, task_sets.verifiers())]
    assert {task_sets.group(task) for task in found} == {f"warehouse {name.partition('/')[0]}"}


@pytest.mark.parametrize("name", ["w0/nonsense", "moon/train", "w0/train/1", "w0/train/13", "w0/train/x", "w0"])
def test_a_set_there_is_none_of_is_named(name):
    with pytest.raises(UnknownName, match="warehouse"):
        task_sets.load(f"warehouse/{name}")
