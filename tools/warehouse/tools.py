"""The tools of a world: a thin layer that keeps the state in the run's workspace."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, Tool, tool
from autorl.types import Action, Task
from autorl.workspace import Workspace

from .asked import Asked
from .invent import is_name
from .invent import world as world_named
from .world import MOST, NUMBERS, State, World


def state_of(workspace: Workspace, task: Task, world: World) -> State:
    """How the warehouse stands: as the last call left it, or else as the task begins."""
    name = f"{world.name}.json"
    if name not in workspace.documents:
        path = workspace.path(name)
        start = Asked.of(task).start if task.requirements.get("world") == world.name else world.start
        workspace.documents[name] = State.from_json(json.loads(path.read_bytes())) if path.is_file() else start
    return cast(State, workspace.documents[name])


@lru_cache(maxsize=256)
def tools_of(name: str) -> tuple[Tool, ...]:
    """The tools of the world `name`."""
    world = world_named(name)
    return tuple(_tool(world, operation) for operation in world.operations)


def _tool(world: World, operation: str) -> Tool:
    name = world.word(operation)

    def call(context: RunContext, **arguments: Any) -> str:
        state = state_of(context.workspace, context.task, world)
        after, text, ok = world.apply(state, Action(name=name, arguments=arguments))
        if not ok:
            raise ToolError(text)
        if after != state:
            context.workspace.write(f"{world.name}.json", json.dumps(after.to_json()).encode())
            context.workspace.documents[f"{world.name}.json"] = after
        return text

    def choices(context: RunContext) -> bool | dict[str, list[Any]]:
        return world.choices(state_of(context.workspace, context.task, world), operation)

    # What the registry reads of a function that was written by hand, for one whose parameters have invented names.
    hints = {world.word(parameter): _hint(world, parameter) for parameter in world.parameters(operation)}
    call.__name__ = call.__qualname__ = name
    call.__doc__ = world.description(operation)
    call.__annotations__ = {"context": RunContext, **hints}
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY) for parameter in call.__annotations__])
    return tool(available=choices, ends_run=operation == "close", read_only=operation == "look")(call)


def _hint(world: World, parameter: str) -> Any:
    codes = {"good": world.goods, "zone": world.zones, "carrier": world.carriers}
    if parameter in codes:
        return Literal[codes[parameter]]
    if parameter == "count" and world.unit:
        return Annotated[int, Field(ge=1, le=MOST * world.unit.factor)]
    return Annotated[int, Field(ge=NUMBERS[0], le=NUMBERS[-1])]


class Worlds(Mapping[str, Sequence[Tool]]):
    """The groups of the pack: `w0`, `w1` and so on without end, each made when it is asked for."""

    SHOWN = 4

    def __getitem__(self, name: str) -> Sequence[Tool]:
        if not is_name(name):
            raise KeyError(name)
        return tools_of(name)

    def __iter__(self) -> Iterator[str]:
        return (f"w{number}" for number in range(self.SHOWN))

    def __len__(self) -> int:
        return self.SHOWN
