"""The server's own tool calling: tools go with the request, calls come back beside the text.

A call is told in text as the Hermes and Qwen models write it, `<tool_call>{"name": ..., "arguments": ...}</tool_call>`
after the thought. Backends give calls in that form, so that a step is kept, shown and read like any other; and a
server that passes such a text on without having read it is understood all the same, as is Llama's bare object.
"""

import re
from typing import Any

from autorl.errors import FormatError
from autorl.formats.base import INPUT_CAP, Constraint, Format, Message, Parsed, Row, ToolCall, read_json_object, to_json
from autorl.types import FINISH, Action, Context, Step, ToolSpec, clean_text

BEGIN, END = "<tool_call>", "</tool_call>"
LABEL = "Thought:"
_CALL = re.compile(rf"^[ \t]*{BEGIN}\s*(?={{)", re.MULTILINE)
"""Where a call begins that stands on lines of its own; only where there is none, one within a line is looked for."""
_STRICT = frozenset((
    "type", "properties", "required", "additionalProperties", "enum", "const", "anyOf", "items", "title",
    "description", "$ref", "$defs", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minItems", "maxItems", "pattern",
))
"""What a schema may consist of under OpenAI's strict mode; one with anything else is refused there."""


class Native(Format):
    name = "native"
    form = "one call of one tool, with its arguments as one JSON object"
    calls = True

    def write(self, thought: str, action: Action) -> str:
        before = " ".join(thought.split())
        if before.startswith((BEGIN, LABEL)):
            before = f"{LABEL} {before}"  # which `parse` takes off: a thought is no call, whatever it looks like
        call = to_json({"name": action.name, "arguments": action.arguments})
        return f"{before}\n{BEGIN}\n{call}\n{END}".lstrip()

    def parse(self, text: str) -> Parsed:
        if len(text) > INPUT_CAP:
            raise FormatError(f"the answer has {len(text)} characters; at most {INPUT_CAP} are read")
        if found := _CALL.search(text):
            thought, call = text[: found.start()], text[found.end() :]
        elif BEGIN in text:
            thought, _, call = text.partition(BEGIN)
        else:
            if final := re.search("final answer:", text.split("{", 1)[0], re.IGNORECASE):
                answer = clean_text(text[final.end() :]).strip(" *\n\t")
                return Parsed("", Action(name=FINISH, arguments={"answer": answer}), cut=0)
            if not text.lstrip(" \t\r\n`").removeprefix("json").lstrip().startswith("{"):
                raise FormatError("there is no call of a tool")
            thought, call = "", text
        step, end = read_json_object(call, 0)
        name, arguments = step.get("name"), step.get("arguments", step.get("parameters", {}))
        if not isinstance(name, str) or not name:
            raise FormatError("the call names no tool")
        if isinstance(arguments, str):  # as the API writes them
            arguments, _ = read_json_object(arguments, 0)
        if not isinstance(arguments, dict):
            raise FormatError(f"the arguments of '{name[:60]}' are a {type(arguments).__name__}, expected an object")
        rest = call[end:].lstrip().removeprefix(END).strip().strip("`").strip()
        said = clean_text(" ".join(thought.strip().removeprefix(LABEL).split()))
        return Parsed(said, Action(name=name, arguments=arguments), cut=len(rest))

    def constrain(self, tools: tuple[ToolSpec, ...]) -> Constraint:
        return Constraint(call=True)

    def offer(self, tools: tuple[ToolSpec, ...]) -> tuple[dict[str, Any], ...]:
        return tuple({"type": "function", "function": _function(tool)} for tool in tools)

    def spoken(self, message: Message) -> str:
        calls = [call["function"] for call in message.get("tool_calls", ())]
        thoughts = [message["content"], *[""] * len(calls)]
        told = [self.write(thought, Action(name=call["name"], arguments=call["arguments"]))
                for thought, call in zip(thoughts, calls, strict=False)]
        return "\n".join(told) or message["content"]

    def to_training_row(self, context: Context) -> Row:
        return {**super().to_training_row(context), "tools": list(self.offer(context.tools))}

    def _turn(self, step: Step, seen: str, place: int) -> list[Message]:
        if step.action is None:
            # No server takes a call back whose arguments it cannot read.
            return super()._turn(step, seen, place)
        name = f"call{place:05}"  # nine letters and digits, which is what Mistral's templates want
        call: ToolCall = {"id": name, "type": "function",
                          "function": {"name": step.action.name, "arguments": step.action.arguments}}
        return [{"role": "assistant", "content": step.thought, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": name, "name": step.action.name, "content": seen}]


def _function(tool: ToolSpec) -> dict[str, Any]:
    strict = {"strict": True} if _is_strict(tool.parameters) else {}
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters, **strict}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes the schema: every parameter required, nothing but what it knows."""
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties", {})
    inner = [*properties.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ()), schema.get("items")]
    closed = schema.get("type") != "object" or (
        schema.get("additionalProperties") is False and set(properties) == set(schema.get("required", ())))
    return closed and _STRICT.issuperset(schema) and all(map(_is_strict, inner))
