"""One JSON object a step, under a schema made from the tools."""

import re
from typing import Any

from autorl.errors import FormatError
from autorl.formats.base import INPUT_CAP, Constraint, Format, Parsed, read_json_object, to_json
from autorl.formats.grammar import Grammar, literal
from autorl.formats.react import THOUGHT_LENGTH
from autorl.types import FINISH, Action, ToolSpec, clean_text


class Structured(Format):
    name = "structured"
    form = '{"thought": "one sentence", "action": "the name of one tool", "arguments": {...}}'

    def write(self, thought: str, action: Action) -> str:
        return to_json({"thought": thought, "action": action.name, "arguments": action.arguments})

    def parse(self, text: str) -> Parsed:
        if len(text) > INPUT_CAP:
            raise FormatError(f"the answer has {len(text)} characters; at most {INPUT_CAP} are read")
        before = text.split("{", 1)[0]
        if final := re.search("final answer:", before, re.IGNORECASE):
            answer = clean_text(text[final.end() :]).strip()
            return Parsed("", Action(name=FINISH, arguments={"answer": answer}), cut=0)
        step, end = read_json_object(text, len(before))
        name, arguments, thought = step.get("action"), step.get("arguments", {}), step.get("thought") or ""
        if not isinstance(name, str) or not name:
            raise FormatError("the key 'action' with a tool's name is missing")
        if not isinstance(arguments, dict):
            raise FormatError(f"'arguments' is a {type(arguments).__name__}, expected an object")
        rest = text[end:].strip().strip("`").strip()
        return Parsed(str(thought), Action(name=name, arguments=arguments), cut=len(rest))

    def constrain(self, tools: tuple[ToolSpec, ...]) -> Constraint:
        grammar = Grammar()
        calls = [
            f"{literal(to_json(tool.name) + ', ' + to_json('arguments') + ': ')} {grammar.value(tool.parameters)}"
            for tool in tools
        ]
        thought = grammar.value({"type": "string", "minLength": 1, "maxLength": THOUGHT_LENGTH})
        opening, action = literal('{"thought": '), literal(', "action": ')
        text = grammar.text(f'{opening} {thought} {action} ({" | ".join(calls)}) "}}"')
        return Constraint(grammar=text, json_schema=_schema(tools))


def _schema(tools: tuple[ToolSpec, ...]) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    options = []
    for tool in tools:
        parameters = _under(tool.name, tool.parameters)
        definitions.update({f"{tool.name}.{k}": v for k, v in parameters.pop("$defs", {}).items()})
        options.append({
            "type": "object",
            "properties": {
                "thought": {"type": "string", "maxLength": THOUGHT_LENGTH},
                "action": {"const": tool.name},
                "arguments": parameters,
            },
            "required": ["thought", "action", "arguments"],
            "additionalProperties": False,
        })
    return {"anyOf": options} | ({"$defs": definitions} if definitions else {})


def _under(tool: str, schema: Any) -> Any:
    """A copy of `schema` whose references point to `tool`'s own definitions."""
    if isinstance(schema, dict):
        return {k: v.replace("#/$defs/", f"#/$defs/{tool}.") if k == "$ref" else _under(tool, v)
                for k, v in schema.items()}
    return [_under(tool, item) for item in schema] if isinstance(schema, list) else schema
