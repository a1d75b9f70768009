"""What may be chosen next: calls that make no sense now are not offered to a constrained policy.

Invalid action masking (Huang and Ontanon 2020). A small model repeats itself for ever otherwise.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from autorl.describe import every_value
from autorl.types import Action, Step, ToolSpec

MANY = 10
"""Values of an argument beyond which those that were told of come first."""


class Call(NamedTuple):
    """A call, whether it was carried out, and what had been done before: where as much is done, all is as it was."""

    action: Action
    ok: bool
    before: tuple[Action, ...]


def offered(available: Sequence[ToolSpec], steps: Sequence[Step]) -> tuple[ToolSpec, ...]:
    """Of the tools that are available, what the last steps leave: no call that was refused as things stand, and for
    once no tool that was called twice to no avail, and none that ends the run after a call that failed: exemplars show
    no errors, and a small model that was told of one takes the work to be over. What would leave nothing is not left
    out."""
    looks = {tool.name for tool in available if tool.read_only}
    calls, now = history(steps, looks)
    refused = [call.action for call in calls if not call.ok and call.before == now]
    left = without(available, refused) or tuple(available)
    if len(steps) > 1 and (stale := _in_vain(steps[-2], steps[-1])):
        left = tuple(tool for tool in left if tool.name != stale) or left
    if calls and not calls[-1].ok:
        left = tuple(tool for tool in left if not tool.ends_run) or left
    return left


def without(tools: Sequence[ToolSpec], actions: Iterable[Action]) -> tuple[ToolSpec, ...]:
    """What leaves every call but those, as far as a schema can say so."""
    left = tuple(tools)
    for action in actions:
        left = tuple(rest for tool in left for rest in (_others(tool, action) if tool.name == action.name else [tool]))
    return left


def mentioned(tools: Iterable[ToolSpec], text: str) -> tuple[ToolSpec, ...]:
    """The same tools, with those values of an argument that stand in `text`, where it has many and some of them do."""
    words = set(re.findall(r"\w+", text))

    def told(tool: ToolSpec) -> dict[str, list[Any]]:
        many = {name: values for name, schema in tool.parameters.get("properties", {}).items()
                if len(values := every_value(schema)) > MANY}
        return {name: found for name, values in many.items()
                if (found := [value for value in values if str(value) in words])}

    return tuple(_narrowed(tool, told(tool)) for tool in tools)


def history(steps: Iterable[Step], looks: Collection[str]) -> tuple[list[Call], tuple[Action, ...]]:
    """Every call with what had been done before it, and what is done now: the calls that were carried out and may have
    changed something. `looks` names the tools that change nothing."""
    calls: list[Call] = []
    done: tuple[Action, ...] = ()
    for step in steps:
        if step.action and step.observation:
            calls.append(Call(step.action, step.observation.ok, done))
            if step.observation.ok and step.action.name not in looks:
                done = (*done, step.action)
    return calls, done


def same(one: Step, other: Step) -> bool:
    """Whether two steps called the same and saw the same."""
    same_text = one.observation and other.observation and one.observation.text == other.observation.text
    return one.action == other.action and bool(same_text)


def _in_vain(one: Step, other: Step) -> str | None:
    """The tool that both steps called to no avail: with an error, or with the same result for the same."""
    if not (one.action and other.action and one.observation and other.observation):
        return None
    failed = not one.observation.ok and not other.observation.ok and one.action.name == other.action.name
    return other.action.name if failed or same(one, other) else None


def _others(tool: ToolSpec, action: Action) -> list[ToolSpec]:
    """`tool` with every call but `action`, in as many pieces as that takes: those that differ in the first argument,
    those that are the same there and differ in the second, and so on. Whole, where it has not that call, or does not
    tell the values of an argument.
    """
    values = {name: every_value(schema) for name, schema in tool.parameters.get("properties", {}).items()}
    if set(action.arguments) != set(values) or any(action.arguments[name] not in values[name] for name in values):
        return [tool]
    pieces = []
    fixed: dict[str, list[Any]] = {}
    for name, given in action.arguments.items():
        if others := [value for value in values[name] if value != given]:
            pieces.append(_narrowed(tool, {**fixed, name: others}))
        fixed[name] = [given]
    return pieces


def _narrowed(tool: ToolSpec, values: Mapping[str, Sequence[Any]]) -> ToolSpec:
    """`tool` with these values alone of some of its arguments."""
    properties = {name: {**schema, "enum": list(values[name])} if name in values else schema
                  for name, schema in tool.parameters.get("properties", {}).items()}
    return tool.model_copy(update={"parameters": {**tool.parameters, "properties": properties}}) if values else tool
