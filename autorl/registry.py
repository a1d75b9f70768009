"""Tools: a decorated function, its schema from its hints, the check of its arguments, and the packs they come in."""

import hashlib
import inspect
import json
import time
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from autorl.calling import as_text, shortened, within
from autorl.describe import explain, parameter_name, read_docstring
from autorl.errors import ToolError, UnknownName, UsageError
from autorl.types import FINISH, Action, Observation, Task, ToolSpec, clean_text
from autorl.workspace import Workspace

DATA_LIMIT = 1_000_000
"""Characters of what a result tells programs; more is left out and counted."""
TIMEOUT = 60.0
"""Seconds a tool may take unless it says otherwise."""

Ask = Callable[[str], str]


def nobody(question: str) -> str:
    """Answers for a user who is not there."""
    return "None"


@dataclass(frozen=True)
class RunContext:
    """What a tool may use of the run; a parameter with this type is filled in and hidden from the policy.

    ask: puts a question to the user and returns the answer; `nobody` when there is none to ask
    """

    workspace: Workspace
    task: Task
    ask: Ask = nobody


@dataclass(frozen=True)
class Answer:
    """What a tool returns when programs should get more of it than the policy reads.

    text: for the policy; data: for programs, plain values that go to JSON
    """

    text: str
    data: dict[str, Any]


Available = Callable[[RunContext], bool | Mapping[str, Sequence[Any]]]

_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Tool:
    """A function that the policy may call. Made by `tool`; still callable from Python as before.

    timeout: seconds, None for no limit; untrusted: its output comes from outside and taints the run;
    ends_run: a call without an error ends the run; available: whether a call makes sense as things stand, or with
    which values of a parameter it does, by its name; None for always; read_only: a call changes nothing
    """

    function: Callable[..., Any]
    timeout: float | None = TIMEOUT
    untrusted: bool = False
    ends_run: bool = False
    available: Available | None = None
    read_only: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def spec(self) -> ToolSpec:
        description, hints = read_docstring(self.function, self._arguments.model_fields)
        schema = self._arguments.model_json_schema()
        for name, prop in schema.get("properties", {}).items():
            prop.pop("title", None)
            if name in hints:
                prop.setdefault("description", hints[name])
        schema.pop("title", None)
        schema["additionalProperties"] = False
        return ToolSpec(name=self.name, description=description, parameters=schema, ends_run=self.ends_run,
                        read_only=self.read_only)

    def call(self, arguments: dict[str, Any], context: RunContext) -> Observation:
        """Check the arguments, call the function, and tell what came of it; raises nothing a tool can cause."""
        started = time.monotonic()
        data = ""
        try:
            value = self._invoke(arguments, context)
            if isinstance(value, Answer):
                data = clean_text(as_text(self.name, value.data))
            text = value.text if isinstance(value, Answer) else as_text(self.name, value)
            ok, ends = True, self.ends_run
        except ToolError as error:
            text, ok, ends = f"Error: {error}", False, False
        shown, omitted = shortened(clean_text(text))
        if len(data) > DATA_LIMIT:
            data, omitted = "", omitted + len(data)
        return Observation(text=shown, ok=ok, tainted=self.untrusted, omitted=omitted, ends_run=ends,
                           seconds=time.monotonic() - started, data=json.loads(data) if data else None)

    def _invoke(self, arguments: dict[str, Any], context: RunContext) -> Any:
        problem = best_match(self._validator.iter_errors(arguments))
        if problem is not None:
            raise ToolError(explain(problem, self.spec))
        return within(self.timeout, self.name, lambda: self._run(arguments, context))

    def _run(self, arguments: dict[str, Any], context: RunContext) -> Any:
        try:
            model = self._arguments.model_validate(arguments)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(parameter_name(part) for part in first["loc"]) or "the arguments"
            raise ToolError(f"{self.name}: {where}: {' '.join(first['msg'].split())}") from error
        values = {name: getattr(model, name) for name in model.model_fields_set}
        if self._context_parameter:
            values[self._context_parameter] = context
        return self.function(**values)

    @cached_property
    def _signature(self) -> tuple[type[BaseModel], str | None]:
        hints = typing.get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {}
        context_parameter = None
        for name, parameter in inspect.signature(self.function).parameters.items():
            hint = hints.get(name)
            if hint is RunContext:
                context_parameter = name
            elif name.startswith("_") or parameter.kind not in _PLAIN:
                raise UsageError(f"tool '{self.name}': parameter '{parameter}' cannot be described to a policy",
                                 "Use plain named parameters")
            elif hint is None:
                raise UsageError(f"tool '{self.name}': parameter '{name}' has no type hint", f"Write {name}: str, say")
            else:
                default = ... if parameter.default is parameter.empty else parameter.default
                fields[name] = (hint, default)
        try:
            model = create_model(self.name, __config__=ConfigDict(arbitrary_types_allowed=False), **fields)
            model.model_json_schema()
        except Exception as error:
            raise UsageError(f"tool '{self.name}': its type hints make no JSON Schema: {error}") from error
        return model, context_parameter

    @property
    def _arguments(self) -> type[BaseModel]:
        return self._signature[0]

    @property
    def _context_parameter(self) -> str | None:
        return self._signature[1]

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(self.spec.parameters)


