"""What guided runs of the slides pack may choose from leads to a deck that holds what was asked for."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl import Task, Trajectory, content, tasks
from autorl.formats.grammar import Grammar
from autorl.registry import RunContext, Toolset
from autorl.types import Action, Step, ToolSpec
from autorl.workspace import Workspace

content.load_pack("slides")
from autorl_tools.slides.checker import SlidesVerifier  # noqa: E402
from autorl_tools.slides.outline import mistakes, offered  # noqa: E402
from autorl_tools.slides.requirements import wanted  # noqa: E402
from autorl_tools.slides.wording import unspaced  # noqa: E402

HELD = {"slides", "tables", "charts", "coverage", "audience", "titles", "opens"}


def some_value(schema: dict[str, Any], number: int) -> Any:
    """A value under `schema`, of a policy that takes the first of what it may choose from and says little else."""
    if "enum" in schema:
        return schema["enum"][0]
    if "prefixItems" in schema:
        return [some_value(item, number + 7 * place) for place, item in enumerate(schema["prefixItems"])]
    if schema["type"] == "array":
        return [some_value(schema["items"], number + 7 * place) for place in range(2)]
    if schema["type"] == "number":
        return number
    text = f"Point {number} on {'abcdefghijklmnopqrstuvwxyz'[number % 26] * 3}"
    text = " ".join([*schema.get("begins", ())[:1], text])
    text += " and more" * max(schema.get("words", (0,))[0] - 4, schema.get("minLength", 0) // 9)
    return text[: schema.get("maxLength")]


def some_call(tool: ToolSpec, number: int) -> Action:
    properties = tool.parameters.get("properties", {})
    return Action(name=tool.name, arguments={
        name: some_value(properties[name], 100 * number + place)
        for place, name in enumerate(tool.parameters.get("required", ()))})


def walked(task: Task, workspace: Workspace) -> Trajectory:
    """A run that takes the first of what is offered, again and again, and makes a mistake at every step."""
    tools = Toolset.of(["slides"], content.load_pack)
    surroundings = RunContext(workspace, task)
    trajectory = Trajectory(id="walk", task=task)
    for number in range(20):
        left = offered(tools.available(surroundings), trajectory)
        assert left
        for tool in left:
            Grammar().value(tool.parameters)
        wrong = mistakes(tools.specs, trajectory)
        for tool in wrong[number % len(wrong):][:1]:  # not all: a title that is refused again and again is let in
            Grammar().value(tool.parameters)
            assert not tools.carry_out(some_call(tool, number), surroundings).ok, (task.id, number, tool)
        action = some_call(left[0], number)
        observation = tools.carry_out(action, surroundings)
        step = Step(index=number, action=action, observation=observation, raw="", finish_reason="stop")
        trajectory = trajectory.model_copy(update={"steps": (*trajectory.steps, step)})
        if observation.ends_run:
            break
    return trajectory


@pytest.mark.parametrize("name", ["slides/learn", "slides/held_out"])
def test_whoever_takes_what_is_offered_makes_a_deck_that_holds_what_was_asked_for(name, tmp_path):
    wrong = {}
    for task in tasks.load(name).tasks:
        workspace = Workspace(tmp_path / task.id)
        run = walked(task, workspace)
        assert run.steps[-1].action.name == "save_deck", task.id
        assert all(step.observation.ok for step in run.steps), task.id
        verdict = SlidesVerifier(rendered=False)(task, run, workspace)
        if lacking := [f"{check.name}: {check.found}" for check in verdict.checks
                       if check.name in HELD and not check.passed]:
            wrong[task.id] = lacking
    assert wrong == {}


def test_a_chart_shows_the_numbers_of_the_task(tmp_path):
    task = Task(text="Four slides on our shop for the bank: where we stand, and what we ask. Turnover in thousands was "
                     "212 in 2021, 1,268 in 2022 and 301.5 in 2023, as a line chart.", id="shop",
                requirements={"sections": ["where we stand", "what we ask"], "charts": 1})
    (chart,) = [action for action in walked(task, Workspace(tmp_path)).actions if action.name == "add_chart"]
    assert (chart.arguments["labels"], chart.arguments["values"]) == (["2021", "2022", "2023"], [212, 1268, 301.5])


NEAR_DATA = st.text(alphabet=st.sampled_from("ab é字.,:;-() \n0123456789%"), max_size=80)


@given(st.lists(st.sampled_from(["a table of ", "as a chart: ", "212 in 2021, ", "on 12.05.2024, ", "version 1.2.3 "])
                | NEAR_DATA, max_size=6).map("".join).filter(str.strip), st.booleans())
def test_no_task_is_too_odd_for_it(text, begun):
    tools = Toolset.of(["slides"], content.load_pack).specs
    task = Task(text=text, requirements={"sections": ["b 字", text[:50].strip() or "a"], "charts": 1, "tables": 1})
    left = offered(tuple(tool for tool in tools if not begun or tool.name != "start_deck"),
                   Trajectory(id="odd", task=task))
    assert left
    for tool in left:
        Grammar().value(tool.parameters)
        jsonschema.Draft202012Validator.check_schema(tool.parameters)
        (first, *_) = tool.parameters["properties"].get("bullets", {}).get("prefixItems", [{}])
        assert all(text.strip() and not unspaced(text) for text in first.get("begins", ()))
        assert all(0 < len(label) <= 24 for labels in tool.parameters["properties"].get("labels", {}).get("enum", ())
                   for label in labels)


def test_a_task_that_says_little_leaves_more_to_choose(tmp_path):
    run = walked(Task(text="Make a deck about honey bees", id="bees"), Workspace(tmp_path))
    assert [action.name for action in run.actions] == ["start_deck", "add_slide", "save_deck"]
    assert wanted(run.task).sections == ()
