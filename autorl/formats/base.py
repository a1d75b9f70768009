"""What every format does the same way: the layout of the conversation, and training rows made from it."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any, Literal, NotRequired, TypedDict

from autorl.describe import signature
from autorl.errors import FormatError
from autorl.formats import prompts
from autorl.formats.prompts import Prompt
from autorl.types import Action, Context, Step, Style, ToolSpec, Trajectory, clean_text

ELIDED = "[an earlier observation, left out to save space]"
INPUT_CAP = 65_536
"""Characters of a completion that a parser looks at; anything longer is a format error."""
NESTING = 64
"""Levels of lists and objects in arguments; whatever they go through afterwards has limits of its own."""
_TOO_DEEP = f"the JSON object is nested more than {NESTING} levels deep"


class ToolCall(TypedDict):
    """A call as TRL and the chat templates have it: the arguments of its function are an object."""

    id: str
    type: Literal["function"]
    function: dict[str, Any]


class Message(TypedDict):
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: NotRequired[list[ToolCall]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


class Row(TypedDict):
    """One training example in TRL's conversational form; `tools` where the format gives them to the server."""

    messages: list[Message]
    tools: NotRequired[list[dict[str, Any]]]


@dataclass(frozen=True)
class Parsed:
    """The first complete action of a completion; `cut` counts the characters after it."""

    thought: str
    action: Action
    cut: int


@dataclass(frozen=True)
class Constraint:
    """What a completion must look like, in the forms that backends take. call: it must call a tool"""

    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    call: bool = False


class Format(ABC):
    """One way to write a step. A format holds no state."""

    name: str
    form: str
    """The shape of an answer, as a correction repeats it."""
    stop: tuple[str, ...] = ()
    calls: bool = False
    """Whether it takes a server that calls tools."""
    tells_apart: bool = True
    """Whether a task after exemplars is told apart from theirs, so that content of its own is made for it."""

    @abstractmethod
    def write(self, thought: str, action: Action) -> str:
        """A step as the policy should have written it; `parse` reads it back unchanged."""

    @abstractmethod
    def parse(self, text: str) -> Parsed:
        """The first complete action in `text`. Linear in its length. Raises FormatError."""

    @abstractmethod
    def constrain(self, tools: tuple[ToolSpec, ...]) -> Constraint:
        """A grammar or schema under which every completion parses."""

    def offer(self, tools: tuple[ToolSpec, ...]) -> tuple[dict[str, Any], ...]:
        """The tools as they go to the server beside the messages; nothing where the prompt has them."""
        return ()

    def spoken(self, message: Message) -> str:
        """All that `message` says, as text; of the assistant's, what `parse` reads."""
        return message["content"]

    def render(self, context: Context) -> list[Message]:
        """The context as messages, laid out so that what changes least stands first."""
        messages: list[Message] = [{"role": "system", "content": self._system(context.tools)}]
        for exemplar in context.exemplars:
            _join(messages, self.exemplar(exemplar.trajectory, exemplar.style, len(messages)))
        _join(messages, [{"role": "user", "content": self._asking(
            context.task.text, warning=context.warning, again=self.tells_apart and bool(context.exemplars))}])
        for index, step in enumerate(context.steps):
            seen = ELIDED if index < context.elided else step.observation.text if step.observation else ""
            messages += self._turn(step, seen, len(messages))
        return messages

    def exemplar(self, trajectory: Trajectory, style: Style = "full", place: int = 1) -> list[Message]:
        """A past success: the conversation as it was, without what went wrong; or (compact) its actions alone.

        A small model follows a conversation that looks like its own much better than one that it is told of.
        place: how many messages stand before it
        """
        steps = [step for step in trajectory.steps if step.action and step.observation and step.observation.ok]
        if style == "compact":
            actions = tuple(f"{step.action.name} {to_json(step.action.arguments)}" for step in steps if step.action)
            return [{"role": "user", "content": self._asking(trajectory.task.text, actions=actions)}]
        messages: list[Message] = [{"role": "user", "content": self._asking(trajectory.task.text)}]
        for step in steps:
            messages += self._turn(step, step.observation.text if step.observation else "", place + len(messages))
        # What the last step came to ended the run: it was told to nobody. (A call of a server must be answered.)
        return messages[:-1] if steps and messages[-1]["role"] == "user" else messages

    def to_training_row(self, context: Context) -> Row:
        """The finished `context` as it would have been asked, with the policy's answers in their places.

        Only the assistant's messages are to carry loss. Messages up to any answer are, to the token,
        what `render` gives for the context before it.
        """
        messages = self.render(context)
        while messages and messages[-1]["role"] != "assistant":
            messages.pop()
        return {"messages": messages}

    def correction(self, problem: str) -> str:
        """What to tell a policy whose answer could not be read."""
        return self._prompts[2].render(problem=problem, form=self.form)

    def _turn(self, step: Step, seen: str, place: int) -> list[Message]:
        """A step and what it came to; `place` messages stand before it."""
        said = self.write(step.thought, step.action) if step.action else step.raw[:2000]
        return [{"role": "assistant", "content": said}, {"role": "user", "content": f"Observation: {seen}"}]

    @property
    def prompt_hash(self) -> str:
        return prompts.text_hash(*self._prompts)

    @cached_property
    def _prompts(self) -> tuple[Prompt, Prompt, Prompt]:
        # Read once, so that what is asked throughout a run is what the hash in its provenance says.
        return prompts.load(self.name), prompts.load("task"), prompts.load("correction")

    def _system(self, tools: tuple[ToolSpec, ...]) -> str:
        return _system(self._prompts[0], tuple(spec.model_dump_json() for spec in tools))

    def _asking(self, task: str, *, warning: str = "", again: bool = False, actions: tuple[str, ...] = ()) -> str:
        return _asking(self._prompts[1], task, warning, again, actions)


