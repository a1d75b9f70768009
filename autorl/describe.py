"""Tools in words: what a policy reads of a schema, and of an argument that does not fit it."""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jsonschema.exceptions import ValidationError as SchemaViolation

from autorl.types import ToolSpec

_EXPECTED = {
    "minLength": "at least {} characters", "maxLength": "at most {} characters", "pattern": "text that matches {}",
    "minimum": "{} or more", "maximum": "{} or less", "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}", "multipleOf": "a multiple of {}", "minItems": "at least {} items",
    "maxItems": "at most {} items", "uniqueItems": "no item twice", "minProperties": "at least {} entries",
    "maxProperties": "at most {} entries", "const": "{!r}",
}
"""What a rule of JSON Schema asks for, in words."""


MOST_VALUES = 200
"""Values of a bounded integer that are told one by one."""


def every_value(schema: dict[str, Any]) -> Sequence[Any]:
    """Every value that a schema allows, where it tells them: an enum, a constant, an integer within narrow bounds."""
    if "enum" in schema or "const" in schema:
        return list(schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "integer" and {"minimum", "maximum"} <= set(schema):
        every = range(schema["minimum"], schema["maximum"] + 1)
        return every if len(every) <= MOST_VALUES else []
    return []


def explain(problem: SchemaViolation, spec: ToolSpec) -> str:
    """One line that names the parameter, the value and what was expected."""
    where = ".".join(parameter_name(part) for part in problem.absolute_path)
    value = json.dumps(problem.instance, ensure_ascii=False, default=str)
    value = value if len(value) <= 80 else f"{value[:77]}..."
    rule, wanted = problem.validator, problem.validator_value
    if rule == "required":
        missing = next(name for name in wanted if name not in problem.instance)
        return f"{spec.name}: '{'.'.join(filter(None, [where, missing]))}' is missing. Expected: {signature(spec)}"
    if rule == "additionalProperties":
        known = problem.schema.get("properties", {})
        unknown = parameter_name(next(name for name in problem.instance if name not in known))
        extra = ".".join(filter(None, [where, unknown]))
        return f"{spec.name}: there is no parameter '{extra}'. Expected: {signature(spec)}"
    if rule == "type":
        expected = " or ".join([wanted] if isinstance(wanted, str) else wanted)
    elif rule == "enum":
        expected = "one of " + ", ".join(map(str, wanted))
    elif rule in ("anyOf", "oneOf"):
        expected = " or ".join(kind_of(option, spec.parameters) for option in wanted)
    elif rule in _EXPECTED:
        expected = _EXPECTED[rule].format(wanted)
    else:
        expected = f"another: {' '.join(problem.message.split())[:300]}"
    return f"{spec.name}: {where or 'the arguments'} is {value}, expected {expected}"


def parameter_name(part: str | int) -> str:
    """A key that the policy made up, so that it cannot break the line."""
    return str(part) if str(part).isprintable() else repr(part)


def signature(spec: ToolSpec) -> str:
    """A tool on one line, optional parameters marked: `add_slide(title: string, notes?: string)`."""
    required = set(spec.parameters.get("required", ()))
    parts = [
        f"{name}{'' if name in required else '?'}: {kind_of(schema, spec.parameters)}"
        for name, schema in spec.parameters.get("properties", {}).items()
    ]
    return f"{spec.name}({', '.join(parts)})"


def kind_of(schema: dict[str, Any], root: dict[str, Any], inside: tuple[str, ...] = ()) -> str:
    """A JSON Schema in a few words: `string`, `list of integer`, `"mon" | "tue"`.

    inside: names of the definitions around it; one that holds itself is named and not unfolded again
    """
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return name if name in inside else kind_of(root["$defs"][name], root, (*inside, name))
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "anyOf" in schema:
        kinds = [kind_of(option, root, inside) for option in schema["anyOf"] if option.get("type") != "null"]
        return " | ".join(dict.fromkeys(kinds))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}), root, inside)}"
    if kind == "object" and "properties" in schema:
        inner = ", ".join(f"{name}: {kind_of(value, root, inside)}" for name, value in schema["properties"].items())
        return f"{{{inner}}}"
    return str(kind)


def read_docstring(function: Callable[..., Any], names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The first paragraph, and the text of each line `name: text` where name is a parameter."""
    text = inspect.getdoc(function) or ""
    if not text:
        return function.__name__.replace("_", " ").capitalize() + ".", {}
    head, _, rest = text.partition("\n\n")
    hints: dict[str, str] = {}
    current = ""
    for line in rest.splitlines():
        match = re.match(r"\s*(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)", line)
        if match and match[1] in names:
            current = match[1]
            hints[current] = match[2].strip()
        elif current and line.startswith(" ") and line.strip():
            hints[current] = f"{hints[current]} {line.strip()}".strip()
        else:
            current = ""
    return " ".join(head.split()), hints
