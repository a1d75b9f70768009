"""Tools, trajectories and scripts that several test modules share."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from pydantic import BaseModel, Field

from autorl.formats.react import React
from autorl.models.base import Request
from autorl.registry import RunContext, Tool, tool
from autorl.types import (
    Action,
    Artifact,
    Observation,
    Provenance,
    Recalled,
    Status,
    Step,
    Task,
    Trajectory,
    Usage,
    Verdict,
    new_run_id,
)

# Tools with every kind of parameter.


class Day(Enum):
    MONDAY = "mon"
    TUESDAY = "tue"


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int | None = None


class Room(BaseModel):
    title: Annotated[str, Field(min_length=2, max_length=12)]
    people: list[Person] = Field(max_length=2)
    equipment: dict[Literal["beamer", "board"], int] = Field(default_factory=dict, max_length=1)


class Node(BaseModel):
    label: Literal["x", "y"]
    children: list["Node"] = Field(default_factory=list, max_length=1)


@tool
def book(room: Room, day: Day, notes: Annotated[str, Field(max_length=20)] | None = None) -> str:
    """Book a room.

    day: when it is needed
    """
    return f"{room.title} on {day.value} for {len(room.people)}"


@tool
def plot(kind: Literal["bar", "line"], values: Annotated[list[float], Field(min_length=1, max_length=4)]) -> str:
    """Draw a chart."""
    return f"{kind} of {sum(values):g}"


@tool
def ping() -> str:
    """Say that you are there."""
    return "pong"


@tool
def options(first: int = 1, second: Annotated[str, Field(max_length=9)] = "a", third: bool = False) -> str:
    """Nothing here is required."""
    return f"{first} {second} {third}"


@tool
def odd(text: Literal['a "quote"', "back\\slash", "é\nü", "tab\t"], pair: tuple[int, bool]) -> str:
    """Texts that need care in a grammar."""
    return f"{text} {pair}"


@tool
def grow(tree: Node, weights: Annotated[dict[str, int | bool | None], Field(max_length=2)]) -> str:
    """A tree of trees, and whatever comes with it."""
    return f"{tree.label} {len(weights)}"


RICH: tuple[Tool, ...] = (book, plot, ping, options, odd, grow)


# A world that keeps its state in a file: add the words in order, then finish.

WORDS = ("one", "two", "three", "four")


@tool
def add(word: str, context: RunContext) -> str:
    """Add a word to the list."""
    words = [*_words(context), word]
    context.workspace.write("words.txt", " ".join(words).encode())
    return f"the list is: {' '.join(words)}"


@tool
def look(context: RunContext) -> str:
    """Read the list."""
    return f"the list is: {' '.join(_words(context))}"


def _words(context: RunContext) -> list[str]:
    path = context.workspace.path("words.txt")
    return path.read_text().split() if path.is_file() else []


def adds_words(request: Request) -> str:
    """A model that adds `WORDS`, and looks first when it cannot know what is on the list."""
    last = request.messages[-1]["content"]
    if last.startswith("Observation: the list is:"):
        have = last.partition("is:")[2].split()
        if len(have) == len(WORDS):
            return say("finish", answer=" ".join(have))
        return say("add", word=WORDS[len(have)])
    return say("add", word=WORDS[0]) if len(request.messages) == 2 else say("look")


def say(name: str, thought: str = "Next", **arguments: Any) -> str:
    """A step in the react format."""
    return React().write(thought, Action(name=name, arguments=arguments))


# Values.

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
"""Any text but NUL and lone surrogates, which no database and no file takes."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(TEXT, JSON, max_size=4)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
ACTIONS = st.builds(Action, name=NAMES, arguments=ARGUMENTS)
USAGES = st.builds(Usage, **dict.fromkeys(Usage.model_fields, st.integers(0, 2**31)))
OBSERVATIONS = st.builds(Observation, text=TEXT, ok=st.booleans(), tainted=st.booleans(), omitted=st.integers(0, 2**40),
                         seconds=st.floats(0, 1e6))
STEPS = st.builds(
    Step, index=st.just(0), thought=TEXT, action=ACTIONS, raw=TEXT, cut=st.integers(0, 10**6),
    finish_reason=st.sampled_from(["stop", "length", None]), dropped=st.tuples(TEXT), elided=st.integers(0, 99),
    usage=USAGES, seconds=st.floats(0, 1e6), policy=TEXT, observation=OBSERVATIONS,
)


def numbered(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(step.model_copy(update={"index": index}) for index, step in enumerate(steps))


def a_step(index: int = 0, name: str = "ping", observation: str = "pong", *, ok: bool = True, tainted: bool = False,
           **arguments: Any) -> Step:
    return Step(index=index, thought=f"Step {index}", action=Action(name=name, arguments=arguments),
                raw=say(name, f"Step {index}", **arguments), finish_reason="stop",
                usage=Usage(prompt_tokens=10, completion_tokens=5),
                observation=Observation(text=observation, ok=ok, tainted=tainted))


def a_run(task: str | Task = "Say ping", steps: Sequence[Step] | None = None, *, status: Status = Status.FINISHED,
          recalled: Sequence[str] = (), **changes: Any) -> Trajectory:
    """A finished run of one step, or what is asked for."""
    taken = numbered(steps if steps is not None else [a_step()])
    shown = tuple(Recalled(run=run, rank=rank, score=0.5) for rank, run in enumerate(recalled))
    values: dict[str, Any] = {
        "id": new_run_id(), "task": Task.of(task), "status": status, "steps": taken, "recalled": shown,
        "answer": "pong" if status is Status.FINISHED else "", "seconds": 1.5,
        "provenance": Provenance(model="scripted", format="react", seed=7, settings={"k": 2}),
        "artifacts": (Artifact(path="a/deck.pptx", sha256="0" * 64, bytes=12),), **changes,
    }
    return Trajectory(**values)


PASSED = Verdict(verifier="test@1", passed=True, score=1.0)
FAILED = Verdict(verifier="test@1", passed=False, score=0.25, why="it did not")