# Both are asked for at every step of a run and change at none.
@lru_cache(maxsize=256)
def _asking(prompt: Prompt, task: str, warning: str, again: bool, actions: tuple[str, ...]) -> str:
    return prompt.render(task=task, warning=warning, again=again, actions=actions)


@lru_cache(maxsize=32)
def _system(prompt: Prompt, specs: tuple[str, ...]) -> str:
    tools = [ToolSpec.model_validate_json(spec) for spec in specs]
    described = [{"signature": signature(t), "description": t.description, "hints": _hints(t)} for t in tools]
    ends = " or ".join(tool.name for tool in tools if tool.ends_run)
    return prompt.render(tools=described, ends=ends)


def _join(messages: list[Message], more: list[Message]) -> None:
    """Add messages; what one user says in a row is one message, for many a chat template takes no two."""
    if messages[-1]["role"] == more[0]["role"] == "user":
        messages[-1] = {"role": "user", "content": f"{messages[-1]['content']}\n\n{more[0]['content']}"}
        more = more[1:]
    messages += more


def _hints(spec: ToolSpec) -> list[tuple[str, str]]:
    properties = spec.parameters.get("properties", {})
    return [(name, schema["description"]) for name, schema in properties.items() if "description" in schema]


def to_json(value: Any) -> str:
    """The one way in which arguments are written, so that what was asked and what is trained agree."""
    return _ENCODED(value)


_ENCODED = json.JSONEncoder(ensure_ascii=False).encode


def read_json_object(text: str, start: int) -> tuple[dict[str, Any], int]:
    """The JSON object that begins at `start`, give or take white space and a code fence, and where it ends.

    Raises FormatError if there is none, it is not complete, or it is nested beyond reason.
    """
    begin = text.find("{", start)
    before = text[start : begin if begin >= 0 else start + 60]
    if begin < 0 or before.strip(" \t\r\n`*_").lower() not in ("", "json"):
        raise FormatError(f"expected a JSON object, found '{before.strip()[:60]}'")
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except json.JSONDecodeError as error:
        line = text[max(begin, error.pos - 20) : error.pos + 20].replace("\n", " ")
        raise FormatError(f"the JSON object is not valid ({error.msg}, near '{line}')") from error
    except ValueError as error:
        raise FormatError(f"the JSON object cannot be read ({error})") from error
    except RecursionError as error:
        raise FormatError(_TOO_DEEP) from error
    return _clean(value), end


def _clean(value: Any, depth: int = 0) -> Any:
    if depth > NESTING:
        raise FormatError(_TOO_DEEP)
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(item, depth + 1) for key, item in value.items()}
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _refuse(number)


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_finite)

