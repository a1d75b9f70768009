"""Runs that the verifier guides, and what may be chosen next."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from autorl import Agent, Limits, Recall, ReplayStore, RunContext, Sampling, Task, Trajectory, masking, tool
from autorl.errors import UsageError
from autorl.formats.base import to_json
from autorl.models.base import Capabilities, Completion, Request
from autorl.models.scripted import Scripted
from autorl.rollout.collect import Plan, collect
from autorl.types import Action, Check, Exemplar, Status, ToolSpec, Verdict
from autorl.verify.checks import AtLeast
from autorl.workspace import Workspace
from tests.worlds import ping

LETTERS = "letters.txt"


@tool
def put(letter: Literal["a", "b", "c"], context: RunContext) -> str:
    """Put a letter to the others."""
    if letter in _put(context.workspace):
        raise ValueError(f"{letter} is there already")
    context.workspace.write(LETTERS, (_put(context.workspace) + letter).encode())
    return f"{letter} is put."


@tool(ends_run=True)
def done() -> str:
    """End it."""
    return "Done."


def _put(workspace: Workspace) -> str:
    path = workspace.path(LETTERS)
    return path.read_text() if path.is_file() else ""


class HasA:
    """Passes letters with an a and without a c."""

    name, version, guides = "has-a", 1, True

    def __call__(self, task: Task, trajectory: Trajectory, workspace: Workspace,
                 exemplars: Sequence[Exemplar] = ()) -> Verdict:
        letters = _put(workspace)
        checks = tuple(Check(name=name, passed=right, score=right) for name, right in (
            ("a", "a" in letters), ("no c", "c" not in letters)))
        return Verdict(verifier="has-a@1", passed=all(check.passed for check in checks), score=0.5, checks=checks)


class Prefers(Scripted):
    """Says the first of its calls that the schema allows, and notes which it could have said."""

    capabilities = Capabilities(json_schema=True)

    def __init__(self, *calls: Action) -> None:
        super().__init__(())
        self.calls = calls
        self.could: list[list[str]] = []

    def complete(self, request: Request) -> Completion:
        said = {call.model_dump_json(): to_json({"thought": "Next", "action": call.name, "arguments": call.arguments})
                for call in self.calls}
        allowed = [text for text in said.values() if _valid(text, request.json_schema)]
        self.could.append([name for name, text in said.items() if text in allowed])
        return Completion(allowed[0], finish_reason="stop")


def _valid(text: str, schema: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(json.loads(text)))


def letter(which: str) -> Action:
    return Action(name="put", arguments={"letter": which})


DONE = Action(name="done")


@pytest.fixture
def agent(store: ReplayStore) -> Agent:
    return Agent(model=Prefers(DONE, letter("c"), letter("b"), letter("a")), tools=[put, done], store=store,
                 format="structured", recall=Recall(k=0), sampling=Sampling(0.0), guided=True)


TASK = Task(text="An a, and no c", id="an-a")


def test_a_guided_run_ends_when_it_is_spoiled_and_the_next_one_avoids_that(agent: Agent, store: ReplayStore) -> None:
    runs = [agent.solve(TASK, verify=HasA()) for _ in range(3)]
    ways = ["".join(action.arguments.get("letter", ".") for action in run.actions) for run in runs]
    assert ways == ["c", "ba.", "ba."], "the call that spoiled one attempt is made in no other"
    assert [run.status for run in runs] == [Status.STUCK, Status.FINISHED, Status.FINISHED]
    assert [run.verified for run in runs] == [False, True, True]
    assert runs[0].reason == "spoiled: no c"
    model = agent.model
    assert isinstance(model, Prefers)
    ended = [DONE.model_dump_json() in could for could in model.could]
    assert ended == [False] + [False, False, True] * 2, "a run may be ended when the task is done, and only then"
    assert model.could[-1] == [DONE.model_dump_json()], "and nothing else may be done then"
    kept = store.get(runs[2].id)
    assert kept.provenance.settings["guided"] is True
    assert store.failed(TASK.id) == [store.get(runs[0].id)]


def test_what_was_refused_in_one_attempt_is_not_offered_in_the_next_as_things_stand(store: ReplayStore) -> None:
    @tool
    def enter(door: Annotated[int, Field(ge=1, le=3)], context: RunContext) -> str:
        """Go through a door."""
        if not _put(context.workspace):
            raise ValueError("it is shut")
        context.workspace.write(LETTERS, b"a")
        return "You are in."

    @tool(read_only=True)
    def look() -> str:
        """Look."""
        return "Doors."

    @tool
    def knock(context: RunContext) -> str:
        """Knock."""
        context.workspace.write(LETTERS, b"k")
        return "It is open."

    doors = [Action(name="enter", arguments={"door": door}) for door in (1, 2, 3)]
    looked, knocked = Action(name="look"), Action(name="knock")
    agent = Agent(model=Prefers(looked, *doors, knocked, DONE), tools=[enter, look, knock, done], store=store,
                  format="structured", recall=Recall(k=0), sampling=Sampling(0.0), limits=Limits(steps=3), guided=True)
    runs = [agent.solve(TASK, verify=HasA()) for _ in range(3)]
    assert [[step.action for step in run.steps] for run in runs] == [
        [doors[0], doors[1], knocked],  # to look is no way on, while there are others
        [looked, doors[2], knocked],    # the first ran out of steps; what was refused is not tried again
        [looked, knocked, doors[0]],    # but it is now, for something was done first
    ]


def test_a_tool_that_was_called_in_vain_again_and_again_gives_way_to_another(store: ReplayStore) -> None:
    @tool
    def enter(door: Annotated[int, Field(ge=1, le=99)]) -> str:
        """Go through a door."""
        raise ValueError("it is shut")

    @tool
    def knock() -> str:
        """Knock."""
        raise ValueError("nobody is there")

    doors = [Action(name="enter", arguments={"door": door}) for door in range(1, 10)]
    knocked = Action(name="knock")
    agent = Agent(model=Prefers(*doors, knocked, letter("a"), DONE), store=store, tools=[enter, knock, put, done],
                  format="structured", recall=Recall(k=0), sampling=Sampling(0.0),
                  limits=Limits(steps=7), guided=True)
    once, again = [[step.action for step in agent.solve(TASK, verify=HasA()).steps] for _ in range(2)]
    # After two failures in a row a tool is left out for once, in every constrained run.
    assert once == [doors[0], doors[1], knocked, doors[2], letter("a"), DONE], "the third is one too many"
    assert again == once, "an attempt that passed says nothing of what is in vain"


def test_a_guided_run_does_not_look_for_ever(store: ReplayStore) -> None:
    @tool(read_only=True)
    def look(at: str) -> str:
        """Look at something."""
        return f"It is a {at}."

    class Looks(Prefers):
        """Looks at something else each time, if it may."""

        def complete(self, request: Request) -> Completion:
            seen = Action(name="look", arguments={"at": f"door {len(self.could)}"})
            self.calls = (seen, letter("b"), letter("a"), DONE)
            return super().complete(request)

    agent = Agent(model=Looks(), tools=[look, put, done], store=store, format="structured", recall=Recall(k=0),
                  sampling=Sampling(0.0), limits=Limits(steps=1), guided=True)
    assert [action.name for action in agent.solve(TASK, verify=HasA()).actions] == ["put"], "and runs out of steps"
    run = replace(agent, limits=Limits(steps=4)).solve(TASK, verify=HasA())
    assert [action.name for action in run.actions] == ["look", "look", "look", "put"]


def test_a_run_that_is_not_guided_is_left_alone(agent: Agent) -> None:
    run = replace(agent, guided=False).solve(TASK, verify=HasA())
    assert run.actions == (DONE,), "it may end before anything is done"
    assert not run.verified
    assert run.provenance.settings["guided"] is False


def test_what_spoiled_another_task_is_offered(agent: Agent) -> None:
    agent.solve(TASK, verify=HasA())
    other = agent.solve(Task(text="Another", id="other"), verify=HasA())
    assert [action.arguments for action in other.actions] == [{"letter": "c"}]


def test_guided_attempts_at_a_task_come_in_a_row(agent: Agent) -> None:
    tasks = [TASK, Task(text="Another a, and no c", id="another")]
    done = list(collect(agent, tasks, Plan(attempts=5, successes=1), verify=HasA()))
    assert [(each.trajectory.task.id, each.trajectory.verified) for each in done] == [
        ("an-a", False), ("an-a", True), ("another", False), ("another", True)]


@pytest.mark.parametrize("bar", [None, 0.1])
def test_a_verifier_may_show_the_way_without_judging_it(agent: Agent, bar: float | None) -> None:
    class Shows(HasA):
        guides = False

        def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
            return tuple(tool for tool in tools if tool.name == ("done" if trajectory.steps else "put"))

    run = agent.solve(TASK, verify=Shows() if bar is None else AtLeast(Shows(), bar))
    assert [action.name for action in run.actions] == ["put", "done"]
    assert run.provenance.settings["guided"] is True


def test_a_verifier_that_knows_mistakes_shows_them_now_and_then_and_then_the_way(agent: Agent) -> None:
    class Knows(HasA):
        guides = False

        def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
            way = "done" if letter("b") in trajectory.actions else "put"
            return tuple(tool for tool in tools if tool.name == way)

        def mistakes(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
            return tuple(tool for tool in tools if tool.name == "jump")

    @tool(available=lambda context: False)
    def jump() -> str:
        """Never works."""
        raise ValueError("no")

    agent = replace(agent, tools=[jump, done, put], model=Prefers(Action(name="jump"), DONE, letter("b"), letter("c")))
    runs = [agent.solve(TASK, verify=AtLeast(Knows(), 0.1)) for _ in range(100)]
    ways = ["".join(step.action.name[0] for step in run.steps if step.action) for run in runs]
    assert {"pd", "jpd", "pjd"} <= set(ways) <= {"pd", "jpd", "pjd", "jpjd"}


def test_who_is_shown_the_way_and_refused_four_times_begins_anew(agent: Agent) -> None:
    class Insists(HasA):
        guides = False

        def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
            return tuple(tool for tool in tools if tool.name == "put")

    run = agent.solve(TASK, verify=Insists())
    refused = [step.observation.ok for step in run.steps if step.observation].count(False)
    assert (run.status, run.reason, refused) == (Status.STUCK, "refused 4 times on the way it was shown", 4)


@pytest.mark.parametrize("wrong", ["no guide", "a function", "free", "no verifier"])
def test_what_cannot_be_guided_is_refused_before_it_begins(agent: Agent, store: ReplayStore, wrong: str) -> None:
    verify: Any = HasA()
    if wrong == "no guide":
        verify.guides = False
    if wrong == "a function":
        verify = bool
    if wrong == "free":
        agent = replace(agent, sampling=Sampling(constrained=False))
    if wrong == "no verifier":
        verify = None
    with pytest.raises(UsageError, match="cannot be guided.*Leave the guidance out"):
        agent.solve(TASK, verify=verify)
    assert store.newest() == []


@pytest.mark.parametrize("looks", [False, True])
def test_a_call_that_was_refused_is_not_offered_until_something_was_done(store: ReplayStore, looks: bool) -> None:
    open_now: list[str] = []

    @tool
    def enter(door: Literal["left", "right"]) -> str:
        """Go through a door."""
        if door not in open_now:
            open_now.append("left")
            raise ValueError("it is shut")
        return "You are in."

    left, right = (Action(name="enter", arguments={"door": door}) for door in ("left", "right"))
    model = Prefers(left, right, Action(name="ping"), Action(name="finish", arguments={"answer": "in"}))
    agent = Agent(model=model, tools=[enter, replace(ping, read_only=looks)], store=store, format="structured",
                  recall=Recall(k=0))
    run = agent.solve("Go in")
    assert [step.action for step in run.steps[:4]] == [left, right, Action(name="ping"),
                                                       Action(name="ping") if looks else left]
    assert [step.observation.ok for step in run.steps[:4] if step.observation] == [False, False, True, True]


def test_a_constrained_run_does_not_end_on_an_error(store: ReplayStore) -> None:
    @tool
    def enter(door: Literal["left", "right"]) -> str:
        """Go through a door."""
        if door == "left":
            raise ValueError("it is shut")
        return "You are in."

    left, right = (Action(name="enter", arguments={"door": door}) for door in ("left", "right"))
    model = Prefers(left, DONE, right)
    agent = Agent(model=model, tools=[enter, done], store=store, format="structured", recall=Recall(k=0),
                  limits=Limits(steps=2))
    assert [step.action for step in agent.solve("Go in").steps] == [left, right]


CALLS = [Action(name="paint", arguments={"colour": colour, "size": size, "where": "here"})
         for colour, size in product(["red", "blue"], [1, 2, 3])]
PAINT = ToolSpec(name="paint", description="", parameters={
    "type": "object", "required": ["colour", "size", "where"], "properties": {
        "colour": {"type": "string", "enum": ["red", "blue"]}, "size": {"type": "integer", "minimum": 1, "maximum": 3},
        "where": {"const": "here"}}})


@given(st.lists(st.sampled_from(CALLS)))
def test_without_some_calls_every_other_one_is_left(some: list[Action]) -> None:
    left = masking.without([PAINT, ToolSpec(name="other", description="", parameters={})], some)
    assert {spec.name for spec in left} >= {"other"}
    schemas = [jsonschema.Draft202012Validator(spec.parameters) for spec in left if spec.name == "paint"]
    for call in CALLS:
        assert any(schema.is_valid(call.arguments) for schema in schemas) == (call not in some)


def test_a_call_whose_values_are_not_told_cannot_be_left_out() -> None:
    free = {"type": "object", "properties": {"text": {"type": "string"}}}
    spec = ToolSpec(name="say", description="", parameters=free)
    assert masking.without([spec], [Action(name="say", arguments={"text": "a"})]) == (spec,)
    wide = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1, "maximum": 10_000}}}
    spec = ToolSpec(name="cut", description="", parameters=wide)
    assert masking.without([spec], [Action(name="cut", arguments={"size": 7})]) == (spec,)
    assert masking.without([ToolSpec(name="ping", description="", parameters={})], [Action(name="ping")]) == ()


def test_of_many_values_those_that_were_told_of_come_first() -> None:
    tools = [ToolSpec(name="cut", description="", parameters={"type": "object", "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 99}, "side": {"enum": ["left", "right"]}}})]
    (cut,) = masking.mentioned(tools, "Cut 7 on the left, not 700; 99.")
    assert cut.parameters["properties"]["size"]["enum"] == [7, 99]
    assert cut.parameters["properties"]["side"] == {"enum": ["left", "right"]}, "of few values each may be tried"
    assert masking.mentioned(tools, "Cut it") == tuple(tools), "where none was told of, all are left"
    rest = masking.without([cut], [Action(name="cut", arguments={"size": size, "side": side})
                                   for size in (7, 99) for side in ("left", "right")])
    assert rest == ()