@typing.overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@typing.overload
def tool(
    *, timeout: float | None = TIMEOUT, untrusted: bool = False, ends_run: bool = False,
    available: Available | None = None, read_only: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None, /, *,
    timeout: float | None = TIMEOUT, untrusted: bool = False, ends_run: bool = False,
    available: Available | None = None, read_only: bool = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool: `@tool`, or `@tool(timeout=5, untrusted=True, ends_run=True, read_only=True)`.

    The schema comes from the type hints (pydantic's, so models, enums, optionals and lists work), the
    description from the docstring's first paragraph, and a parameter's from a line `name: text` in it.
    What the function raises becomes an observation. While `available` says no, a constrained policy cannot
    choose the tool, nor any but the values of a parameter that it gives (invalid action masking; Huang and
    Ontanon 2020), and one that is free is told by the tool's own error. Raises UsageError for a parameter
    without a hint.
    """

    def wrap(function: Callable[..., Any]) -> Tool:
        made = Tool(function, timeout, untrusted, ends_run, available, read_only)
        _ = made._signature  # a bad hint is the author's to see, at once
        return made

    return wrap if function is None else wrap(function)


@tool(ends_run=True)
def finish(answer: str) -> str:
    """End the task and give the final answer.

    answer: what the user asked for, in full
    """
    return answer


@dataclass(frozen=True)
class Preview:
    """A file as its readers have it, page by page.

    texts: the words of each page; pictures: a PNG of each, none where they cannot be drawn; why: what kept them from it
    """

    texts: tuple[str, ...]
    pictures: tuple[bytes, ...] = field(default=(), repr=False)
    why: str = ""


@dataclass(frozen=True)
class Pack:
    """What a module under tools/ offers, as its name `pack`.

    tools: the core group, what `--tools NAME` gives; groups: others, as `NAME:GROUP`
    verifiers: name -> verifier; the first one judges tasks that name none
    seeds: a file of exemplars for an empty store, one `Trajectory` a line
    lacking: tells which of the programs it can use are not here, each with what would mend it
    previews: by the suffix of a file, such as `.pptx`: makes the Preview of one, with pictures so many pixels along
        their longer side, 0 for none; raises AutorlError for a file that does not open
    task_sets: sets that are made rather than written down, `PACK/SET` by name; iterated, it tells some that there are
    """

    tools: Sequence[Tool]
    groups: dict[str, Sequence[Tool]] = field(default_factory=dict)
    verifiers: dict[str, Any] = field(default_factory=dict)
    seeds: Path | None = None
    lacking: Callable[[], dict[str, str]] = dict
    previews: dict[str, Callable[[Path, int], Preview]] = field(default_factory=dict)
    task_sets: Mapping[str, Sequence[Task]] = field(default_factory=dict)


@dataclass(frozen=True)
class Toolset:
    """The tools of one agent, with the verifiers and seeds that came with their packs."""

    tools: tuple[Tool, ...]
    verifiers: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[Path, ...] = ()

    @classmethod
    def of(cls, items: Iterable["str | Tool | Callable[..., Any]"], load: Callable[[str], Pack]) -> "Toolset":
        """Tools, plain functions and pack names (`slides`, `slides:all`) as one set; `load` finds a pack."""
        tools: dict[str, Tool] = {}
        verifiers: dict[str, Any] = {}
        seeds: list[Path] = []
        for item in items:
            if isinstance(item, str):
                name, _, group = item.partition(":")
                pack = load(name)
                if group and group not in pack.groups:
                    raise UnknownName("group", group, pack.groups, f"(of the pack '{name}')")
                chosen = pack.groups[group] if group else pack.tools
                verifiers.update({k: v for k, v in pack.verifiers.items() if k not in verifiers})
                seeds += [pack.seeds] if pack.seeds else []
            else:
                chosen = [item if isinstance(item, Tool) else tool(item)]
            for each in chosen:
                if tools.setdefault(each.name, each) is not each:
                    raise UsageError(f"two tools are named '{each.name}'", "Rename one of them")
        if not any(each.ends_run for each in tools.values()):
            tools[FINISH] = finish
        return cls(tuple(tools.values()), verifiers, tuple(dict.fromkeys(seeds)))

    @cached_property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(each.spec for each in self.tools)

    @cached_property
    def hash(self) -> str:
        """Of all names, descriptions and schemas: equal hashes, equal tools."""
        text = json.dumps([spec.model_dump(exclude={"read_only"}) for spec in self.specs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.tools)

    def named(self, name: str) -> Tool:
        """The tool of that name. Raises UnknownName with the nearest one."""
        for each in self.tools:
            if each.name == name:
                return each
        raise UnknownName("tool", name, [each.name for each in self.tools])

    def available(self, context: RunContext) -> tuple[ToolSpec, ...]:
        """What makes sense to call as things stand; everything, where nothing would be left."""
        found = (_as_things_stand(each, context) for each in self.tools)
        return tuple(spec for spec in found if spec) or self.specs

    def call(self, action: Action, context: RunContext) -> Observation:
        """Carry out `action`; whatever goes wrong in it is an observation."""
        try:
            chosen = self.named(action.name)
        except UnknownName as error:
            if action.name == FINISH:  # a plain final answer, where a tool would have ended the run
                return finish.call(action.arguments, context)
            return Observation(text=f"Error: {error}", ok=False)
        return chosen.call(action.arguments, context)

    def carry_out(self, action: Action, context: RunContext) -> Observation:
        """`call`, and what it left to be written is on disk afterwards."""
        observation = self.call(action, context)
        try:
            context.workspace.settle()
        except ToolError as error:
            return Observation(text=f"Error: {error}", ok=False, tainted=observation.tainted)
        return observation


def _as_things_stand(tool: Tool, context: RunContext) -> ToolSpec | None:
    """The spec of `tool`, narrowed to the values that make sense now; None if no call does."""
    try:
        sense = tool.available is None or tool.available(context)
    except Exception:  # then the call itself has to tell what is wrong
        return tool.spec
    if not isinstance(sense, Mapping):
        return tool.spec if sense else None
    if not all(sense.values()):
        return None
    properties = dict(tool.spec.parameters["properties"])
    for name, values in sense.items():
        if name not in properties:
            raise UnknownName("parameter", name, properties, f"(in what '{tool.name}' has available)")
        properties[name] = {**properties[name], "enum": list(values)}
    return tool.spec.model_copy(update={"parameters": {**tool.spec.parameters, "properties": properties}})


def tools_in(module: types.ModuleType) -> Pack:
    """The pack of a module: its `pack`, or else every tool defined in it, in order."""
    pack = getattr(module, "pack", None)
    if isinstance(pack, Pack):
        return pack
    tools = [value for value in vars(module).values() if isinstance(value, Tool)]
    if not tools:
        raise UsageError(f"the module {module.__file__} holds no tool", "Decorate a function with @tool")
    return Pack(tools=tools)
